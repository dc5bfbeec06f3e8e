"""Proves that a journal is as it was written, as far as a hash chain can.

Found: every change, removal, insertion and reordering of entries by somebody who did not recompute the hashes after it.
Found only with a head (or a length) that was kept off the machine: entries cut off the end, a whole file removed, and a
chain recomputed from some entry on, which anybody who can write the file can do, because the hash has no key.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from guard.evidence.entry import CLOSE, GENESIS, OPEN, SUFFIX, fault, hash_of, outline


class NoJournalError(Exception):
    """There is no journal at a path, or what is there holds no entry of one; the text names the path."""


class Bad(NamedTuple):
    """The first place where a journal is not what it should be. ``line`` is 1-based, 0 for a file as a whole."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """What ``verify`` found. ``heads`` and ``lengths`` go by file name without suffix, up to the first bad entry."""

    ok: bool
    entries: int
    first_bad: Bad | None
    heads: dict[str, str] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    unclean_stops: int = 0
    """Runs that a kill or a crash ended without ``close``; the last moments of each may be missing."""
    anchored: bool = False
    """True if a head or length was given: without one, entries cut off the end are invisible."""


class _Chain(NamedTuple):
    entries: int
    head: str
    bad: Bad | None
    unclean: int
    anchors: frozenset[str]


def verify(path: Path, *, heads: Collection[str] = (), length: int | None = None) -> Report:
    """Verify one journal file, or every one in a directory.

    ``heads`` are hashes kept elsewhere: each must be the hash of an entry. ``length`` is the least number of
    entries all files together must have. Raises NoJournalError if there is no journal at ``path``, and OSError if
    it cannot be read.
    """
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise NoJournalError(f"{path}: no journal (*{SUFFIX}) in this directory")
    if not path.is_dir() and not _is_journal(path):
        raise NoJournalError(f"{path}: not a journal; allowed: a file Guard wrote, or a directory of them")
    wanted = frozenset(head.lower() for head in heads)
    chains = {file.stem: _walk(file, wanted) for file in files}
    entries = sum(chain.entries for chain in chains.values())
    bad = next((chain.bad for chain in chains.values() if chain.bad), None)
    missing = wanted.difference(*(chain.anchors for chain in chains.values()))
    if bad is None and missing:
        bad = Bad(str(path), 0, f"no entry has the hash {min(missing)}: entries were cut off, replaced or recomputed")
    if bad is None and length is not None and entries < length:
        bad = Bad(str(path), 0, f"{entries} entries where there were {length}: entries were cut off")
    return Report(
        bad is None,
        entries,
        bad,
        {name: chain.head for name, chain in chains.items()},
        {name: chain.entries for name, chain in chains.items()},
        sum(chain.unclean for chain in chains.values()),
        bool(wanted) or length is not None,
    )


def _is_journal(path: Path) -> bool:
    """True unless something stands in the file, and not one line of it is an entry."""
    empty = True
    with path.open("rb") as file:
        for line in file:
            empty = False
            try:
                outline(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            return True
    return empty


def _walk(path: Path, wanted: frozenset[str]) -> _Chain:
    """Follow the chain of one file up to its end or its first bad entry."""
    prev, seq, unclean, anchors, closed = GENESIS, 0, 0, set[str](), True
    bad = None
    with path.open("rb") as file:
        for raw in file:
            if not raw.endswith(b"\n"):
                what = "is unfinished: the instance was killed while writing it, or is writing it now"
            else:
                what = fault(raw[:-1], seq + 1, prev) or ""
            if what:
                bad = Bad(str(path), seq + 1, f"the entry {what}")
                break
            seq, prev = seq + 1, hash_of(raw[:-1])
            kind = outline(raw).kind
            unclean += kind == OPEN and not closed
            closed = kind == CLOSE
            if wanted and (head := prev.decode()) in wanted:
                anchors.add(head)
    return _Chain(seq, prev.decode(), bad, unclean, frozenset(anchors))
