"""Bytes to events: one stream has one reading, however it arrives."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.wire.answers.sse import Event, Frames, encode, parse
from guard.wire.dialect import GarbledAnswer


def blocks(*parts: bytes) -> list[bytes]:
    frames = Frames()
    return [block for part in parts for block in frames.feed(part)]


def test_an_event_ends_with_a_blank_line_of_any_kind():
    for end in (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"):
        assert blocks(b"data: 1" + end + b"data: 2" + end) == [b"data: 1", b"data: 2"]


def test_more_blank_lines_than_needed_are_nothing():
    assert blocks(b"\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n\n") == [b"data: 1", b"data: 2"]


def test_half_an_event_is_the_tail():
    frames = Frames()
    assert list(frames.feed(b"data: 1\n\ndata: {")) == [b"data: 1"]
    assert frames.tail() == b"data: {"


stream = st.lists(
    st.sampled_from([b"data: a", b"data: b", b"event: x", b": hi", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"]),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(stream, st.lists(st.integers(0, 80), max_size=6))
def test_blocks_do_not_depend_on_the_chunks(parts, marks):
    data = b"".join(parts)
    cuts = sorted({min(mark, len(data)) for mark in marks} | {0, len(data)})
    chunks = [data[start:end] for start, end in pairwise(cuts)]
    assert blocks(*chunks) == blocks(data)
    assert blocks(*[data[index : index + 1] for index in range(len(data))]) == blocks(data)


def test_an_event_over_the_limit_is_garbled_whole_or_growing():
    with pytest.raises(GarbledAnswer, match="more than 20 bytes"):
        list(Frames(20).feed(b"data: " + b"x" * 30 + b"\n\n"))
    frames = Frames(20)
    assert list(frames.feed(b"data: xxxxxxx")) == list(frames.feed(b"xxxxxxx")) == []
    with pytest.raises(GarbledAnswer, match="more than 20 bytes"):
        list(frames.feed(b"x"))
    frames = Frames(20)
    assert list(frames.feed(b"data: 1\n\ndata: 2\n\ndata: 3\n\n")) == [b"data: 1", b"data: 2", b"data: 3"]


def test_many_small_chunks_of_one_event_cost_no_more_than_their_bytes():
    frames = Frames()
    for _ in range(20_000):
        assert list(frames.feed(b"x" * 10)) == []
    assert len(frames.tail()) == 200_000


def test_an_event_is_read_as_browsers_read_it():
    assert parse(b"data: {}") == Event(None, b"{}", True)
    assert parse(b"event: ping\ndata: {}") == Event(b"ping", b"{}", True)
    assert parse(b"data:{}") == Event(None, b"{}", False)
    assert parse(b"data: {\ndata: }") == Event(None, b"{\n}", False)
    assert parse(b"id: 7\nretry: 1\n: note\ndata: 1\nevent: x") == Event(b"x", b"1", False)
    assert parse(b": keep-alive") == Event(None, None, False)


def test_what_is_written_reads_back_exactly():
    assert parse(encode({"a": "é\n"}).removesuffix(b"\n\n")) == Event(None, '{"a":"é\\n"}'.encode(), True)
    assert parse(encode({"a": 1}, "x").removesuffix(b"\n\n")) == Event(b"x", b'{"a":1}', True)
