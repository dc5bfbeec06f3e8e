"""What a candidate policy changes: in what it demands, and in what was decided and written down."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from errno import EINVAL
from pathlib import Path
from typing import NamedTuple

from guard.evidence.entry import Entry, NotAnEntry, parse
from guard.evidence.journals import journals, odd
from guard.exchange.outcome import Outcome, recorded_outcome, stricter
from guard.exchange.recorded import Untold, redecide_recorded
from guard.exchange.snapshot import Snapshot
from guard.policy.deltas import changes, dangerous
from guard.policy.load import Loaded
from guard.policy.posture import posture

SAMPLES = 5
"""References that are named for a group of decisions that change alike."""


class Change(NamedTuple):
    """One thing that a policy demands otherwise."""

    line: str
    """``models.tiny.S6: flag -> block``."""
    looser: bool
    """True if a reload refuses it until it is confirmed."""


class Turn(NamedTuple):
    """How decisions turn out otherwise: those that are equal in this are told together."""

    before: str
    after: str
    reason: str
    """Of the stricter of the two."""
    license: str | None
    clause: str | None


@dataclass(slots=True)
class Replay:
    """Recorded decisions, decided again."""

    decisions: int = 0
    unchanged: int = 0
    changed: dict[Turn, list[str]] = field(default_factory=dict)
    """References of the requests, by how they turn out otherwise."""
    untold: dict[str, int] = field(default_factory=dict)
    """How many cannot be told, by why."""
    incomplete: bool = False
    """True if some were recorded under a policy that wrote down notable decisions only: plain allows are missing."""
    first: float | None = None
    last: float | None = None
    """Epoch seconds of the first and the last one."""


def demands(active: Loaded, candidate: Loaded) -> list[Change]:
    """Return everything that ``candidate`` demands otherwise than ``active``."""
    before = posture(active.config, active.snapshot, active.own_rules)
    after = posture(candidate.config, candidate.snapshot, candidate.own_rules)
    looser = set(dangerous(before, after))
    return [Change(delta.line, delta in looser) for delta in changes(before, after)]


def replay(entries: Iterable[Entry], active: Snapshot, candidate: Snapshot, since: float = 0.0) -> Replay:
    """Decide every recorded decision among ``entries`` again under ``candidate``, as far as its facts suffice.

    ``active`` is the policy in force: decisions that an earlier one made are compared through it. ``since`` is in epoch
    seconds.
    """
    found, sparse = Replay(), False
    for entry in entries:
        if entry.kind == "open":  # of another journal, or another run
            sparse = False
        elif entry.kind in {"start", "reload"}:
            sparse = entry.facts.get("decisions", "notable") == "notable"
        elif entry.kind == "continue" and "decisions" in entry.facts:  # those before it may be in an archive
            sparse = entry.facts["decisions"] == "notable"
        if entry.time < since:
            continue
        found.incomplete |= sparse
        if entry.kind != "decision" or "policy" not in entry.facts:
            continue
        found.decisions += 1
        found.first = entry.time if found.first is None else min(found.first, entry.time)
        found.last = entry.time if found.last is None else max(found.last, entry.time)
        again = _again(entry, candidate, active)
        if isinstance(again, Untold):
            found.untold[again.why] = found.untold.get(again.why, 0) + 1
            continue
        before = recorded_outcome(entry.facts)
        if before == again:
            found.unchanged += 1
        else:
            found.changed.setdefault(_turn(before, again), []).append(ascii(entry.facts["reference"])[1:-1])
    return found


def _again(entry: Entry, candidate: Snapshot, active: Snapshot) -> Outcome | Untold:
    """What ``redecide_recorded`` says, or that an entry does not read like one that Guard wrote."""
    try:
        recorded_outcome(entry.facts)
        return redecide_recorded(entry.facts, candidate, active)
    except (LookupError, TypeError, ValueError, AttributeError, MemoryError, OverflowError):
        return Untold("its entry is not as this release writes them; guard audit verify tells whether it was changed")


def entries(directory: Path) -> Iterator[Entry]:
    """Yield the entries of every journal in ``directory``; lines that are none are left to ``guard audit verify``.

    Raises OSError for a journal that cannot be read, and for what is named as one and is no regular file.
    """
    for path in odd(directory):
        raise OSError(EINVAL, "not a regular file", str(path))
    for chain in journals(directory):
        for line in chain.lines():
            try:
                yield parse(line.raw)
            except NotAnEntry:
                continue


def _turn(before: Outcome, after: Outcome) -> Turn:
    why = stricter(before, after)
    return Turn(before.verdict, after.verdict, why.reason, why.license, why.clause)
