"""Reads the chains of one month: each is verified from its beginning, and what its entries of the month say added up.

An entry is of the month by its own time. A chain is read to its end, but nothing after the month is in the result, only
that there is something: a journal that has grown since gives the same one. Memory does not grow with the journals.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from guard.evidence.coverage import Coverage
from guard.evidence.entry import CHECKPOINT, CLOSE, CONTINUE, DAMAGED, LONGEST, OPEN, ROTATE, hash_of, prev_of
from guard.evidence.journals import Chain, lines_of
from guard.evidence.report.counts import Listed, Place
from guard.evidence.report.decisions import Decisions
from guard.evidence.report.month import Month
from guard.evidence.report.records import Records
from guard.evidence.report.runs import Runs
from guard.evidence.report.shapes import Unreadable, facts_of
from guard.evidence.report.versions import Versions
from guard.evidence.seal import SealError
from guard.evidence.signing import Verifier
from guard.evidence.walk import BrokenChainError, Walk

_STATE = frozenset({OPEN, CLOSE, CONTINUE, "start", "stop", "reload"})
"""Kinds of which those before the month matter too: what was in force, and what ran, when it began."""
_OF_FILES = frozenset({CONTINUE, CHECKPOINT, ROTATE})
"""Kinds that begin a file, whoever goes on with it."""
SET_APART, FOUND = "damaged", "found"
_DISTURBED = {
    "torn": "an unfinished line was set apart",
    SET_APART: "a journal could not be continued and was set apart",
    FOUND: "the gateway found its own chain changed",
    "gap": "entries were refused by the disk",
}
_NAMED = 20
"""Places of unreadable entries that are named; more are counted."""
_BACK = 1.0
"""Seconds by which a time has to be before that of the entry before it: threads may stamp theirs out of order."""


class Named(NamedTuple):
    """A chain, what it is called in the report, and the keys by which its signatures are checked, if there are any."""

    name: str
    chain: Chain
    keys: Verifier | None = None


class Fault(NamedTuple):
    """Where a chain is not what it should be. ``entry`` is the number that is due there."""

    entry: int
    what: str


@dataclass(slots=True)
class Read:
    """What was read of one chain up to its last entry of the month."""

    name: str
    first: int = 0
    """The number of its first entry that is there: 1, unless older files were moved away."""
    missing: bool = False
    """Files that are not there may have entries of the month."""
    length: int = 0
    """The number of the last entry that is no later than the month; 0 if there is none."""
    head: str = ""
    """Its hash."""
    entries: int = 0
    """Entries of the month."""
    from_: int = 0
    """The number of the first of them."""
    until: float = 0.0
    """The time of the latest entry of the month."""
    kinds: Counter[str] = field(default_factory=Counter)
    backwards: int = 0
    """How often a time of the month is before that of the entry before it: the clock was set back."""
    signatures: bool = False
    """True if signatures were checked: without public keys they cannot be."""
    fault: Fault | None = None
    """The first place where it does not verify, be it of the month or not."""
    trusted: bool = True
    """The beginning is the chain's own, or a checked checkpoint speaks for it."""
    unproven: int = 0
    """Entries from there on."""
    unreadable: int = 0
    """Lines of the month that are no entries, and entries that say nothing that can be counted."""
    places: list[str] = field(default_factory=list)
    """Where they stand, the first of them: ``entry 8``, ``behind entry 7``."""


@dataclass(slots=True)
class Evidence:
    """Everything that the journals say of one month."""

    month: Month
    chains: list[Read]
    later: bool
    """True if a journal has entries of after the month: then it is over."""
    runs: Runs
    versions: Versions
    decisions: Decisions
    records: Records

    @property
    def until(self) -> float:
        """The time of the latest entry of the month; 0 if there is none."""
        return max((chain.until for chain in self.chains), default=0.0)


class _Outline(msgspec.Struct, frozen=True):
    seq: int
    time: float
    kind: str


_outline = msgspec.json.Decoder(_Outline)


def read(chains: Sequence[Named], month: Month, told: Callable[[int], None] = lambda _bytes: None) -> Evidence:
    """Return what ``chains`` say of ``month``; ``told`` gets the bytes as read. Raises OSError."""
    found = Evidence(
        month,
        [],
        later=False,
        runs=Runs(month),
        versions=Versions(month),
        decisions=Decisions(),
        records=Records(month),
    )
    begun: set[bytes] = set()
    for named in chains:
        _Reader(named, found, told, begun).run()
    return found


class _Reader:
    """One chain on its way into the evidence."""

    def __init__(self, named: Named, found: Evidence, told: Callable[[int], None], begun: set[bytes]) -> None:
        self._named, self._found, self._told = named, found, told
        self._begun = begun
        """Digests of the first lines of all files that were read."""
        self._read = Read(named.name, signatures=named.keys is not None)
        self._walk: Walk | None = Walk(named.chain.name, named.chain.instance, named.keys)
        """None from the first entry on that does not verify."""
        self._coverage = Coverage(named.keys)
        self._before: float | None = None
        """The time of the last entry that could be read."""
        self._behind = 0
        self._earlier: float | None = None
        """The time of the last entry that is no later than the month."""
        self._held: tuple[_Outline, bytes] | None = None
        self._waiting: list[str] = []
        """Lines that are no entries, until it is known whether they may be of the month."""

    def run(self) -> None:
        """Read the chain, and add it to the evidence if it has an entry that is no later than the month."""
        for path, file in self._named.chain.opened():
            if self._known(path, file):
                continue
            self._follow(lambda walk, path=path: walk.begin(path))  # type: ignore[misc]
            for raw in lines_of(file):
                self._told(len(raw))
                # else it is being written, or torn by a kill, which the next run reports
                if raw.endswith(b"\n") or len(raw) > LONGEST:
                    self._line(raw)
        self._release()
        self._counted(self._found.month.start)
        walk = self._walk
        if walk is not None and (walk.first or 1) > 1:
            self._read.trusted = walk.keys is not None and walk.checkpoints > 0
        if self._read.length:
            self._found.runs.over()
            self._found.versions.ended()
        if self._read.length or self._read.fault is not None or self._read.unreadable:
            self._found.chains.append(self._read)

    def _known(self, path: Path, file: BinaryIO) -> bool:
        """Return True if the file begins as one that was read: its entries are counted once."""
        first = next(lines_of(file), b"")
        file.seek(0)
        if not first.endswith(b"\n"):
            return False
        digest = sha256(first).digest()
        if digest not in self._begun:
            self._begun.add(digest)
            return False
        if self._walk is not None:
            what = f"{path.name} begins as another file that was read: a copy, of which nothing is counted"
            self._broken(self._walk.seq + 1, what)
        return True

    def _line(self, raw: bytes) -> None:
        self._follow(lambda walk: self._checked(walk, raw))
        try:
            entry = _outline.decode(raw)
        except (ValueError, RecursionError):
            self._waiting.append(f"behind entry {self._behind:,}")
            return
        self._counted(entry.time)
        self._before, self._behind = entry.time, entry.seq
        if not self._read.first:
            self._begin(entry, raw)
        if self._walk is None:
            self._read.unproven += 1
        self._in_turn(entry, raw[:-1])

    def _counted(self, next_: float) -> None:
        """Count the lines that are no entries, unless the entries around them say that they are not of the month."""
        month, waiting = self._found.month, self._waiting
        if waiting and next_ >= month.start and (self._before is None or self._before < month.end):
            self._unreadable(*waiting)
        self._waiting = []

    def _unreadable(self, *places: str) -> None:
        self._read.unreadable += len(places)
        self._read.places += places[: max(0, _NAMED - len(self._read.places))]

    def _begin(self, entry: _Outline, raw: bytes) -> None:
        """Take the first entry that is there: does what is not there have entries of the month?"""
        self._read.first = entry.seq
        if entry.seq == 1 or entry.time < self._found.month.start:
            return
        try:
            last = facts_of(entry.kind, raw).get("last") if entry.kind == CONTINUE else None
        except Unreadable:
            last = None
        self._read.missing = last is None or last >= self._found.month.start

    def _checked(self, walk: Walk, raw: bytes) -> None:
        """Check an entry: that it follows the one before it, and that a seal is over the leaves before it."""
        first = walk.first is None
        kind = walk.take(raw)
        if first and walk.seq > 1:
            self._coverage.begin(prev_of(raw[:-1]))
        try:
            self._coverage.take(kind, raw, walk.seq, walk.prev)
        except SealError as error:
            self._broken(walk.seq, f"the seal {error}")

    def _follow(self, step: Callable[[Walk], object]) -> None:
        """Take a step along the chain, as long as it holds."""
        if self._walk is None:
            return
        try:
            step(self._walk)
        except BrokenChainError as error:
            self._broken(self._walk.seq + 1, error.bad.what)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            self._broken(self._walk.seq + 1, "the entry is not one of a journal")

    def _broken(self, entry: int, what: str) -> None:
        for path in self._named.chain.files:  # files by their names, wherever they are
            what = what.replace(str(path), path.name)
        self._read.fault = Fault(entry, what)
        self._walk = None

    def _in_turn(self, entry: _Outline, raw: bytes) -> None:
        """Take an entry, but for those that close a file without another one of the month: they are of that file's.

        So it does not matter whether that file is there.
        """
        if not self._read.entries and self._found.month.has(entry.time):
            if entry.kind == CHECKPOINT and self._held is None:
                self._held = entry, raw
                return
            if entry.kind == ROTATE:
                self._held = None
                self._read.length, self._read.head = entry.seq, hash_of(raw).decode(errors="replace")
                return
        self._release()
        self._take(entry, raw)

    def _release(self) -> None:
        """Take what was held back: no end of a file followed it."""
        held, self._held = self._held, None
        if held is not None:
            self._take(*held)

    def _take(self, entry: _Outline, raw: bytes) -> None:
        month, read = self._found.month, self._read
        if entry.time >= month.end:
            self._found.later = True
            return
        read.length, read.head = entry.seq, hash_of(raw).decode(errors="replace")
        place = Place(read.name, entry.seq)
        within = entry.time >= month.start
        if within:
            read.entries += 1
            read.from_ = read.from_ or entry.seq
            read.until = max(read.until, entry.time)
            read.kinds[entry.kind] += 1
            read.backwards += self._earlier is not None and entry.time < self._earlier - _BACK
        self._earlier = entry.time
        if entry.kind not in _OF_FILES and entry.kind != OPEN:
            self._found.runs.goes_on()
        if within or entry.kind in _STATE:
            try:
                facts = facts_of(entry.kind, raw)
                self._state(entry, place, facts)
                if within:
                    self._month(entry, place, facts)
            except Unreadable:
                if within:
                    self._unreadable(f"entry {entry.seq:,}")
        self._found.runs.seen(place, entry.time)
        self._found.versions.seen(place, entry.time)
        if entry.kind == CLOSE:
            self._found.runs.closed()
            self._found.versions.ended()

    def _state(self, entry: _Outline, place: Place, facts: dict[str, Any]) -> None:
        runs, versions = self._found.runs, self._found.versions
        if entry.kind == OPEN:
            if runs.opened(place, entry.time):
                versions.forget()
            versions.ended()
        elif entry.kind in {"start", "reload"}:
            runs.served()
            versions.began(place, entry.time, facts)
        elif entry.kind == CONTINUE:
            started = facts.get("started")
            if facts.get("policy") and started is not None and runs.continued(place, entry.time, started):
                versions.began(place, entry.time if self._read.missing else started, facts)

    def _month(self, entry: _Outline, place: Place, facts: dict[str, Any]) -> None:
        found = self._found
        if entry.kind == "decision":
            found.decisions.take(place, facts)
            if facts.get("policy") and facts.get("mode"):
                found.versions.mode(str(facts["policy"]), str(facts["mode"]))
        elif entry.kind == "late_findings":
            found.decisions.take_late(place, facts)
        elif entry.kind in _DISTURBED:
            kind = FOUND if entry.kind == DAMAGED and "line" in facts else entry.kind
            found.runs.disturb(kind, facts.get("entries") if kind == "gap" else None)
            _disturbed(found.runs.disturbed, found.month.moment(entry.time), kind, place, facts)
        else:
            found.records.take(entry.kind, place, entry.time, facts)


def _disturbed(listed: Listed, at: str, kind: str, place: Place, facts: dict[str, Any]) -> None:
    """Note a torn line, a damaged file, or entries that the disk refused."""
    number = facts.get("entries") if kind == "gap" else None
    listed.add(
        {
            "at": at,
            "kind": kind,
            "what": _DISTURBED[kind],
            "entries": number,
            "source": {"journal": place.journal, "entry": place.seq},
        }
    )
