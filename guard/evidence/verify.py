"""Proves that audit chains are as they were written, as far as hashes, signatures and heads kept elsewhere can.

Found without anything: every change, removal, insertion and reordering of entries or files by somebody who did not
recompute the hashes after it. With the public keys: recomputed ones too, up to the last checkpoint or seal that is
there. Only with heads kept off the machine: entries cut off the end, a whole chain removed, a chain recomputed without
the signatures in it, or by somebody who has the signing key.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from guard.evidence.checkpoint import Checkpoint, CheckpointError
from guard.evidence.coverage import Coverage
from guard.evidence.doubles import doubles
from guard.evidence.entry import NotAnEntry, outline, parse
from guard.evidence.journals import SUFFIX, Chain, journals, lines_of, live_path, number_of, odd
from guard.evidence.kept import Kept
from guard.evidence.seal import SealError
from guard.evidence.signing import Verifier
from guard.evidence.walk import Bad, BrokenChainError, Walk

TOLD = 4 * 1024 * 1024
"""Bytes between two reports of how far a verification is."""


class NoJournalError(Exception):
    """There is no journal at a path, or what is there holds no entry of one; the text names the path."""


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What was found of one chain, up to its first bad entry."""

    name: str
    files: tuple[str, ...]
    bad: Bad | None
    entries: int
    first: int
    """Number of the first entry; those before it are in files that are not here. 1 for an empty chain."""
    length: int
    """Number of the last entry."""
    head: str
    """Its hash, in hexadecimal."""
    began: float | None
    """Time of the first entry, in epoch seconds."""
    ended: float | None
    unclean_stops: int
    checkpoints: int
    checkpoint: Checkpoint | None
    """The last one."""
    unsigned: int
    """Entries behind it: all of them where there is none."""
    trusted: bool
    """The beginning is the chain's own, or a checked checkpoint or a head speaks for it."""
    live: bool
    """The file that entries are appended to is among those read."""
    matched: int
    """Heads that are of an entry of this chain."""
    seals: int
    sealed: int
    """Receipts and declarations under a seal."""
    unsealed: int
    """Those under none: of a version that did not sign, lost to a kill, or about to be sealed."""
    first_unsealed: str | None
    """File and line of the first of them."""
    early: int
    """Checkpoints and seals that were signed before their key is listed: a clock was set back since."""
    first_early: str | None
    """File and line of the first of them."""
    earlier: tuple[str, ...]
    """Files that do not count, because another one, in another place, begins with everything that is in them."""
    announced: bool
    """False for a chain that looks set aside, while no ``damaged`` entry of its instance says so."""


@dataclass(frozen=True, slots=True)
class Report:
    """What ``verify`` found."""

    chains: tuple[ChainReport, ...]
    bads: tuple[Bad, ...]
    """The first bad place of each chain, and what is bad beside."""
    anchored: bool
    """True if a head or length was given: without one, entries cut off the end are invisible."""
    signatures: bool
    """True if signatures were checked: without public keys they cannot be."""
    not_compared: int
    """Heads of entries in files that are not here."""

    @property
    def ok(self) -> bool:
        """True if nothing bad was found."""
        return not self.bads

    @property
    def first_bad(self) -> Bad | None:
        """The first of what is bad."""
        return next(iter(self.bads), None)

    @property
    def entries(self) -> int:
        """Entries that were verified."""
        return sum(chain.entries for chain in self.chains)

    @property
    def heads(self) -> dict[str, str]:
        """The last hash of every chain, by its name."""
        return {chain.name: chain.head for chain in self.chains}

    @property
    def lengths(self) -> dict[str, int]:
        """The number of the last entry of every chain, by its name."""
        return {chain.name: chain.length for chain in self.chains}

    @property
    def unclean_stops(self) -> int:
        """Runs that a kill or a crash ended without ``close``; the last moments of each may be missing."""
        return sum(chain.unclean_stops for chain in self.chains)

    @property
    def seals(self) -> int:
        """Seals that are over the leaves before them."""
        return sum(chain.seals for chain in self.chains)

    @property
    def sealed(self) -> int:
        """Receipts and declarations under one."""
        return sum(chain.sealed for chain in self.chains)

    @property
    def unsealed(self) -> int:
        """Receipts and declarations under none."""
        return sum(chain.unsealed for chain in self.chains)

    @property
    def first_unsealed(self) -> str | None:
        """File and line of the first of these."""
        return next((chain.first_unsealed for chain in self.chains if chain.first_unsealed), None)


def verify(
    *places: Path,
    heads: Iterable[Kept] = (),
    length: int | None = None,
    keys: Verifier | None = None,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Report:
    """Verify the chains in ``places``, directories or single files; what is in several of them is put together.

    What is named as a journal and is no file is bad, and so is a chain that shares entries with another one. ``heads``
    were kept elsewhere: each must be the hash of an entry. ``length`` is the least number of entries all
    chains together must have. Signatures are checked by ``keys``. ``progress`` is told of bytes that were read.
    Raises NoJournalError if there is no journal in one of ``places``, unless heads or a length say that there was one,
    and OSError if it cannot be read.
    """
    wanted = list(heads)
    known = bool(wanted) or bool(length)
    for place in places:
        _look_at(place, known=known)
    found, strange = journals(*places), odd(*places)
    readings = [_Reading(chain, wanted, keys, progress) for chain in found]
    for reading in readings:
        reading.run()
    aside = {(reading.chain.instance, name) for reading in readings for name in reading.walk.aside}
    chains = tuple(reading.report(aside) for reading in readings)
    bads = [chain.bad for chain in chains if chain.bad]
    bads += [Bad(str(path), 0, "is named as a journal, and is no regular file: it was not read") for path in strange]
    bads += [
        Bad(str(double.file), 1, f"begins with an entry of {double.of}: it is a copy") for double in doubles(found)
    ]
    bads += _distrusted(chains)
    bads += _forged(wanted, keys)
    absent, not_compared = _unmatched(wanted, readings, places[0])
    bads += absent
    entries = sum(chain.length for chain in chains)
    if not bads and length is not None and entries < length:
        bads.append(Bad(str(places[0]), 0, f"{entries} entries where there were {length}: entries were cut off"))
    return Report(chains, tuple(bads), bool(wanted) or length is not None, keys is not None, not_compared)


def _look_at(place: Path, *, known: bool) -> None:
    """Raises NoJournalError where no journal is, unless it is ``known`` that there was one, and OSError."""
    if place.is_dir():
        if not known and not journals(place) and not odd(place):
            raise NoJournalError(f"{place}: no journal (*{SUFFIX}) in this directory")
    elif not (known and not place.exists()) and not _is_journal(place):
        raise NoJournalError(f"{place}: not a journal; allowed: a file Guard wrote, or a directory of them")


class _Reading:
    """One chain while it is read."""

    def __init__(
        self, chain: Chain, wanted: Sequence[Kept], keys: Verifier | None, progress: Callable[[int], None]
    ) -> None:
        self.chain, self.walk = chain, Walk(chain.name, chain.instance, keys)
        self.matched: set[Kept] = set()
        self.otherwise: dict[Kept, Bad] = {}
        """Heads of an entry that has another hash here, and where it stands."""
        self.bad: Bad | None = None
        self._coverage = Coverage(keys)
        self._by_hash: dict[str, list[Kept]] = {}
        self._by_seq: dict[int, list[Kept]] = {}
        for kept in wanted:
            if kept.checkpoint is None:
                self._by_hash.setdefault(kept.head, []).append(kept)
            elif kept.checkpoint.instance == chain.instance:
                self._by_seq.setdefault(kept.checkpoint.seq, []).append(kept)
        self._progress, self._untold = progress, 0
        self._paths: list[Path] = []
        self._firsts: list[int] = []
        """Number of the first entry of each file."""
        self._ends: list[bytes] = []

    def run(self) -> None:
        """Follow the chain to its end or to its first bad entry."""
        try:
            lives = [path for path in self.chain.files if number_of(path) is None]
            if len(lives) > 1:
                raise BrokenChainError(Bad(str(lives[1]), 0, f"is the live file of the chain, and so is {lives[0]}"))
            for path, file in self.chain.opened():
                self.walk.begin(path)
                self._paths.append(path)
                self._read(file)
        except BrokenChainError as error:
            self.bad = error.bad
        self._progress(self._untold)

    def _read(self, file: BinaryIO) -> None:
        walk, coverage, compared = self.walk, self._coverage, bool(self._by_hash or self._by_seq)
        raw = b""
        for raw in lines_of(file):
            kind = walk.take(raw)
            if walk.line == 1:
                self._firsts.append(walk.seq)
                if len(self._firsts) == 1:
                    self._began(raw)
            try:
                coverage.take(kind, raw, walk.seq, walk.prev)
            except SealError as error:
                offset = walk.offset - len(raw)
                bad = Bad(str(self._paths[-1]), walk.line, f"the seal {error}", offset, len(raw))
                raise BrokenChainError(bad) from None
            if compared:
                self._compare(walk.seq, walk.prev.decode(), raw)
            self._untold += len(raw)
            if self._untold > TOLD:
                self._progress(self._untold)
                self._untold = 0
        self._ends[1:] = [raw] if raw else self._ends[1:]

    def _began(self, raw: bytes) -> None:
        self._ends.append(raw)
        if self.walk.seq > 1:
            before = parse(raw).prev
            self._coverage.begin(before.encode())
            self._compare(self.walk.seq - 1, before, b"")

    def _compare(self, seq: int, hash_: str, raw: bytes) -> None:
        self.matched.update(self._by_hash.get(hash_, ()))
        for kept in self._by_seq.get(seq, ()):
            if kept.head == hash_:
                self.matched.add(kept)
            else:
                what = f"entry {seq} has another hash than in {kept.where}: the chain was recomputed or replaced"
                at = self.walk.offset - len(raw)
                self.otherwise[kept] = Bad(str(self._paths[-1]), self.walk.line, what, at, len(raw))

    def report(self, aside: set[tuple[str, str]]) -> ChainReport:
        """Return what was found; ``aside`` has the instances and files that ``damaged`` entries name."""
        walk, coverage = self.walk, self._coverage
        first = walk.first or 1
        times = [parse(raw).time for raw in self._ends]
        trusted = first == 1 or bool(self.matched) or (walk.keys is not None and walk.checkpoints > 0)
        return ChainReport(
            self.chain.name,
            tuple(map(str, self._paths)),
            self.bad,
            walk.seq - first + 1,
            first,
            walk.seq,
            walk.prev.decode(),
            times[0] if times else None,
            times[-1] if times else None,
            walk.unclean,
            walk.checkpoints,
            walk.checkpoint,
            walk.seq - max(walk.signed, first - 1),
            trusted,
            any(number_of(path) is None for path in self._paths),
            len(self.matched),
            coverage.seals,
            coverage.sealed,
            coverage.unsealed,
            self._place(coverage.first_unsealed),
            walk.early + coverage.early,
            ":".join(map(str, walk.first_early)) if walk.first_early else self._place(coverage.first_early),
            tuple(f"{copy.file} is what {copy.of} was earlier" for copy in self.chain.copies if not copy.whole),
            self.chain.name == self.chain.instance
            or (self.chain.instance, live_path(Path(), self.chain.name).name) in aside,
        )

    def _place(self, seq: int | None) -> str | None:
        """Return file and line of an entry."""
        if seq is None:
            return None
        at = bisect_right(self._firsts, seq) - 1
        return f"{self._paths[at]}:{seq - self._firsts[at] + 1}"


def _distrusted(chains: Iterable[ChainReport]) -> Iterator[Bad]:
    """Yield the beginnings that nothing speaks for."""
    for chain in chains:
        if not chain.trusted and chain.entries and chain.bad is None:
            what = f"begins with entry {chain.first}, and neither a checked checkpoint nor a head speaks for that"
            yield Bad(chain.files[0], 1, f"{what}: give the files before it, the public keys or heads")


def _forged(wanted: Iterable[Kept], keys: Verifier | None) -> Iterator[Bad]:
    """Yield the heads whose signature does not hold."""
    for kept in wanted if keys is not None else ():
        try:
            if kept.checkpoint is not None and keys is not None:
                kept.checkpoint.check(keys)
        except CheckpointError as error:
            yield Bad(kept.file, kept.line, f"the head {error}")


def _unmatched(wanted: Iterable[Kept], readings: Sequence[_Reading], place: Path) -> tuple[list[Bad], int]:
    """Return the first head of each instance that is of no entry, and how many are of entries that are not here."""
    first: dict[str | None, Bad] = {}
    elsewhere = 0
    matched = set[Kept]().union(*(reading.matched for reading in readings))
    for kept in wanted:
        if kept in matched:
            continue
        made = kept.checkpoint
        if made is None:
            what = f"no entry has the hash {kept.head}: entries were cut off, replaced or recomputed"
            first.setdefault(None, Bad(kept.file if kept.line else str(place), kept.line, what))
            continue
        chains = [reading for reading in readings if reading.chain.instance == made.instance]
        if any((reading.walk.first or 1) - 1 > made.seq for reading in chains):
            elsewhere += 1
        elif made.instance not in first:
            first[made.instance] = _missed(kept, made, chains, place)
    return list(first.values()), elsewhere


def _missed(kept: Kept, made: Checkpoint, chains: Sequence[_Reading], place: Path) -> Bad:
    """Return what became of the entry that a head is of."""
    for reading in chains:
        if kept in reading.otherwise:
            return reading.otherwise[kept]
    if not chains:
        return Bad(
            str(place), 0, f"there is no journal of {made.instance}, and {kept.where} has entry {made.seq} of it"
        )
    longest = max(chains, key=lambda reading: reading.walk.seq)
    what = f"ends with entry {longest.walk.seq}, and {kept.where} has entry {made.seq}: entries were cut off"
    return Bad(str(longest.chain.files[-1]), 0, what)


def _is_journal(path: Path) -> bool:
    """True unless something stands in the file, and not one line of it is an entry. Raises OSError."""
    if path.exists() and not path.is_file():
        return False
    empty = True
    with path.open("rb") as file:
        for line in lines_of(file):
            empty = False
            with suppress(NotAnEntry):
                outline(line)
                return True
    return empty
