"""Periods: calendar months, days and rolling windows, in a stated zone, that users are counted over.

A sighting belongs to the smallest period that is tracked, and everything else follows from it: the users of a day are
users of its month and of every rolling window that the day lies in. Period ids are plain text:

    2026-11            the calendar month
    2026-11-22         the day
    2026-11-22/30d     the 30 days that end with that day
"""

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from math import floor
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

_ID = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d)(?:/(28|30)d)?)?", re.ASCII)


class Kind(StrEnum):
    """The kinds of periods. A month is always tracked; the others cost a sighting per user and day."""

    MONTH = "month"
    DAY = "day"
    ROLLING_28 = "rolling_28"
    ROLLING_30 = "rolling_30"

    @property
    def days(self) -> int | None:
        """The length in days; None for a month."""
        return _DAYS[self]


_DAYS = {Kind.MONTH: None, Kind.DAY: 1, Kind.ROLLING_28: 28, Kind.ROLLING_30: 30}


class Period(NamedTuple):
    """One counting period: ``start`` belongs to it, ``end`` to the next (epoch seconds)."""

    id: str
    start: float
    end: float


class CalendarError(ValueError):
    """A zone or period that does not exist; the text says what was found and what is allowed."""


def kind_of(period: str) -> Kind:
    """Return the kind of the period with the id ``period``."""
    if len(period) == 7:
        return Kind.MONTH
    return {"": Kind.DAY, "/28d": Kind.ROLLING_28, "/30d": Kind.ROLLING_30}[period[10:]]


def month_of(period: str) -> str:
    """Return the id of the month that ``period``, or its last day, lies in."""
    return period[:7]


def month_before(month: str) -> str:
    """Return the id of the month before ``month``."""
    year, number = int(month[:4]), int(month[5:7])
    return f"{year:04d}-{number - 1:02d}" if number > 1 else f"{year - 1:04d}-12"


def days_of(period: str) -> tuple[str, ...]:
    """Return the ids of the days of a day or rolling window, oldest first."""
    last, length = date.fromisoformat(period[:10]), kind_of(period).days or 0
    return tuple((last - timedelta(back)).isoformat() for back in range(length - 1, -1, -1))


class Calendar:
    """Cuts time into periods that begin at midnight in ``zone``, daylight saving time included.

    "Calendar month" is the licenses' word (Llama 3.1 clause 2, Qwen clause 4 "monthly active users"); they leave the
    zone open, so it is stated in every count. ``kinds`` are tracked beside the month. Raises CalendarError for a zone
    the IANA database does not have.
    """

    def __init__(self, zone: str = "UTC", kinds: Collection[Kind] = ()) -> None:
        try:
            self._zone = ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise CalendarError(_unknown_zone(zone)) from error
        self.zone = zone
        self.kinds = tuple(kind for kind in Kind if kind is Kind.MONTH or kind in kinds)
        """The kinds that are tracked, the month first."""
        self._daily = len(self.kinds) > 1
        self._current = Period("", 0.0, 0.0)

    def definition(self, kind: Kind = Kind.MONTH) -> str:
        """Return the sentence that says what is counted; reports and ``docs/mau.md`` carry it word for word."""
        if kind is Kind.MONTH:
            when = f"between the first and the last instant of the calendar month in zone {self.zone}"
        elif kind is Kind.DAY:
            when = f"between the first and the last instant of the day in zone {self.zone}"
        else:
            when = f"within the {kind.days} days that end with the stated day in zone {self.zone}"
        return (
            "An active user is a distinct identity to which at least one model request was answered with success "
            f"(HTTP 2xx) {when}."
        )

    def period(self, now: float) -> Period:
        """Return the period that a sighting at ``now`` (epoch seconds) is filed under: the day, or only the month.

        A repeat within one period costs two comparisons.
        """
        current = self._current
        if current.start <= now < current.end:
            return current
        day = self._date(now)
        self._current = found = self._day(day) if self._daily else self._month(day.year, day.month)
        return found

    def day(self, now: float) -> str:
        """Return the id of the day that ``now`` lies in."""
        return self._date(now).isoformat()

    def periods(self, now: float) -> Mapping[Kind, str]:
        """Return the id of the current period of every kind that is tracked."""
        today = self.day(now)
        return {kind: _of(kind, today) for kind in self.kinds}

    def windows(self, period: str, today: str) -> tuple[str, ...]:
        """Return the ids of the periods that a sighting filed under ``period`` counts in, as of the day ``today``.

        Rolling windows are those that end on the sighting's own day, or after it up to ``today``.
        """
        if kind_of(period) is Kind.MONTH:
            return (period,)
        found = [period, month_of(period)]  # rolling windows are merged from days, so days are kept for them too
        first = date.fromisoformat(period)
        ago = (date.fromisoformat(today) - first).days
        for kind in self.kinds:
            if kind in {Kind.ROLLING_28, Kind.ROLLING_30}:
                lasting = min(max(ago, 0), (kind.days or 1) - 1) + 1
                found += [_of(kind, (first + timedelta(after)).isoformat()) for after in range(lasting)]
        return tuple(found)

    def parse(self, text: str) -> Period:
        """Return the period with the id ``text``. Raises CalendarError."""
        match = _ID.fullmatch(text)
        try:
            if match is None or not 1970 <= int(match[1]) <= 9998:
                raise ValueError
            last = date(int(match[1]), int(match[2]), int(match[3] or 1))
        except ValueError:
            raise CalendarError(
                f"period {text!r} is no month, day or window; allowed: YYYY-MM such as 2026-11, YYYY-MM-DD, or "
                "YYYY-MM-DD/28d or /30d for the days that end there"
            ) from None
        if match[3] is None:
            return self._month(last.year, last.month)
        end = self._day(last).end
        return Period(text, self._midnight(last - timedelta((kind_of(text).days or 1) - 1)), end)

    def _date(self, now: float) -> date:
        return datetime.fromtimestamp(floor(now), self._zone).date()  # not rounded up into the next day

    def _day(self, day: date) -> Period:
        return Period(day.isoformat(), self._midnight(day), self._midnight(day + timedelta(1)))

    def _month(self, year: int, month: int) -> Period:
        following = (year, month + 1) if month < 12 else (year + 1, 1)
        return Period(f"{year:04d}-{month:02d}", self._midnight(date(year, month, 1)),
                      self._midnight(date(*following, 1)))  # fmt: skip

    def _midnight(self, day: date) -> float:
        # Where the clocks go forward at midnight the wall time is missing; fold=0 maps it to the instant of the jump.
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()


def _of(kind: Kind, day: str) -> str:
    if kind is Kind.MONTH:
        return day[:7]
    return day if kind is Kind.DAY else f"{day}/{kind.days}d"


def _unknown_zone(zone: str) -> str:
    nearest = get_close_matches(zone, available_timezones(), 1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    return f"usage zone {zone!r} is unknown; allowed: IANA names such as UTC or Europe/Berlin{hint}"
