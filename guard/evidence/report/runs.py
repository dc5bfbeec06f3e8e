"""When gateways ran, from the first and last entries of each run: what part of the month there is a journal for."""

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

    _run: Run | None

    def opened(self, place: Place, time: float) -> None:
        """Take an ``open`` entry: a run that is there still was killed."""
        self.closed("killed")
        self._run = Run(place.journal, place.seq, time, place.seq, time)

    def served(self) -> None:
        """Take a ``start`` entry."""
        if self._run is not None:
            self._run.served = True

    def seen(self, place: Place, time: float) -> None:
        """Take any entry of the month, or of the time before it."""
        if self._run is not None:
            self._run.last, self._run.until = place.seq, max(self._run.until, time)

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
        runs = sorted(self.found, key=lambda run: (run.begun, run.journal))
        return [
            {
                "from": self._month.moment(max(run.begun, self._month.start)),
                "began_earlier": run.begun < self._month.start,
                "to": self._month.moment(run.until),
                "ended": run.ended,
                "source": {"journal": run.journal, "from": run.first, "to": run.last},
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
            if begin < until
        ]

    def gaps(self, until: float) -> list[dict[str, Any]]:
        """Return when, up to ``until``, no gateway is known to have run: a minute or longer."""
        edges = [self._month.start, *(edge for interval in self.covered() for edge in interval), until]
        return [
            {"from": self._month.moment(begin), "to": self._month.moment(end), "seconds": round(end - begin)}
            for begin, end in zip(edges[::2], edges[1::2], strict=True)
            if end - begin >= 60
        ]
