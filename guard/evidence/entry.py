"""One line of the audit journal: what happened, and the hash that ties it to everything before it.

A line is ``{"seq":..,"time":..,"kind":..,"facts":{..},"prev":"..","hash":".."}`` without white space, in that order.
Its *canonical* form is the same object without ``prev`` and ``hash``, and ``hash`` is
``SHA-256(prev as 64 hexadecimal digits || canonical)``: anybody can recompute it with any SHA-256 tool. The first entry
of a chain has ``seq`` 1 and a ``prev`` of 64 zeros; both run on over the files of the chain
(``guard.evidence.journals``).

The journal itself writes ``open``, ``close``, ``torn``, ``damaged``, ``gap``, ``seal``, ``checkpoint``, ``rotate`` and
``continue``; its users write ``start``, ``stop``, ``decision``, ``late_findings``, ``receipt``, ``declaration``,
``reload``, ``threshold``, ``export_check``, ``candidate``, ``candidate_reload``, ``usage_import`` and
``usage_declared``. Facts hold keyed digests, ids and numbers, never user text, never a raw identity: that is the
caller's duty, because the journal cannot tell a digest from a name.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

GENESIS = b"0" * 64
LONGEST = 16 * 1024 * 1024
"""Bytes of the longest line; what is longer is no entry."""
EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_800.0
"""Times that an entry may have, in epoch seconds: from the year 1 to before the year 10000."""
MOST = 2**63
"""An entry has a number below it."""
OPEN, CLOSE = "open", "close"
"""Kinds of the first and the last entry of a run. An ``open`` whose predecessor is no ``close`` followed a kill."""
LEAVES = frozenset({"receipt", "declaration"})
"""Kinds of the entries that a seal signs."""
SEAL = "seal"
CHECKPOINT = "checkpoint"
"""Kind of the entry that signs the chain up to the entry before it (``guard.evidence.checkpoint``)."""
ROTATE, CONTINUE = "rotate", "continue"
"""Kinds of the last entry of a closed file and of the first one of the file behind it."""
DAMAGED = "damaged"
_PREV, _HASH, _END = b',"prev":"', b'","hash":"', b'"}'
_TAIL = len(_PREV) + 64 + len(_HASH) + 64 + len(_END)


class NotAnEntry(ValueError):
    """Bytes that are no entry of a journal."""


class Content(msgspec.Struct, frozen=True):
    """What the hash of an entry covers besides the hash before it. ``time`` is in epoch seconds."""

    seq: int
    time: float
    kind: str
    facts: dict[str, Any]


class Entry(Content, frozen=True):
    """One complete entry; ``prev`` and ``hash`` are 64 lower-case hexadecimal digits."""

    prev: str
    hash: str


class Outline(msgspec.Struct, frozen=True):
    """The part of an entry that a chain itself needs."""

    seq: int
    kind: str


class Canonical(NamedTuple):
    """The facts of a leaf as canonical JSON (``guard.evidence.envelope``): encoded once, for its entry and its hash."""

    id: str
    octets: bytes


class _Encoded(msgspec.Struct, frozen=True):
    """What ``Content`` is, with facts that are JSON already."""

    seq: int
    time: float
    kind: str
    facts: msgspec.Raw


class Linked(NamedTuple):
    """A line ready to be written (with its line feed) and the hash the next one follows."""

    line: bytes
    hash: bytes


Facts = Mapping[str, Any] | Canonical
"""Of an entry that is to be linked."""
_C = TypeVar("_C", bound=Content)
_encoder = msgspec.json.Encoder()
_outline = msgspec.json.Decoder(Outline)
_content = msgspec.json.Decoder(Content)
_entry = msgspec.json.Decoder(Entry)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def link(prev: bytes, seq: int, time: float, kind: str, facts: Facts) -> Linked:
    """Return the line of an entry that follows ``prev``.

    Facts that are no JSON, or more than a line holds, are named instead of kept.
    """
    try:
        if isinstance(facts, Canonical):
            canonical = _encoder.encode(_Encoded(seq, time, kind, msgspec.Raw(facts.octets)))
        else:
            canonical = _encoder.encode(Content(seq, time, kind, dict(facts)))
        if len(canonical) + _TAIL >= LONGEST:
            raise OverflowError(kind)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        names = msgspec.json.decode(facts.octets) if isinstance(facts, Canonical) else facts
        named = {"unwritable": type(error).__name__, "names": sorted(ascii(name)[:64] for name in names)}
        canonical = _encoder.encode(Content(seq, time, kind, named))
    digest = sha256(prev + canonical).hexdigest().encode()
    return Linked(b"".join((canonical[:-1], _PREV, prev, _HASH, digest, _END, b"\n")), digest)


def checked(line: bytes, seq: int, prev: bytes) -> "Content | str":
    """Return ``line`` (without its line feed) as entry ``seq`` after ``prev``, or what is wrong with it."""
    tail, canonical = line[-_TAIL:], line[:-_TAIL] + b"}"
    found_prev, found_hash = tail[len(_PREV) : len(_PREV) + 64], tail[-len(_END) - 64 : -len(_END)]
    if tail != b"".join((_PREV, found_prev, _HASH, found_hash, _END)):
        return "is not an entry of a journal"
    if found_prev != prev:
        return "does not follow the entry before it: one was removed, inserted, moved or replaced"
    if found_hash != sha256(prev + canonical).hexdigest().encode():
        return "was changed after it was written"
    try:
        found = _sound(_content, canonical)
    except NotAnEntry:
        return "is not an entry of a journal"
    if found.seq != seq:
        return f"has sequence number {found.seq} where {seq} is due"
    return found


def hash_of(line: bytes) -> bytes:
    """Return the hash that ``line`` (without its line feed) states."""
    return line[-len(_END) - 64 : -len(_END)]


def prev_of(line: bytes) -> bytes:
    """Return the hash that ``line`` (without its line feed) says it follows."""
    return line[-_TAIL + len(_PREV) :][:64]


def outline(line: bytes) -> Outline:
    """Return number and kind of the entry in ``line``, unverified. Raises NotAnEntry for what is plainly none.

    What stands beside the two is not looked at: ``parse`` may raise still.
    """
    try:
        return _outline.decode(line)
    except _UNREADABLE as error:
        raise NotAnEntry(str(error)) from None


def parse(line: bytes) -> Entry:
    """Return the entry in ``line``, unverified. Raises NotAnEntry, and nothing else, if it is none."""
    return _sound(_entry, line)


def _sound(decoder: msgspec.json.Decoder[_C], line: bytes) -> _C:
    """Return what ``decoder`` reads, with a number from 1 on and a time that a calendar has. Raises NotAnEntry."""
    try:
        found = decoder.decode(line)
    except _UNREADABLE as error:
        raise NotAnEntry(str(error)) from None
    if not 0 < found.seq < MOST or not EARLIEST <= found.time < LATEST:
        raise NotAnEntry(f"number {found.seq}, time {found.time}")
    return found


def read(path: Path) -> Iterator[Entry]:
    """Yield the entries of one journal file in order, unverified; an unfinished last line is left out.

    Raises NotAnEntry at a line that is none: verify the file first.
    """
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield parse(line)
