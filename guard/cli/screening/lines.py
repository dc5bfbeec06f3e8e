"""Lines of JSON: read as they come, and checked."""

import json
from collections.abc import Iterator, Mapping
from typing import IO

import msgspec

from guard.screening.segments import Source

ROLES: Mapping[str, Source] = {
    "prompt": Source.USER,
    "user": Source.USER,
    "system": Source.SYSTEM,
    "assistant": Source.OUTPUT,
    "response": Source.OUTPUT,
}
"""What a line's role may be, and how its text is read."""
AT_ONCE = 1 << 18
"""Bytes that are read at a time, if they are there."""


class BadLine(Exception):
    """What is wrong with an input line, and what is allowed."""


class Line(msgspec.Struct, gc=False):
    """One text, and who wrote it: one of ROLES."""

    text: str
    role: str = "prompt"

    @property
    def source(self) -> Source:
        """How the text is read."""
        return ROLES[self.role]


_decode = msgspec.json.Decoder(Line).decode


def batches(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of ``stream``, as many at a time as one read brings, so nothing waits for what is not there."""
    parts: list[bytes] = []
    while chunk := stream.read1(AT_ONCE):  # type: ignore[attr-defined]
        whole, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            parts.append(rest)
            continue
        parts.append(whole)
        yield b"".join(parts).split(b"\n")
        parts = [rest] if rest else []
    if parts:
        yield [b"".join(parts)]


def read(raw: bytes) -> Line:
    """Return what the line ``raw`` says. Raises BadLine."""
    try:
        line = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        line = _read_slowly(raw)  # which knows what is wrong, and takes half a surrogate for a character
    if line.role not in ROLES:
        raise BadLine(_unknown(line.role))
    return line


def _read_slowly(raw: bytes) -> Line:
    try:
        value = json.loads(raw.decode())
    except UnicodeDecodeError:
        raise BadLine("not UTF-8; allowed: one JSON object a line") from None
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
        raise BadLine(f"not JSON ({reason}); allowed: one JSON object a line") from None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise BadLine('no "text"; allowed: an object with a string "text" and an optional "role"')
    role = value.get("role", "prompt")
    if not isinstance(role, str):
        raise BadLine(_unknown(role))
    return Line(value["text"], role)


def _unknown(role: object) -> str:
    return f"role {json.dumps(role)[:40]}; allowed: {', '.join(ROLES)}"
