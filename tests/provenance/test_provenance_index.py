"""The index holds what was answered, or says that it does not."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from provenance_world import KEY, NOW, Clock, finished, keys_of, prose, read_index, write_index, writer_of

from guard.provenance.counts import counts_path, read_counts
from guard.provenance.fingerprint import Fingerprinter, seal
from guard.provenance.months import segment_key_id
from guard.provenance.receipt import Receipts
from guard.provenance.scan import unpack
from guard.provenance.segment import ATTRIBUTABLE, ECHOED, FINGERPRINTED, SegmentReader
from guard.provenance.words import read

DAY = 86_400.0


def until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.002)


def digest(*texts):
    return Receipts(KEY).digest(b" ".join(read(text).words for text in texts))


def segments_of(directory):
    return sorted(directory.rglob("*.segment"))


def receipts_of(directory):
    return [output.receipt for output, _ in read_index(directory)[0]]


def refuse(*_):
    raise OSError(28, "No space left on device")


def test_every_answer_is_read_back_with_its_label_and_marks(tmp_path):
    long, short, quoted = prose(1), "Yes.", prose(2)
    receipts = write_index(tmp_path, {"long": long, "short": short, "quoted": quoted}, prompt=f"Repeat: {quoted}")
    found, coverage = read_index(tmp_path)
    assert [output.receipt for output, _ in found] == ["r-qlong-0", "r-qshort-0", "r-qquoted-0"]
    assert [receipt.id for receipt in receipts] == ["r-qlong-0", "r-qshort-0", "r-qquoted-0"]
    assert {(label.model, label.licenses, label.tenant) for _, label in found} == {("tiny", ("llama-2",), "shop")}
    assert [output.flags for output, _ in found] == [
        ATTRIBUTABLE | FINGERPRINTED,
        FINGERPRINTED,
        ECHOED | FINGERPRINTED,
    ]
    assert [output.words for output, _ in found] == [120, 1, 120]
    fingerprints = Fingerprinter(KEY)
    grams = fingerprints.fingerprint(read(long), fingerprints.echo(read(f"Repeat: {quoted}"))).grams
    sealed = seal(keys_of(tmp_path).of("2026-11"), grams)
    each = {sealed[at : at + 8] for at in range(0, len(sealed), 8)}
    first = unpack(found[0][0].keys)
    assert {first[at : at + 8] for at in range(0, len(first), 8)} == each != set()
    assert [output.keys for output, _ in found[1:]] == [b"", b""]
    assert found[0][0].each_digest() == [digest(long)]
    assert found[0][0].digests.hex() == receipts[0].output_digest
    assert coverage.complete
    month = coverage.months["2026-11"]
    assert (month.answered, month.indexed, month.attributable, month.dropped, month.lost) == (3, 3, 1, 0, 0)


def test_a_tag_tells_distinct_prompts_apart_and_says_where_there_was_none(tmp_path):
    for number, prompt in enumerate(("What is it?", "what is  IT", "Who is it?", "", ["What is", "it?"])):
        write_index(tmp_path, {number: prose(number)}, prompt=prompt, instance=f"i{number}")
    first, same, other, none, parts = (output.prompt for output, _ in read_index(tmp_path)[0])
    assert first == same == parts
    assert len({first, other, 0}) == 3
    assert none == 0


def test_no_word_of_any_text_is_in_the_files(tmp_path):
    secret = "xylophone quetzal " * 30
    write_index(tmp_path, [secret], prompt=secret)
    data = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"GUARDSEG" in data
    assert b"xylophone" not in data.lower()
    assert all(path.stat().st_mode & 0o077 == 0 for path in segments_of(tmp_path))


def test_each_released_text_has_a_digest_besides_all_of_them_in_one(tmp_path):
    thought, answer = prose(1), prose(2)
    write_index(tmp_path, [[thought, "", answer]])
    (output, _), = read_index(tmp_path)[0]  # fmt: skip
    assert output.each_digest() == [digest(thought, answer), digest(thought), digest(answer)]
    assert output.words == 240


@pytest.mark.parametrize("fingerprints", [True, False])
def test_choices_looked_at_together_leave_what_each_leaves_by_itself(tmp_path, fingerprints):
    writer = writer_of(tmp_path, fingerprints=fingerprints)
    quoted = prose(5)
    pairs = [
        ("What is it?", prose(1)), ("What is it?", (prose(2),)), ("What is it?", [prose(3)]), ("", "Yes."), (prose(4), ""),
        (f"Repeat: {quoted}", quoted), ("Code?", "def f(x):\n    return {x: [x + 1]}\n" * 20), ("Was?", "Größe " * 60),
    ]  # fmt: skip
    others = [(("a", "b"), prose(6)), ("a", [prose(7), prose(8)]), ("a", None), ("a", []), ("a", "one\\ntwo")]
    for _, segment_begun in (("before a segment", False), ("in one", True)):
        if segment_begun:
            writer._rotation.begin(NOW)
        each = [writer._trace(prompt, texts) for prompt, texts in pairs]
        tasks = [(finished(), prompt, texts, 0) for prompt, texts in [*pairs, *others]]
        together = writer._traces(tasks)
        assert together[len(pairs) :] == [None] * len(others)
        assert [(made, found) for made, found in zip(each, together, strict=False) if found not in (None, made)] == []
        assert {trace.flags for trace in each} == (
            {FINGERPRINTED, FINGERPRINTED | ATTRIBUTABLE, FINGERPRINTED | ECHOED}
            if fingerprints and segment_begun
            else {0}
        )


def test_several_instances_and_restarts_share_a_directory(tmp_path):
    for run in range(2):
        for instance in ("a", "b"):
            write_index(tmp_path, {f"{instance}{run}": prose(run)}, instance=instance)
    assert set(receipts_of(tmp_path)) == {"r-qa0-0", "r-qb0-0", "r-qa1-0", "r-qb1-0"}
    coverage = read_index(tmp_path)[1]
    assert coverage.complete
    assert coverage.months["2026-11"].segments == 4


def test_an_ended_segment_needs_no_counts_beside_it(tmp_path):
    writer = writer_of(tmp_path)
    writer.start()
    (path,) = segments_of(tmp_path)
    assert read_counts(path) is not None
    writer.close()
    assert not counts_path(path).exists()


def test_a_segment_is_ended_after_its_time_if_anything_was_written(tmp_path):
    clock = Clock()
    writer = writer_of(tmp_path, clock=clock, minutes=5.0)
    writer.start()
    clock.now += 301.0
    writer.submit(finished("first"), "", prose(1))  # nothing was written before it: no reason to begin another one
    until(lambda: writer.tally.written == 1)
    assert len(segments_of(tmp_path)) == 1
    writer.tally.begin()  # an answer that is being given while segments change
    writer.submit(finished("second"), "", prose(2))
    until(lambda: writer.tally.written == 2)
    first, second = segments_of(tmp_path)
    assert not counts_path(first).exists()
    assert read_counts(second)[:5] == (1, 0, 1, 1, 0)
    writer.tally.end()
    clock.now += 299.0
    writer.submit(finished("third"), "", prose(3))
    writer.close()
    assert receipts_of(tmp_path) == ["r-first-0", "r-second-0", "r-third-0"]
    coverage = read_index(tmp_path)[1]
    assert (coverage.complete, coverage.months["2026-11"].segments) == (True, 2)


def test_a_new_month_begins_a_new_segment_with_a_key_of_its_own(tmp_path):
    clock = Clock(NOW + 12 * DAY)  # November 30
    writer = writer_of(tmp_path, clock=clock)
    writer.start()
    writer.submit(finished("old"), "", prose(1))
    until(lambda: writer.tally.written == 1)
    clock.now += DAY
    writer.submit(finished("new"), "", prose(1))
    writer.close()
    found, coverage = read_index(tmp_path)
    assert [output.receipt for output, _ in found] == ["r-old-0", "r-new-0"]
    assert found[0][0].keys != found[1][0].keys
    assert sorted(coverage.months) == ["2026-11", "2026-12"]
    assert [month.answered for _, month in sorted(coverage.months.items())] == [1, 1]
    assert coverage.complete


def test_a_full_queue_drops_texts_and_says_so_but_leaves_every_receipt(tmp_path):
    receipts = []
    writer = writer_of(tmp_path, limit=2, linger=0.3, receipted=receipts.extend)
    writer.start()
    writer._ready.set()
    time.sleep(0.05)  # the writer is lingering now
    taken = [writer.submit(finished(f"q{number}"), "", prose(number)) for number in range(5)]
    assert taken == [True, True, False, False, False]
    writer.close()
    assert len(receipts_of(tmp_path)) == 2
    assert [receipt.id for receipt in receipts] == [f"r-q{number}-0" for number in range(5)]
    assert [receipt.output_digest is None for receipt in receipts] == [False, False, True, True, True]
    coverage = read_index(tmp_path)[1]
    assert not coverage.complete
    assert list(coverage.reasons()) == ["2026-11: 3 of 5 choices dropped under load or by a full disk"]


def test_receipts_are_made_at_once_where_too_many_of_them_wait(tmp_path):
    receipts = []
    writer = writer_of(tmp_path, limit=1, linger=0.5, receipted=receipts.extend)
    writer.start()
    writer._ready.set()
    time.sleep(0.05)
    for number in range(20):
        writer.submit(finished(f"q{number}"), "", prose(1))
    assert [receipt.id for receipt in receipts] == [f"r-q{number}-0" for number in range(16, 20)]
    writer.close()
    assert {receipt.id for receipt in receipts} == {f"r-q{number}-0" for number in range(20)}
    assert len(receipts) == 20


def test_the_queue_is_bounded_by_characters_too(tmp_path):
    writer = writer_of(tmp_path, limit_characters=100)
    writer.start()
    assert not writer.submit(finished("big"), "x" * 60, ["y" * 41])
    assert writer.submit(finished("small"), "x" * 60, ["y" * 40])
    until(lambda: writer.tally.written == 1)
    assert writer.submit(finished("again"), "x" * 60, "y" * 40)
    writer.close()
    assert (writer.tally.answered, writer.tally.written, writer.tally.dropped) == (3, 2, 1)


def test_without_fingerprints_only_digests_are_kept_and_coverage_says_so(tmp_path):
    write_index(tmp_path, [prose(1)], fingerprints=False)
    ((output, _),), coverage = read_index(tmp_path)
    assert output.keys == b""
    assert output.each_digest() == [digest(prose(1))]
    assert list(coverage.reasons()) == ["2026-11: 1 of 1 choices answered while fingerprints were off"]


def test_a_running_gateway_is_no_gap(tmp_path):
    writer = writer_of(tmp_path)
    writer.start()
    writer.tally.begin()
    writer.submit(finished(), "", prose(1))
    until(lambda: writer.tally.written == 1)
    until(lambda: len(receipts_of(tmp_path)) == 1)
    assert read_index(tmp_path)[1].complete
    writer.tally.end()
    writer.close()
    assert read_index(tmp_path)[1].complete


def test_exchanges_that_are_open_at_the_end_are_a_gap_that_has_a_number(tmp_path):
    writer = writer_of(tmp_path)
    writer.start()
    for _ in range(3):
        writer.tally.begin()
    writer.submit(finished(), "", prose(1))
    writer.tally.end()
    writer.close()
    assert not writer.submit(finished("late"), "", prose(2))
    writer.tally.end()
    coverage = read_index(tmp_path)[1]
    assert list(coverage.reasons()) == [
        "2026-11: 1 of 2 choices dropped under load or by a full disk",
        "2026-11: 1 exchanges were being answered when their gateway was killed",
    ]


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(min_value=0, max_value=10_000), data=st.data())
def test_any_cut_or_flipped_byte_leaves_a_prefix_and_a_gap(tmp_path_factory, cut, data):
    directory = tmp_path_factory.mktemp("index")
    write_index(directory, [prose(number, 60) for number in range(4)])
    (path,) = segments_of(directory)
    whole = path.read_bytes()
    before = [output for output, _ in read_index(directory)[0]]
    at = cut % len(whole)
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    found, coverage = read_index(directory)
    outputs = [output for output, _ in found]
    assert outputs == before[: len(outputs)]
    assert not coverage.complete


def test_another_keys_segment_is_a_gap_not_a_result(tmp_path):
    write_index(tmp_path, [prose(1)])
    found, coverage = read_index(tmp_path, key=b"another key of 16+ bytes")
    assert found == []
    assert next(iter(coverage.reasons())).endswith("written with another key")


def test_no_index_is_not_complete(tmp_path):
    found, coverage = read_index(tmp_path / "nothing")
    assert found == []
    assert not coverage.complete


def test_a_disk_that_refuses_costs_coverage_and_nothing_else(tmp_path, monkeypatch):
    clock, receipts = Clock(), []
    writer = writer_of(tmp_path, clock=clock, receipted=receipts.extend)
    writer.start()
    with monkeypatch.context() as patch:
        patch.setattr("guard.provenance.segment.os.write", refuse)
        writer.submit(finished("lost"), "", prose(1))
        until(lambda: len(receipts) == 1)
        writer.submit(finished("lost2"), "", prose(2))
        until(lambda: len(receipts) == 2)
        assert writer.error == "No space left on device"
        assert not writer.healthy
    clock.now += 2.0
    writer.submit(finished("kept"), "", prose(3))
    until(lambda: writer.tally.written == 1)
    assert writer.healthy
    writer.close()
    assert [receipt.id for receipt in receipts] == ["r-lost-0", "r-lost2-0", "r-kept-0"]
    assert all(receipt.output_digest for receipt in receipts)
    found, coverage = read_index(tmp_path)
    assert [output.receipt for output, _ in found] == ["r-kept-0"]
    month = coverage.months["2026-11"]
    assert (month.answered, month.indexed, month.dropped, month.lost) == (3, 1, 2, 0)
    assert list(coverage.reasons()) == ["2026-11: 2 of 3 choices dropped under load or by a full disk"]


def test_a_disk_that_is_full_when_the_month_turns_does_not_put_answers_into_the_wrong_month(tmp_path, monkeypatch):
    clock = Clock(NOW + 12 * DAY)
    writer = writer_of(tmp_path, clock=clock)
    writer.start()
    writer.submit(finished("old"), "", prose(1))
    until(lambda: writer.tally.written == 1)
    clock.now += DAY
    with monkeypatch.context() as patch:
        patch.setattr("guard.provenance.tally.os.write", refuse)
        writer.submit(finished("lost"), "", prose(2))
        until(lambda: writer.tally.dropped == 1)
        assert writer.error == "No space left on device"
    clock.now += 2.0
    writer.submit(finished("new"), "", prose(3))
    writer.close()
    found, coverage = read_index(tmp_path)
    assert [output.receipt for output, _ in found] == ["r-old-0", "r-new-0"]
    assert [month.dropped for _, month in sorted(coverage.months.items())] == [1, 0]
    assert coverage.months["2026-12"].answered == 1


def test_one_choice_that_cannot_be_indexed_does_not_stop_the_others(tmp_path):
    receipts = []
    writer = writer_of(tmp_path, receipted=receipts.extend)
    writer.start()
    writer.submit(finished("fine"), "", prose(1))
    writer.submit(finished("odd", model=object()), "", prose(2))
    writer.submit(finished("good"), "", prose(3))
    writer.close()
    assert [receipt.id for receipt in receipts] == ["r-fine-0", "r-odd-0", "r-good-0"]
    assert (writer.tally.written, writer.tally.dropped) == (2, 1)
    assert receipts_of(tmp_path) == ["r-fine-0", "r-good-0"]
    assert not read_index(tmp_path)[1].complete


def test_choices_before_the_start_and_after_the_end_are_dropped_not_kept_waiting(tmp_path):
    receipts = []
    writer = writer_of(tmp_path, receipted=receipts.extend)
    assert not writer.submit(finished(), "", "early")
    writer.start()
    writer.close()
    writer.close()
    assert not writer.submit(finished(), "", "late")
    assert writer.waiting == 0
    assert len(receipts) == 2


def test_an_unwritable_directory_is_said_at_the_start(tmp_path):
    (tmp_path / "index").write_text("a file")
    with pytest.raises(OSError, match="index"):
        writer_of(tmp_path / "index").start()


def test_a_reader_sees_what_is_appended_between_its_last_look_and_the_end(tmp_path):
    write_index(tmp_path, [prose(1), prose(2)])
    (path,) = segments_of(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    reader = SegmentReader(path, segment_key_id(KEY, keys_of(tmp_path).of("2026-11")))
    steps = iter(reader)
    next(steps)
    with path.open("r+b") as file:  # the writer ends its file while it is being read
        file.seek(len(whole) - 10)
        file.write(whole[-10:])
        os.fsync(file.fileno())
    list(steps)
    assert reader.state == "ended"


def test_answers_without_receipts_are_counted_in_their_month_and_nothing_else_is_kept(tmp_path):
    clock, receipts = Clock(NOW + 12 * DAY), []
    writer = writer_of(tmp_path, clock=clock, recorded=False, receipted=receipts.extend)
    writer.start()
    assert writer.healthy
    writer.tally.begin()
    writer.count(2)
    writer.tally.end()
    assert list(read_index(tmp_path)[1].reasons()) == ["2026-11: 2 of 2 choices answered while receipts were off"]
    until(lambda: not writer.waiting)
    clock.now += DAY
    writer.count(1)
    until(lambda: not writer.waiting)
    writer.count(4)
    writer.close()
    found, coverage = read_index(tmp_path)
    assert (found, receipts) == ([], [])
    assert [(name, month.unrecorded, month.answered) for name, month in sorted(coverage.months.items())] == [
        ("2026-11", 2, 2),
        ("2026-12", 5, 5),
    ]
    assert not coverage.complete
    assert not any(month.gaps or month.dropped or month.lost for month in coverage.months.values())


def test_receipts_that_were_off_for_a_while_leave_a_gap_between_whole_segments(tmp_path):
    write_index(tmp_path, {1: prose(1)})
    assert read_index(tmp_path)[1].complete
    quiet = writer_of(tmp_path, recorded=False)
    quiet.start()
    quiet.close()
    write_index(tmp_path, {2: prose(2)})
    assert read_index(tmp_path)[1].complete  # nothing was answered
    quiet.start()
    quiet.count(1)
    quiet.close()
    write_index(tmp_path, {3: prose(3)})
    assert list(read_index(tmp_path)[1].reasons()) == ["2026-11: 1 of 4 choices answered while receipts were off"]


def test_a_directory_that_cannot_be_written_is_no_reason_not_to_serve_without_receipts(tmp_path):
    clock, index = Clock(), tmp_path / "index"
    index.write_text("a file")
    writer = writer_of(index, clock=clock, recorded=False)
    writer.start()
    assert writer.error is not None
    writer.count(3)
    index.unlink()
    clock.now += 2.0
    writer.count(1)
    until(lambda: not writer.waiting)
    assert writer.healthy
    writer.close()
    assert list(read_index(index)[1].reasons()) == ["2026-11: 4 of 4 choices answered while receipts were off"]
