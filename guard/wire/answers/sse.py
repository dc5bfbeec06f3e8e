"""Server-sent events: bytes that may be split anywhere to whole events, and back (WHATWG HTML, 9.2.6).

Only events in the one form that every parser reads alike keep their bytes; the others are written anew.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from guard.wire.body import complete
from guard.wire.dialect import GarbledAnswer

MAX_EVENT = 64 * 1024 * 1024
"""Bytes of the largest event, and of all events that may wait at a time."""

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class Event(NamedTuple):
    """One event. ``exact`` tells that its block is written as ``encode`` would write it."""

    name: bytes | None
    data: bytes | None
    """None for a block of comments only."""
    exact: bool


class Frames:
    """Cuts a byte stream into blocks: what stands between two blank lines, with LF line ends and no blank line."""

    __slots__ = ("_buffer", "_limit", "_returned")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self._returned = False
        """The last byte was a CR: an LF that follows belongs to it."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits for what comes next."""
        return not self._buffer and not self._returned

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Return the blocks that ``data`` completes. Raises GarbledAnswer at a block over the limit."""
        if (
            not self._buffer
            and data.endswith(b"\n\n")
            and len(data) <= self._limit
            and not self._returned
            and b"\r" not in data
            and b"\n\n\n" not in data
        ):
            blocks = data.split(b"\n\n")
            blocks.pop()
            return blocks if data[0] != 10 else self._cut(data)
        return self._cut(data)

    def _cut(self, data: bytes) -> Iterator[bytes]:
        if self._returned or b"\r" in data:
            data = self._line_feeds(data)
        buffer = self._buffer
        if buffer:
            seam = len(buffer) - 1
            buffer += data
            if buffer.find(b"\n\n", seam) < 0:
                if len(buffer) > self._limit:
                    raise GarbledAnswer(f"an event of more than {self._limit} bytes")
                return
            data = bytes(buffer)
            buffer.clear()
        blocks = data.split(b"\n\n")
        tail = blocks.pop()
        if tail:
            buffer += tail
        for block in blocks:
            if len(block) > self._limit:
                raise GarbledAnswer(f"an event of more than {self._limit} bytes")
            if block:
                yield block if block[0] != 10 else block.lstrip(b"\n")
        if len(tail) > self._limit:
            raise GarbledAnswer(f"an event of more than {self._limit} bytes")

    def tail(self) -> bytes:
        """Return the block that the end of the stream left without its blank line."""
        return bytes(self._buffer).strip(b"\n")

    def _line_feeds(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._returned and data.startswith(b"\n"):
            data = data[1:]
        self._returned = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def parse(block: bytes) -> Event:
    """Return the event that stands in ``block``; ``id``, ``retry`` and unknown fields are left out of it."""
    lines = block.split(b"\n")
    if len(lines) == 1 and lines[0].startswith(b"data: "):
        return Event(None, lines[0][6:], True)
    if len(lines) == 2 and lines[0].startswith(b"event: ") and lines[1].startswith(b"data: "):
        return Event(lines[0][7:], lines[1][6:], True)
    name: bytes | None = None
    data: list[bytes] = []
    for line in lines:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(name, b"\n".join(data) if data else None, False)


def encode(document: dict[str, Any], name: str | None = None) -> bytes:
    """Return ``document`` as the bytes of one event, with an ``event:`` line if it has a ``name``."""
    if name is None:
        return b"data: " + _encode(document) + b"\n\n"
    return b"event: " + name.encode() + b"\ndata: " + _encode(document) + b"\n\n"


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object in an event's data. Raises GarbledAnswer for anything else."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GarbledAnswer("an event that is not JSON") from error
    if not isinstance(document, dict):
        raise GarbledAnswer("an event that is not a JSON object")
    return document


def once(data: bytes, document: dict[str, Any] | None = None) -> bool:
    """Return whether it is proven that no key is twice in the JSON ``data``, which decodes to ``document``.

    Readers differ in which of two they take; what was not read by ours must not leave. False too for what is no JSON.
    """
    try:
        return complete(data, msgspec.json.encode(msgspec.json.decode(data) if document is None else document))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
