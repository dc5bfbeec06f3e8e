"""Reads the chains of one month: each is verified from its beginning, and what its entries of the month say added up.

An entry is of the month by its own time. A chain is read to its end, but nothing after the month is in the result, only
that there is something: a journal that has grown since gives the same one. Memory does not grow with the journals.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from guard.evidence.coverage import Coverage
from guard.evidence.entry import CLOSE, OPEN, hash_of, parse, prev_of
from guard.evidence.journals import Chain
from guard.evidence.report.counts import Listed, Place
from guard.evidence.report.decisions import Decisions
from guard.evidence.report.month import Month
from guard.evidence.report.records import Records
from guard.evidence.report.runs import Runs
from guard.evidence.report.versions import Versions, without_folders
from guard.evidence.seal import SealError
from guard.evidence.signing import Verifier
from guard.evidence.walk import BrokenChainError, Walk

_STATE = frozenset({OPEN, CLOSE, "start", "stop", "reload"})
"""Kinds of which those before the month matter too: what was in force, and what ran, when it began."""
_DISTURBED = {
    "torn": "an unfinished line was set apart",
    "damaged": "a journal could not be continued and was set apart",
    "gap": "entries were refused by the disk",
}


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
    length: int = 0
    """The number of the last entry that is no later than the month; 0 if there is none."""
    head: str = ""
    """Its hash."""
    entries: int = 0
    """Entries of the month."""
    from_: int = 0
    """The number of the first of them."""
    began: float = 0.0
    """The time of the first entry that is there."""
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
    """Lines that are no entries."""


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
    for named in chains:
        _Reader(named, found, told).run()
    return found


class _Reader:
    """One chain on its way into the evidence."""

    def __init__(self, named: Named, found: Evidence, told: Callable[[int], None]) -> None:
        self._named, self._found, self._told = named, found, told
        self._read = Read(named.name, signatures=named.keys is not None)
        self._walk: Walk | None = Walk(named.chain.name, named.chain.instance, named.keys)
        """None from the first entry on that does not verify."""
        self._coverage = Coverage(named.keys)
        self._before = 0.0

    def run(self) -> None:
        """Read the chain, and add it to the evidence if it has an entry that is no later than the month."""
        for path, file in self._named.chain.opened():
            self._follow(lambda walk, path=path: walk.begin(path))  # type: ignore[misc]
            for raw in file:
                self._told(len(raw))
                if raw.endswith(b"\n"):  # else it is being written, or torn by a kill, which the next run reports
                    self._line(raw)
        walk = self._walk
        if walk is not None and (walk.first or 1) > 1:
            self._read.trusted = walk.keys is not None and walk.checkpoints > 0
        if self._read.length:
            self._found.runs.over()
            self._found.versions.ended()
        if self._read.length or self._read.fault is not None:
            self._found.chains.append(self._read)

    def _line(self, raw: bytes) -> None:
        self._follow(lambda walk: self._checked(walk, raw))
        try:
            entry = _outline.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._read.unreadable += 1
            return
        if not self._read.first:
            self._read.first, self._read.began = entry.seq, entry.time
        if self._walk is None:
            self._read.unproven += 1
        self._take(entry, raw[:-1])

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

    def _broken(self, entry: int, what: str) -> None:
        self._read.fault = Fault(entry, without_folders(what))
        self._walk = None

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
            read.backwards += entry.time < self._before
        self._before = entry.time
        if within or entry.kind in _STATE:
            try:
                facts = parse(raw).facts
            except msgspec.MsgspecError:
                return  # the fault that it is was noted
            self._state(entry, place, facts)
            if within:
                self._month(entry, place, facts)
        self._found.runs.seen(place, entry.time)
        self._found.versions.seen(place, entry.time)
        if entry.kind == CLOSE:
            self._found.runs.closed()
            self._found.versions.ended()

    def _state(self, entry: _Outline, place: Place, facts: dict[str, Any]) -> None:
        runs, versions = self._found.runs, self._found.versions
        if entry.kind == OPEN:
            runs.opened(place, entry.time)
            versions.ended()
        elif entry.kind in {"start", "reload"}:
            runs.served()
            versions.began(place, entry.time, facts)

    def _month(self, entry: _Outline, place: Place, facts: dict[str, Any]) -> None:
        found = self._found
        if entry.kind == "decision":
            found.decisions.take(place, facts)
            if facts.get("policy") and facts.get("mode"):
                found.versions.mode(str(facts["policy"]), str(facts["mode"]))
        elif entry.kind == "late_findings":
            found.decisions.take_late(place, facts)
        elif entry.kind in _DISTURBED:
            _disturbed(found.runs.disturbed, found.month.moment(entry.time), entry.kind, place, facts)
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
