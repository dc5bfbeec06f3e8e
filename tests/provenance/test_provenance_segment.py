"""A segment gives back what was written to it, says what became of it, and notices every damaged byte."""

import os
import time
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_world import NOW, OUTPUTS, output, some_keys

from guard.provenance import scan
from guard.provenance.frames import (
    HEADER,
    LARGEST,
    MAGIC,
    Damaged,
    End,
    decode,
    encode,
    encode_output,
    framed,
    payloads,
    read_output,
)
from guard.provenance.scan import Postings
from guard.provenance.segment import CHUNK, Begin, Label, SegmentReader, SegmentWriter, Totals, boot_id, read_begin

KEY_ID = b"key id.."
NOTHING = Postings()
NOTHING.seal()


def written(directory, outputs, *, end=True, labels=2, instance="a", now=NOW):
    """Write a segment; return its path."""
    writer = SegmentWriter(directory, instance, KEY_ID, now)
    for number in range(labels):
        writer.label(f"model-{number}", ("llama-3.1",), None)
    for each in outputs:
        writer.add(each)
    writer.add(Totals(len(outputs), len(outputs), 0))
    if end:
        writer.end(now + 9)
    else:
        writer.write()
        writer.abandon()
    return writer.path


def read(path, key_id=KEY_ID):
    reader = SegmentReader(path, key_id)
    return list(reader), reader


@settings(max_examples=30, deadline=None)
@given(outputs=st.lists(OUTPUTS, max_size=12))
def test_every_output_is_read_back_as_it_was(tmp_path_factory, outputs):
    path = written(tmp_path_factory.mktemp("index"), outputs)
    found, reader = read(path)
    assert found == outputs
    assert (reader.state, reader.seen, reader.totals) == ("ended", len(outputs), Totals(len(outputs), len(outputs), 0))
    assert reader.searchable == sum(bool(each.flags & 4) for each in outputs)
    assert reader.attributable == sum(each.flags & 1 for each in outputs)


@settings(max_examples=120, deadline=None)
@given(OUTPUTS | st.builds(output, words=st.integers(0, 2**33), label=st.integers(-2, 2**33), prompt=st.integers(-1, 2**17),
                           time=st.floats(-1, 3e11), flags=st.integers(-1, 9)))  # fmt: skip
def test_an_output_is_encoded_by_the_compiled_form_as_by_the_other_or_not_at_all(written_):
    try:
        expected = encode_output(written_)
    except (ValueError, OverflowError):
        expected = None
    if scan.encode_output is not encode_output:
        assert scan.encode_output(written_) in (None, expected)


def test_an_ordinary_output_is_encoded_by_whichever_form_there_is():
    for seed, count in ((1, 62), (2, 0), (200, 1)):
        each = output(seed, words=40_000, count=count, label=300, receipt=f"r-{seed:020x}-{seed}")
        assert scan.encode_output(each) == encode_output(each)
    with pytest.raises((TypeError, AttributeError)):
        scan.encode_output(b"no output")


def test_the_beginning_and_the_labels_are_read_back(tmp_path):
    writer = SegmentWriter(tmp_path, "guard-0", KEY_ID, NOW)
    numbers = [writer.label("tiny", ("llama-2", "apache"), tenant) for tenant in ("shop", None, "", "shop")]
    assert numbers == [0, 1, 2, 0]
    writer.label("großes Modell", ())
    writer.end(NOW)
    _, reader = read(writer.path)
    assert reader.begin == read_begin(writer.path) == Begin("guard-0", KEY_ID, NOW, boot_id(), "")
    assert reader.labels == [
        Label(0, "tiny", ("llama-2", "apache"), "shop"),
        Label(1, "tiny", ("llama-2", "apache"), None),
        Label(2, "tiny", ("llama-2", "apache"), ""),
        Label(3, "großes Modell", (), None),
    ]
    assert writer.size == writer.path.stat().st_size
    assert writer.path.stat().st_mode & 0o777 == 0o600


def test_an_answer_of_285_words_takes_at_most_300_bytes(tmp_path):
    writer = SegmentWriter(tmp_path, "a", KEY_ID, NOW)
    label = writer.label("meta-llama/Llama-3.1-8B-Instruct", ("llama-3.1",), "shop")
    writer.write()
    for seed in range(50):
        before = writer.size
        writer.add(output(seed, label, prompt=0xFFFF))
        writer.write()
        assert writer.size - before <= 300
    before = writer.size
    for seed in range(50):
        writer.add(output(seed, label))
    writer.write()
    assert writer.size - before <= 290 * 50
    writer.abandon()


def test_a_packed_receipt_takes_eleven_bytes_and_any_other_is_kept_as_it_is():
    sizes = [len(encode_output(output(1, receipt=receipt))) for receipt in (f"r-{1:020x}-7", f"r-{1:020X}-07", "x")]
    assert sizes[0] + 15 == sizes[1]
    for receipt in (f"r-{'f' * 20}-0", f"r-{'F' * 20}-0", f"r-{0:020x}-007", "r-q1-0", "", "ü" * 300):
        payload = encode_output(output(1, receipt=receipt))
        assert read_output(payload, 0, len(payload))[0].receipt == receipt


def test_many_outputs_are_one_frame_and_more_are_several(tmp_path):
    path = written(tmp_path, [output(seed) for seed in range(300)])
    content = path.read_bytes()
    kinds = [content[start] for start, _ in payloads(content, len(MAGIC))]
    assert kinds == [1, 2, 2, 3, 3, 4, 5]
    assert len(read(path)[0]) == 300


def test_a_frame_larger_than_a_chunk_is_read(tmp_path):
    large = output(1, digests=os.urandom(16) * (CHUNK // 14))
    path = written(tmp_path, [output(2), large, output(3)])
    assert path.stat().st_size > CHUNK
    assert read(path)[0] == [output(2), large, output(3)]
    reader = SegmentReader(path, KEY_ID)
    assert list(reader.search(NOTHING)) == []
    assert (reader.state, reader.seen) == ("ended", 3)


def test_what_no_frame_can_hold_is_refused_and_leaves_the_segment_whole(tmp_path):
    writer = SegmentWriter(tmp_path, "a", KEY_ID, NOW)
    writer.label("tiny", ())
    for wrong in (
        output(1, digests=bytes(LARGEST)),
        output(1, prompt=1 << 16),
        output(1, flags=8),
        output(1, words=1 << 32),
    ):
        with pytest.raises((ValueError, OverflowError)):
            writer.add(wrong)
    writer.add(output(2))
    writer.end(NOW)
    assert read(writer.path)[0] == [output(2)]


def test_every_single_flipped_byte_is_noticed(tmp_path):
    path = written(tmp_path, [output(1, count=3), output(2, count=3, receipt="r-q-0")])
    whole = path.read_bytes()
    outputs = read(path)[0]
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        found, reader = read(path)
        searched = SegmentReader(path, KEY_ID)
        list(searched.search(NOTHING))
        assert reader.state in {"damaged", "cut short"}, at
        assert (searched.state, searched.seen) == (reader.state, reader.seen)
        assert found == outputs[: len(found)]


def test_every_cut_leaves_a_prefix_and_no_end(tmp_path):
    path = written(tmp_path, [output(1, count=3), output(2, count=3)])
    whole = path.read_bytes()
    outputs = read(path)[0]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found, reader = read(path)
        assert reader.state == "cut short"
        assert found == outputs[: len(found)]
    path.write_bytes(whole + b"x")
    assert read(path)[1].state == "damaged"


def test_another_key_or_version_is_no_damage_and_no_result(tmp_path):
    path = written(tmp_path, [output(1)])
    found, reader = read(path, b"another.")
    assert (found, reader.state) == ([], "other key")
    first = b"\x95\xa5begin\x01\xa1a"  # how version 1 began: MessagePack
    path.write_bytes(MAGIC + framed(first))
    assert read(path)[1].state == "other version"
    path.write_bytes(MAGIC + framed(bytes((1, 3)) + bytes(40)))
    assert read(path)[1].state == "other version"
    assert read_begin(path) is None


def test_a_well_framed_lie_is_damage(tmp_path):
    path = written(tmp_path, [], end=False)
    whole = path.read_bytes()
    for lie in (
        framed(b"\x09nothing of the kind"),
        framed(encode(Begin("a", KEY_ID, NOW, bytes(8), ""))),
        framed(encode(Label(7, "out of order", (), None))),
        framed(encode(Label(2, "too long", (), None)) + b"x"),
        framed(b"\x02\x02\0\0\0\xff\xff\xff\xff\x0f"),
        framed(b"\x03" + encode_output(output(1, label=2))),
        framed(b"\x03" + encode_output(output(1)) + b"\x10"),
        HEADER.pack(LARGEST + 1, 0),
        HEADER.pack(0, crc32(b"")),
    ):
        path.write_bytes(whole + lie)
        found, reader = read(path)
        searched = SegmentReader(path, KEY_ID)
        list(searched.search(NOTHING))
        assert reader.state == searched.state == "damaged", lie
        assert len(found) == searched.seen == reader.seen


@given(payload=st.binary(max_size=80))
def test_no_payload_breaks_the_decoder(payload):
    try:
        frame = decode(payload)
    except Damaged:
        return
    assert isinstance(frame, Begin | Label | Totals | End)


def test_a_segment_being_written_is_live_and_is_not_written_twice(tmp_path):
    writer = SegmentWriter(tmp_path, "a", KEY_ID, NOW)
    label = writer.label("tiny", ())
    writer.add(output(1, label))
    writer.write()
    found, reader = read(writer.path)
    assert (found, reader.state) == ([output(1)], "live")
    second = SegmentWriter(tmp_path, "a", KEY_ID, NOW)
    assert second.path != writer.path
    second.abandon()
    writer.abandon()
    assert read(writer.path)[1].state == "cut short"


def test_a_beginning_says_what_came_before_and_whether_anything_is_recorded(tmp_path):
    plain = read_begin(written(tmp_path, []))
    assert (plain.before, plain.recorded) == ("", True)
    for recorded in (True, False):
        writer = SegmentWriter(tmp_path, "a", KEY_ID, NOW, "2026-11/x.segment", recorded=recorded)
        writer.end(NOW)
        begin = read_begin(writer.path)
        assert (begin.before, begin.recorded) == ("2026-11/x.segment", recorded)
        assert decode(encode(begin)) == begin
        with pytest.raises(Damaged, match="bytes too many"):
            decode(encode(begin) + b"\1")


def test_a_reader_sees_what_is_appended_between_its_last_look_and_the_end(tmp_path):
    path = written(tmp_path, [output(1), output(2)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    reader = SegmentReader(path, KEY_ID)
    steps = iter(reader)
    next(steps)
    with path.open("r+b") as file:  # the writer ends its file while it is being read
        file.seek(len(whole) - 20)
        file.write(whole[-20:])
    list(steps)
    assert reader.state == "ended"


def test_what_was_refused_by_the_disk_leaves_no_file_that_says_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("guard.provenance.segment.os.write", refuse)
    with pytest.raises(OSError, match="No space"):
        SegmentWriter(tmp_path, "a", KEY_ID, NOW)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_time_is_kept_to_the_millisecond():
    for moment in (0.0, NOW, NOW + 0.123, time.time()):
        payload = encode_output(output(1, time=moment))
        assert read_output(payload, 0, len(payload))[0].time == pytest.approx(moment, abs=0.0005)


def test_a_reader_of_a_search_gives_output_and_label(tmp_path):
    path = written(tmp_path, [output(seed, seed % 2) for seed in range(9)])
    postings = Postings()
    postings.add_digest(5, output(4).digests)
    postings.add_receipt(6, output(7).receipt)
    postings.seal()
    done = []
    found = list(SegmentReader(path, KEY_ID).search(postings, done.append))
    assert [(each.output, each.label.model, each.text, each.mask) for each in found] == [
        (output(4, 0), "model-0", 5, 1 << 127),
        (output(7, 1), "model-1", 6, 1 << 126),
    ]
    assert sum(done) == path.stat().st_size
    assert some_keys(4) != some_keys(7)
