"""Periods: the calendar months, in a stated zone, that users are counted over."""

from datetime import datetime
from difflib import get_close_matches
from math import floor
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones


class Period(NamedTuple):
    """One counting period: ``start`` belongs to it, ``end`` to the next (epoch seconds)."""

    id: str
    """``2026-11`` for a calendar month."""
    start: float
    end: float


class CalendarError(ValueError):
    """A zone or period that does not exist; the text says what was found and what is allowed."""


class Calendar:
    """Cuts time into calendar months that begin at midnight in ``zone``, daylight saving time included.

    "Calendar month" is the licenses' word (Llama 3.1 clause 2, Qwen clause 4 "monthly active users"); they leave the
    zone open, so it is stated in every count. Raises CalendarError for a zone the IANA database does not have.
    """

    def __init__(self, zone: str = "UTC") -> None:
        try:
            self._zone = ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise CalendarError(_unknown_zone(zone)) from error
        self.zone = zone
        self._current = Period("", 0.0, 0.0)

    @property
    def definition(self) -> str:
        """The sentence that says what is counted; reports and ``docs/mau.md`` carry it word for word."""
        return (
            "An active user is a distinct identity to which at least one model request was answered with success "
            f"(HTTP 2xx) between the first and the last instant of the calendar month in zone {self.zone}."
        )

    def period(self, now: float) -> Period:
        """Return the period that ``now`` (epoch seconds) lies in; a repeat within one period costs two comparisons."""
        current = self._current
        if current.start <= now < current.end:
            return current
        local = datetime.fromtimestamp(floor(now), self._zone)  # not rounded up into the next month
        self._current = found = self._month(local.year, local.month)
        return found

    def parse(self, text: str) -> Period:
        """Return the period with the id ``text`` (``2026-11``). Raises CalendarError."""
        year, dash, month = text.partition("-")
        digits = year.isascii() and year.isdigit() and month.isascii() and month.isdigit()
        if not (dash and digits and 1970 <= int(year) <= 9998 and len(month) == 2 and 1 <= int(month) <= 12):
            raise CalendarError(f"period {text!r} is not a calendar month; allowed: YYYY-MM, such as 2026-11")
        return self._month(int(year), int(month))

    def _month(self, year: int, month: int) -> Period:
        following = (year, month + 1) if month < 12 else (year + 1, 1)
        return Period(f"{year:04d}-{month:02d}", self._midnight(year, month), self._midnight(*following))

    def _midnight(self, year: int, month: int) -> float:
        # Where the clocks go forward at midnight the wall time is missing; fold=0 maps it to the instant of the jump.
        return datetime(year, month, 1, tzinfo=self._zone).timestamp()


def _unknown_zone(zone: str) -> str:
    nearest = get_close_matches(zone, available_timezones(), 1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    return f"usage zone {zone!r} is unknown; allowed: IANA names such as UTC or Europe/Berlin{hint}"
