"""The index holds what was answered, or says that it does not."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from provenance_world import KEY, NOW, Clock, finished, prose, write_index

from guard.provenance.coverage import Index
from guard.provenance.fingerprint import Fingerprinter, unpack
from guard.provenance.index import FingerprintWriter
from guard.provenance.receipt import Receipts, key_id
from guard.provenance.segment import ATTRIBUTABLE, ECHOED, FINGERPRINTED, MAGIC, SegmentReader
from guard.provenance.words import words

DAY = 86_400.0


def everything(directory, key=KEY):
    index = Index(directory, key)
    return list(index.outputs()), index.coverage


def until(true, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.002)


def test_every_answer_is_read_back_with_its_label_and_marks(tmp_path):
    long, short, quoted = prose(1), "Yes.", prose(2)
    receipts = write_index(tmp_path, {"long": long, "short": short, "quoted": quoted}, prompt=f"Repeat: {quoted}")
    found, coverage = everything(tmp_path)
    assert [output.receipt for output, _ in found] == ["r-qlong-0", "r-qshort-0", "r-qquoted-0"]
    assert [receipt.id for receipt in receipts] == ["r-qlong-0", "r-qshort-0", "r-qquoted-0"]
    assert {(label.model, label.licenses) for _, label in found} == {("tiny", ("llama-2",))}
    assert [output.flags for output, _ in found] == [
        ATTRIBUTABLE | FINGERPRINTED,
        FINGERPRINTED,
        ECHOED | FINGERPRINTED,
    ]
    fingerprints = [set(unpack(output.values)) for output, _ in found]
    assert fingerprints == [set(unpack(Fingerprinter(KEY).fingerprint(words(long)).values)), set(), set()]
    assert found[0][0].each_digest() == [Receipts(KEY).digest(words(long))]
    assert found[0][0].digests.hex() == receipts[0].output_digest
    assert coverage.complete
    month = coverage.months["2026-11"]
    assert (month.answered, month.indexed, month.attributable, month.dropped, month.lost) == (3, 3, 1, 0, 0)


def test_no_word_of_any_text_is_in_the_files(tmp_path):
    secret = "xylophone quetzal " * 30
    write_index(tmp_path, [secret], prompt=secret)
    data = b"".join(path.read_bytes() for path in tmp_path.rglob("*.segment"))
    assert data.startswith(MAGIC)
    assert b"xylophone" not in data.lower()
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*.segment"))


def test_each_released_text_has_a_digest_besides_all_of_them_in_one(tmp_path):
    thought, answer = prose(1), prose(2)
    write_index(tmp_path, [[thought, "", answer]])
    (output, _), = everything(tmp_path)[0]  # fmt: skip
    digest = Receipts(KEY).digest
    assert output.each_digest() == [
        digest(words(thought) + words(answer)), digest(words(thought)), digest(words(answer))
    ]  # fmt: skip


def test_several_instances_and_restarts_share_a_directory(tmp_path):
    for run in range(2):
        for instance in ("a", "b"):
            write_index(tmp_path, {f"{instance}{run}": prose(run)}, instance=instance)
    found, coverage = everything(tmp_path)
    assert {output.receipt for output, _ in found} == {"r-qa0-0", "r-qb0-0", "r-qa1-0", "r-qb1-0"}
    assert coverage.complete
    assert coverage.months["2026-11"].segments == 4


def test_a_new_month_begins_a_new_segment(tmp_path):
    clock = Clock(NOW + 12 * DAY)  # November 30
    writer = FingerprintWriter(tmp_path, "a", KEY, clock=clock, linger=0.0)
    writer.start()
    writer.submit(finished("old"), "", prose(1))
    until(lambda: writer.written == 1)
    clock.now += DAY
    writer.submit(finished("new"), "", prose(2))
    writer.close()
    found, coverage = everything(tmp_path)
    assert [output.receipt for output, _ in found] == ["r-old-0", "r-new-0"]
    assert sorted(coverage.months) == ["2026-11", "2026-12"]
    assert [month.answered for _, month in sorted(coverage.months.items())] == [1, 1]
    assert coverage.complete


def test_a_full_queue_drops_and_says_so_but_still_gives_no_wait(tmp_path):
    writer = FingerprintWriter(tmp_path, "a", KEY, clock=Clock(), limit=2, linger=0.3)
    writer.start()
    writer._ready.set()
    time.sleep(0.05)  # the writer is lingering now
    taken = [writer.submit(finished(f"q{number}"), "", prose(number)) for number in range(5)]
    assert taken == [True, True, False, False, False]
    writer.close()
    found, coverage = everything(tmp_path)
    assert len(found) == 2
    assert not coverage.complete
    assert list(coverage.reasons()) == ["2026-11: 3 of 5 choices dropped under load or by a full disk"]


def test_the_queue_is_bounded_by_characters_too(tmp_path):
    writer = FingerprintWriter(tmp_path, "a", KEY, clock=Clock(), limit_characters=100, linger=0.0)
    writer.start()
    assert not writer.submit(finished("big"), "x" * 60, ["y" * 41])
    assert writer.submit(finished("small"), "x" * 60, ["y" * 40])
    until(lambda: writer.written == 1)
    assert writer.submit(finished("again"), "x" * 60, "y" * 40)
    writer.close()
    assert (writer.answered, writer.written, writer.dropped) == (3, 2, 1)


def test_without_fingerprints_only_digests_are_kept_and_coverage_says_so(tmp_path):
    write_index(tmp_path, [prose(1)], fingerprints=False)
    ((output, _),), coverage = everything(tmp_path)
    assert output.values == b""
    assert output.each_digest() == [Receipts(KEY).digest(words(prose(1)))]
    assert list(coverage.reasons()) == ["2026-11: 1 of 1 choices answered while fingerprints were off"]


def test_a_running_gateway_is_no_gap(tmp_path):
    writer = FingerprintWriter(tmp_path, "a", KEY, clock=Clock(), linger=0.0)
    writer.start()
    writer.submit(finished(), "", prose(1))
    until(lambda: writer.written == 1)
    until(lambda: len(everything(tmp_path)[0]) == 1)
    assert everything(tmp_path)[1].complete
    writer.close()
    assert everything(tmp_path)[1].complete


def test_a_gateway_that_never_answered_and_was_killed_is_still_a_gap(tmp_path):
    writer = FingerprintWriter(tmp_path, "a", KEY, clock=Clock())
    writer.start()
    writer._segment.abandon()  # what the kernel does for a killed process
    found, coverage = everything(tmp_path)
    assert found == []
    assert [reason.split(": ")[-1] for reason in coverage.reasons()] == [
        "its gateway was killed; the choices of its last moments are missing"
    ]
    writer._segment = None
    writer.close()


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(min_value=0, max_value=10_000), data=st.data())
def test_any_cut_or_flipped_byte_leaves_a_prefix_and_a_gap(tmp_path_factory, cut, data):
    directory = tmp_path_factory.mktemp("index")
    write_index(directory, [prose(number, 60) for number in range(4)])
    (path,) = directory.rglob("*.segment")
    whole = path.read_bytes()
    before = [output for output, _ in everything(directory)[0]]
    at = cut % len(whole)
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    found, coverage = everything(directory)
    outputs = [output for output, _ in found]
    assert outputs == before[: len(outputs)]
    assert not coverage.complete


def test_another_keys_segment_is_a_gap_not_a_result(tmp_path):
    write_index(tmp_path, [prose(1)])
    found, coverage = everything(tmp_path, key=b"another key of 16+ bytes")
    assert found == []
    assert next(iter(coverage.reasons())).endswith("written with another key")


def test_no_index_is_not_complete(tmp_path):
    found, coverage = everything(tmp_path / "nothing")
    assert found == []
    assert not coverage.complete
    assert list(coverage.reasons()) == ["there is no index: no segment was found"]


def test_a_disk_that_refuses_costs_coverage_and_nothing_else(tmp_path, monkeypatch):
    clock = Clock()
    receipts = []
    writer = FingerprintWriter(tmp_path, "a", KEY, clock=clock, receipted=receipts.append, linger=0.0)
    writer.start()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("guard.provenance.segment.os.write", refuse)
        writer.submit(finished("lost"), "", prose(1))
        until(lambda: writer.dropped == 1)
        until(lambda: len(receipts) == 1)
        writer.submit(finished("lost2"), "", prose(2))
        until(lambda: len(receipts) == 2)
        assert writer.error == "No space left on device"
        assert not writer.healthy
    clock.now += 2.0
    writer.submit(finished("kept"), "", prose(3))
    until(lambda: writer.written == 1)
    assert writer.healthy
    writer.close()
    assert [receipt.id for receipt in receipts] == ["r-lost-0", "r-lost2-0", "r-kept-0"]
    assert all(receipt.output_digest for receipt in receipts)
    found, coverage = everything(tmp_path)
    assert [output.receipt for output, _ in found] == ["r-kept-0"]
    month = coverage.months["2026-11"]
    assert (month.answered, month.indexed, month.dropped) == (3, 1, 2)
    assert not coverage.complete


def test_one_choice_that_cannot_be_indexed_does_not_stop_the_others(tmp_path):
    receipts = []
    writer = FingerprintWriter(tmp_path, "a", KEY, clock=Clock(), receipted=receipts.append, linger=0.0)
    writer.start()
    writer.submit(finished("fine"), "", prose(1))
    writer.submit(finished("odd", model=object()), "", prose(2))
    writer.submit(finished("good"), "", prose(3))
    writer.close()
    assert [receipt.id for receipt in receipts] == ["r-fine-0", "r-odd-0", "r-good-0"]
    assert (writer.written, writer.dropped) == (2, 1)
    found, coverage = everything(tmp_path)
    assert [output.receipt for output, _ in found] == ["r-fine-0", "r-good-0"]
    assert not coverage.complete


def test_choices_after_close_are_dropped_not_kept_waiting(tmp_path):
    writer = FingerprintWriter(tmp_path, "a", KEY, clock=Clock())
    assert not writer.submit(finished(), "", "early")
    writer.start()
    writer.close()
    writer.close()
    assert not writer.submit(finished(), "", "late")
    assert writer.waiting == 0


def test_an_unwritable_directory_is_said_at_the_start(tmp_path):
    (tmp_path / "index").write_text("a file")
    with pytest.raises(OSError, match="index"):
        FingerprintWriter(tmp_path / "index", "a", KEY, clock=Clock()).start()


def test_a_reader_sees_what_is_appended_between_its_last_look_and_the_end(tmp_path):
    write_index(tmp_path, [prose(1), prose(2)])
    (path,) = tmp_path.rglob("*.segment")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    reader = SegmentReader(path, key_id(KEY))
    steps = iter(reader)
    next(steps)
    with path.open("r+b") as file:  # the writer ends its file while it is being read
        file.seek(len(whole) - 20)
        file.write(whole[-20:])
        os.fsync(file.fileno())
    list(steps)
    assert reader.state == "ended"
