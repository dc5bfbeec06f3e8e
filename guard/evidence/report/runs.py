"""When gateways ran, from the first and last entries of each run: what part of the month there is a journal for."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from guard.evidence.report.counts import Listed, Place
from guard.evidence.report.month import Month


@dataclass(slots=True)
class Run:
    """One run of a process on its journal, as far as it is within the month."""

    journal: str
    first: int
    """The number of its ``open`` entry, which may be of an earlier month."""
    begun: float
    last: int
    until: float
    """When its last entry of the month was made; before it the process ran, after it nothing is known."""
    of_month: int = 0
    """The number of its first entry of the month; 0 if it has none."""
    served: bool = False
    """True for a gateway: commands write journals too."""
    ended: str = "open"
    """``closed`` in order, ``killed`` (the next run found no end), or ``open`` (no end within the month)."""


class Runs:
    """The runs of one journal, entry by entry in order; then all of the month's."""

    def __init__(self, month: Month) -> None:
        self._month, self._run = month, None
        self.found: list[Run] = []
        """Those of gateways within the month."""
        self.disturbed = Listed()
        """Torn lines, damaged files and refused entries."""
        self.disturbances: Counter[str] = Counter()
        """How many of each kind."""
        self.refused = 0
        """Entries that disks refused."""
        self._restored = False
        """All that is known of the run is that a file says that it goes on."""

    _run: Run | None

    def disturb(self, kind: str, refused: int | None) -> None:
        """Count a torn line, a damaged file, or ``refused`` entries."""
        self.disturbances[kind] += 1
        self.refused += refused or 0

    def opened(self, place: Place, time: float) -> bool:
        """Take an ``open`` entry: a run that is there still was killed.

        True if all that was known of that run was that a file says that it goes on, and it did not: there was none.
        """
        none = self._restored
        if none:
            self._run = None
        self.closed("killed")
        self._run, self._restored = Run(place.journal, place.seq, time, place.seq, time), False
        return none

    def continued(self, place: Place, time: float, started: float) -> bool:
        """Take the beginning of a file of a gateway that runs since ``started``; True if its run was not known."""
        if self._run is not None:
            return False
        self._run, self._restored = Run(place.journal, place.seq, started, place.seq, time, served=True), True
        return True

    def goes_on(self) -> None:
        """Take any entry that only a run writes: the one that a file says goes on, does."""
        self._restored = False

    def served(self) -> None:
        """Take a ``start`` entry."""
        if self._run is not None:
            self._run.served = True

    def seen(self, place: Place, time: float) -> None:
        """Take any entry of the month, or of the time before it."""
        if self._run is not None:
            self._run.last, self._run.until = place.seq, max(self._run.until, time)
            if self._month.has(time):
                self._run.of_month = self._run.of_month or place.seq

    def closed(self, ended: str = "closed") -> None:
        """Take a ``close`` entry."""
        run, self._run = self._run, None
        if run is None:
            return
        run.ended = ended
        if run.served and run.until >= self._month.start:
            self.found.append(run)

    def over(self) -> None:
        """Take the end of what is to be read."""
        self.closed("open")

    def rows(self) -> list[dict[str, Any]]:
        """Return the runs by when they began."""
        runs = sorted(self.found, key=lambda run: (max(run.begun, self._month.start), run.journal, run.last))
        return [
            {
                "from": self._month.moment(max(run.begun, self._month.start)),
                "began_earlier": run.begun < self._month.start,
                "to": self._month.moment(run.until),
                "ended": run.ended,
                "source": {"journal": run.journal, "from": run.of_month or run.first, "to": run.last},
            }
            for run in runs
        ]

    def covered(self) -> list[tuple[float, float]]:
        """Return when at least one gateway ran, as intervals in order that do not touch."""
        found: list[tuple[float, float]] = []
        for run in sorted(self.found, key=lambda run: run.begun):
            begin = max(run.begun, self._month.start)
            if found and begin <= found[-1][1]:
                found[-1] = found[-1][0], max(found[-1][1], run.until)
            else:
                found.append((begin, run.until))
        return found

    def ran(self, until: float) -> float:
        """Return for how many seconds of the month, up to ``until``, a gateway is known to have run."""
        return sum(max(0.0, min(to, until) - from_) for from_, to in self.covered())

    def days(self, until: float) -> list[dict[str, Any]]:
        """Return for each day up to ``until`` how many seconds of it a gateway is known to have run."""
        covered = self.covered()
        return [
            {
                "day": day,
                "seconds": round(sum(max(0.0, min(end, to) - max(begin, from_)) for from_, to in covered)),
                "of": round(min(end, until) - begin),
            }
            for day, begin, end in self._month.days()
            if round(min(end, until) - begin) > 0
        ]

    def gaps(self, until: float) -> list[dict[str, Any]]:
        """Return when, up to ``until``, no gateway is known to have run: a minute or longer."""
        edges = [self._month.start, *(edge for interval in self.covered() for edge in interval), until]
        return [
            {"from": self._month.moment(begin), "to": self._month.moment(end), "seconds": round(end - begin)}
            for begin, end in zip(edges[::2], edges[1::2], strict=True)
            if end - begin >= 60
        ]
