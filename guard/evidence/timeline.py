"""What happened of late, by the audit journals of a state directory: counted by the hour, and the last of each kind.

All processes that share the directory are in it. Nothing here is on anybody's way: ``follow`` is called from a thread
behind, and everything else answers from memory, but for ``find``, which looks into the files for what is older.
"""

import time
from bisect import insort
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import msgspec

from guard.evidence.follower import Follower, Line
from guard.evidence.hours import HOUR, KEPT, Hours
from guard.evidence.lookup import MOST, lines_with
from guard.provenance.receipt import request_of

WINDOW = 64 * 1024 * 1024
"""Bytes of all journals together that are read at the start: the last of each."""
AT_ONCE = 8 * 1024 * 1024
"""Bytes that one call of ``follow`` reads."""
DECISIONS, OTHERS, ATTACHED = 500, 100, 100
"""Entries that are kept: decisions, of each other kind, and receipts and late findings of each decision."""
OF_DECISIONS = frozenset({"receipt", "late_findings"})
KINDS = frozenset({"export_check", "reload", "threshold", "checkpoint"})
"""Kinds of which the last entries are kept, beside decisions."""


class Told(NamedTuple):
    """One entry. Its order is that in which entries were made; ``facts`` are JSON, as they stand in the journal."""

    time: float
    instance: str
    seq: int
    facts: bytes

    def entry(self) -> dict[str, Any]:
        """Return the facts with ``time``, ``instance`` and ``seq``."""
        return {**msgspec.json.decode(self.facts), "time": self.time, "instance": self.instance, "seq": self.seq}


class Found(NamedTuple):
    """What the journals say of one request."""

    reference: str
    decision: dict[str, Any] | None
    """None where none was written: a plain allow, of which only receipts are kept."""
    late: tuple[dict[str, Any], ...]
    """What was found after its answer had left."""
    receipts: tuple[dict[str, Any], ...]


class Timeline:
    """Follows every journal in ``directory``; ``clock`` returns epoch seconds. Safe for several threads.

    Memory is bounded, whatever is written: hours of 31 days, the last 500 decisions that were no plain allow, and the
    last 100 entries of each other kind.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time, *, window: int = WINDOW) -> None:
        self._directory, self._clock = directory, clock
        self._follower = Follower(directory, window=window)
        self._turn, self._lock = Lock(), Lock()
        self._first = clock()
        self._hours = Hours()
        self._decisions: list[Told] = []
        self._by_reference: dict[str, tuple[Told, list[tuple[str, Told]]]] = {}
        self._others: dict[str, list[Told]] = {kind: [] for kind in KINDS}
        self._since = self._first

    def follow(self, most: int = AT_ONCE) -> bool:
        """Take what is new, about ``most`` bytes of it; True if there may be more to take.

        It reads files: not for an event loop. A line is taken when it is complete, and one that is no entry is passed
        over. Nothing is raised for a file that is not there any more, or cannot be read now.
        """
        with self._turn:
            taken = 0
            for reads in self._follower.read(most):
                with self._lock:
                    for read in reads:
                        taken += 1
                        self._take(*read)
            now = self._clock()
            with self._lock:
                self._since = max(self._follower.since(now) or self._first, now - KEPT * HOUR)
            return taken > 0

    @property
    def since(self) -> float:
        """From when on everything is counted, in epoch seconds: what is older may be there in part."""
        with self._lock:
            return self._since

    def history(self) -> dict[str, Any]:
        """Return the decisions of the last 31 days by hour and outcome: ``since``, ``step`` and ``buckets``."""
        with self._lock:
            return {"since": self._since, "step": HOUR, "buckets": self._hours.buckets(self._clock())}

    def decisions(self, limit: int) -> list[dict[str, Any]]:
        """Return the last decisions that were no plain allow, newest first."""
        with self._lock:
            told = self._decisions[: -limit - 1 : -1]
        return [each.entry() for each in told]

    def last(self, kind: str, limit: int = OTHERS) -> list[dict[str, Any]]:
        """Return the last entries of ``kind`` (one of ``KINDS``), newest first."""
        with self._lock:
            told = self._others[kind][: -limit - 1 : -1]
        return [each.entry() for each in told]

    def known(self, reference: str) -> Found | None:
        """Return what there is of the request ``reference`` if it is one of the last decisions, from memory."""
        with self._lock:
            known = self._by_reference.get(reference)
            attached = list(known[1]) if known is not None else []
        return _found(reference, [("decision", known[0]), *attached]) if known is not None else None

    def find(self, reference: str, most: int = MOST, go_on: Callable[[], bool] = lambda: True) -> Found | None:
        """Return what the journals say of the request ``reference``; None if nothing is found.

        What is not in memory is looked for in the last ``most`` bytes of the files, for as long as ``go_on`` returns
        True: that takes its time.
        """
        known = self.known(reference)
        if known is not None:
            return known
        told = [
            (line.kind, _told(instance, line))
            for instance, line in lines_with(self._directory, reference.encode(), most, go_on)
            if line.kind in OF_DECISIONS | {"decision"} and _reference(line) == reference
        ]
        return _found(reference, told) if told else None

    def _take(self, instance: str, line: Line) -> None:
        self._first = min(self._first, line.time)
        if line.kind == "decision":
            self._decided(_told(instance, line))
        elif line.kind in OF_DECISIONS:
            known = self._by_reference.get(_reference(line) or "")
            if known is not None and len(known[1]) < ATTACHED:
                known[1].append((line.kind, _told(instance, line)))
        elif line.kind in KINDS:
            kept = self._others[line.kind]
            insort(kept, _told(instance, line))
            del kept[:-OTHERS]

    def _decided(self, told: Told) -> None:
        facts = msgspec.json.decode(told.facts)
        if not isinstance(facts, dict):
            return
        self._hours.add(told.time, facts, self._clock())
        reference = facts.get("reference")
        if not isinstance(reference, str) or (facts.get("verdict") == "allow" and not facts.get("obligations")):
            return
        insort(self._decisions, told)
        self._by_reference[reference] = (told, [])
        for old in self._decisions[:-DECISIONS]:
            forgotten = msgspec.json.decode(old.facts)["reference"]
            if self._by_reference.get(forgotten, (None,))[0] is old:
                del self._by_reference[forgotten]
        del self._decisions[:-DECISIONS]


def _told(instance: str, line: Line) -> Told:
    return Told(line.time, instance, line.seq, bytes(line.facts))


class _Named(msgspec.Struct):
    """What names the request of an entry: a receipt has the choice behind it in its id."""

    reference: str | None = None
    id: str | None = None


_named = msgspec.json.Decoder(_Named)


def _reference(line: Line) -> str | None:
    try:
        named = _named.decode(line.facts)
    except msgspec.MsgspecError:
        return None
    return request_of(named.id or "") if line.kind == "receipt" else named.reference


def _found(reference: str, told: list[tuple[str, Told]]) -> Found:
    told.sort(key=lambda each: each[1])
    by_kind: Mapping[str, list[dict[str, Any]]] = {
        kind: [each.entry() for of, each in told if of == kind] for kind in ("decision", "late_findings", "receipt")
    }
    decisions = by_kind["decision"]
    return Found(
        reference, decisions[-1] if decisions else None, tuple(by_kind["late_findings"]), tuple(by_kind["receipt"])
    )
