"""The head of an answer: written in one piece, and checked for what would be another line of it."""

import re
from collections.abc import Iterable
from enum import IntEnum
from http import HTTPStatus
from typing import NamedTuple

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_PRINTED = bytes([9, *range(32, 127), *range(128, 256)])
"""What a line of a head may hold (RFC 9110 section 5.5)."""
_BODILESS = frozenset({204, 304})
MOST_NAMES = 512
"""Names of headers that are remembered as checked."""


class _Kind(IntEnum):
    PLAIN = 0
    LENGTH = 1
    CODING = 2
    CONNECTION = 3


_KINDS = {
    b"content-length": _Kind.LENGTH,
    b"transfer-encoding": _Kind.CODING,
    b"connection": _Kind.CONNECTION,
}
_names: dict[bytes, _Kind] = {}


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


_STATUS_LINES = {status: _status_line(status) for status in range(200, 600)}


class Head(NamedTuple):
    """The bytes of a head, and how the body behind it is framed."""

    data: bytes
    chunked: bool
    length: int | None
    """Bytes of the body as the head says them, None where it does not."""
    close: bool
    """True: the connection ends with the answer, and the head says so."""


def render(
    status: int, headers: Iterable[tuple[bytes, bytes]], date: bytes, *, method: str, chunks: bool, close: bool
) -> Head:
    """Return the head of an answer to ``method``; ``date`` is a whole line.

    Without a length of its own the body is chunked where the client takes ``chunks`` (HTTP/1.1), and ends with the
    connection where it does not. Raises ValueError for a status outside 200 to 599, and for a name or value that
    HTTP cannot carry.
    """
    line = _STATUS_LINES.get(status)
    if line is None:
        raise ValueError(f"status {status}; allowed: 200 to 599")
    parts = [line, date]
    lines, length, chunked, said = 3, None, False, False
    for name, value in headers:
        kind = _names.get(name)
        if kind is None:
            kind = _checked(name)
        if kind is _Kind.LENGTH:
            if length is not None or not value.isdigit():
                raise ValueError("a Content-Length that is no length, or the second one")
            length = int(value)
        elif kind is _Kind.CODING:
            chunked = value.lower() == b"chunked"
        elif kind is _Kind.CONNECTION and b"close" in (token.strip().lower() for token in value.split(b",")):
            close = said = True
        parts += (name, b": ", value, b"\r\n")
        lines += 1
    if chunked and length is not None:
        raise ValueError("a Content-Length beside a transfer coding")
    if length is None and not chunked and status not in _BODILESS and method != "HEAD":
        if chunks:
            chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
            lines += 1
        else:
            close = True
    if close and not said:
        parts.append(b"connection: close\r\n")
        lines += 1
    parts.append(b"\r\n")
    data = b"".join(parts)
    if data.translate(None, _PRINTED) != b"\r\n" * lines:
        raise ValueError("a header's value with a line break or another control character")
    return Head(data, chunked, 0 if length is None and (status in _BODILESS or method == "HEAD") else length, close)


def _checked(name: bytes) -> _Kind:
    if not _TOKEN(name):
        raise ValueError("a header's name that is no token")
    kind = _KINDS.get(name.lower(), _Kind.PLAIN)
    if len(_names) < MOST_NAMES:
        _names[name] = kind
    return kind
