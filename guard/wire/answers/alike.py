"""Events of a stream that are alike: all but one string in them is the same, so that string is all there is to read.

A server writes the events of one answer by one pattern. Once an event was read in full, and what it brings is one piece
of one text, the next ones are compared with it: bytes that are the same mean the same.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from guard.wire.answers.hold import Lane

MOST = 8
"""Patterns that are kept of one stream: one for each text of each choice; events by other patterns are read in full."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"')
_string = msgspec.json.Decoder(str).decode


class Alike(NamedTuple):
    """Events that begin and end the same, and bring the string between as a piece of a text."""

    begin: bytes
    """All before the string, its quote included."""
    end: bytes
    """All behind it, from its quote on to the blank line."""
    low: int
    high: int
    """Where the string with its quotes is in an event, from its beginning and from its end."""
    lane: Lane
    name: str
    """The name of the text."""

    @classmethod
    def of(cls, begin: bytes, end: bytes, lane: Lane, name: str) -> "Alike":
        """Return the events that begin and end like this."""
        return cls(begin, end, len(begin) - 1, 1 - len(end), lane, name)

    def piece(self, event: bytes) -> str | None:
        """Return the string in ``event``; None if it is not such an event.

        A quote, a line end or another event between the two would not be part of one string, and so not be read.
        """
        if not (event.startswith(self.begin) and event.endswith(self.end)):
            return None
        try:
            return _string(event[self.low : self.high])
        except ValueError:
            return None


Only = tuple[Any, str, str]
"""A struct and the name of its attribute that holds all the text of an event, and what that text is called."""


def around(
    data: bytes, chunk: Any, only: Only, read: Callable[[bytes], tuple[Any, Only | None]]
) -> tuple[bytes, bytes] | None:
    """Return what stands before and behind the one string that changes in events like ``data``, its quotes included.

    ``data`` was read to ``chunk``, whose text is ``only``; ``read`` reads another. That a string is this text, and that
    nothing else hangs on it, is tried out: with another in its place the event reads the same but for the text. None if
    no such string is found.
    """
    holder, key, name = only
    at = data.rfind(b'"%b":' % key.encode()) + len(key) + 3
    token = _TOKEN.match(data, at + 1 if data[at : at + 1] == b" " else at)
    if token is None:
        return None
    begin, end = data[: token.start() + 1], data[token.end() - 1 :]
    text = getattr(holder, key)
    probe = "b" if text == "a" else "a"
    try:
        other, its = read(begin + probe.encode() + end)
    except (ValueError, RecursionError):
        return None
    if its is None or its[1:] != (key, name) or getattr(its[0], key) != probe:
        return None
    setattr(its[0], key, text)
    return (begin, end) if other == chunk else None
