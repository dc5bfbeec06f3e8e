"""Proves that a journal is as it was written, as far as a hash chain can.

Found: every change, removal, insertion and reordering of entries by somebody who did not recompute the hashes after it,
because the hash has no key; and by somebody who did, wherever a seal stands behind the entry, which he cannot sign.
Found only with a head (or a length) that was kept off the machine: entries cut off the end, a whole file removed, and a
chain recomputed without the seals in it, or by somebody who has the signing key.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from guard.evidence.entry import CLOSE, GENESIS, LEAVES, OPEN, SEAL, SUFFIX, fault, hash_of, outline, parse
from guard.evidence.seal import Seal, SealError, Unsealed
from guard.evidence.signing import Verifier, holds, moment


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
    seals: int = 0
    sealed: int = 0
    """Receipts and declarations under a seal."""
    unsealed: int = 0
    """Those under none: of a version that did not sign, lost to a kill, or about to be sealed."""
    first_unsealed: str | None = None
    """File and line of the first of them."""
    signatures: bool = False
    """True if the seals' signatures were checked: without public keys they cannot be."""


class _Chain(NamedTuple):
    entries: int
    head: str
    bad: Bad | None
    unclean: int
    anchors: frozenset[str]
    seals: "_Seals"


def verify(
    path: Path, *, heads: Collection[str] = (), length: int | None = None, keys: Verifier | None = None
) -> Report:
    """Verify one journal file, or every one in a directory; the signatures of seals by ``keys``.

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
    chains = {file.stem: _walk(file, wanted, keys) for file in files}
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
        sum(chain.seals.seals for chain in chains.values()),
        sum(chain.seals.sealed for chain in chains.values()),
        sum(chain.seals.unsealed for chain in chains.values()),
        next((chain.seals.first_unsealed for chain in chains.values() if chain.seals.unsealed), None),
        keys is not None,
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


def _walk(path: Path, wanted: frozenset[str], keys: Verifier | None) -> _Chain:
    """Follow the chain of one file up to its end or its first bad entry."""
    prev, seq, unclean, anchors, closed = GENESIS, 0, 0, set[str](), True
    bad, seals = None, _Seals(path, keys)
    with path.open("rb") as file:
        for raw in file:
            if not raw.endswith(b"\n"):
                what = "is unfinished: the instance was killed while writing it, or is writing it now"
            else:
                what = fault(raw[:-1], seq + 1, prev) or ""
            if what:
                bad = Bad(str(path), seq + 1, f"the entry {what}")
                break
            kind = outline(raw).kind
            try:
                seals.read(kind, raw, seq + 1)
            except SealError as error:
                bad = Bad(str(path), seq + 1, f"the seal {error}")
                break
            seq, prev = seq + 1, hash_of(raw[:-1])
            seals.heads += bytes.fromhex(prev.decode())
            unclean += kind == OPEN and not closed
            closed = kind == CLOSE
            if wanted and (head := prev.decode()) in wanted:
                anchors.add(head)
    return _Chain(seq, prev.decode(), bad, unclean, frozenset(anchors), seals)


class _Seals:
    """What the seals of one file say, while it is read."""

    def __init__(self, path: Path, keys: Verifier | None) -> None:
        self.seals = self.sealed = 0
        self.heads = bytearray(bytes.fromhex(GENESIS.decode()))
        """Hashes of the entries from the one on that the last seal names, 32 bytes each."""
        self._path, self._keys, self._leaves = path, keys, Unsealed()

    @property
    def unsealed(self) -> int:
        return self._leaves.missed + len(self._leaves)

    @property
    def first_unsealed(self) -> str:
        return f"{self._path}:{self._leaves.first}"

    def read(self, kind: str, raw: bytes, line: int) -> None:
        """Take an entry; of a seal check what it says. Raises SealError."""
        if kind in LEAVES:
            self._leaves.add(kind, parse(raw).facts, line)
        elif kind == SEAL:
            seal = Seal.of(parse(raw).facts)
            self._signed(seal)
            self._follows(seal)
            self.sealed += len(self._leaves.cover(seal))
            self.seals += 1

    def _signed(self, seal: Seal) -> None:
        if self._keys is None:
            return
        key = self._keys.key(seal.key)
        if key is None:
            raise SealError(f"is signed by the key {seal.key!a}, which is not one of those given")
        if not holds(key.public, seal.signed, seal.signature):
            raise SealError(f"has a signature that is not the key's ({key.id}): the seal or the signature was changed")
        if not key.in_use(seal.sealed):
            raise SealError(f"is signed on {moment(seal.sealed)} by the key {key.id}, which was not in use then")

    def _follows(self, seal: Seal) -> None:
        """The entry that the seal names must stand before it: with it all before that one is as it was."""
        wanted = bytes.fromhex(seal.head)
        at = self.heads.find(wanted)
        while at % 32 and at >= 0:
            at = self.heads.find(wanted, at + 1)
        if at < 0:
            raise SealError("names an entry before it that is not there: the chain was recomputed")
        del self.heads[:at]
