"""The month that a report is about, in the zone in which users are counted."""

from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Month(NamedTuple):
    """A calendar month."""

    id: str
    """``2026-11``."""
    zone: str
    start: float
    """Its first instant, in epoch seconds."""
    end: float
    """The first instant after it."""

    def has(self, time: float) -> bool:
        """Return True if ``time`` (epoch seconds) is within the month."""
        return self.start <= time < self.end

    def moment(self, time: float) -> str:
        """Return ``time`` to the second, with the zone's offset: ``2026-11-22T01:02:03+01:00``."""
        return datetime.fromtimestamp(int(time), ZoneInfo(self.zone)).isoformat()

    def days(self) -> list[tuple[str, float, float]]:
        """Return every day with its first instant and the first one after it."""
        zone, found = ZoneInfo(self.zone), list[tuple[str, float, float]]()
        day = datetime.fromtimestamp(self.start, zone).date()
        while True:
            begin = datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
            if begin >= self.end:
                return found
            after = day + timedelta(days=1)
            end = datetime(after.year, after.month, after.day, tzinfo=zone).timestamp()
            found.append((day.isoformat(), begin, end))
            day = after
