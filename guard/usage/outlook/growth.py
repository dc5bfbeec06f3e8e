"""A license's months as a forecast reads them: complete days only, gaps filled in, newcomers told from returning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import accumulate, zip_longest
from math import exp, log

from guard.usage.ledger import Growth
from guard.usage.outlook.comeback import Sighted, mixed, mixtures
from guard.usage.outlook.rhythm import Rhythm
from guard.usage.outlook.trend import Observed

LEAST_DAYS = 7
"""Complete days that must have been seen of what is to be foretold: a week."""

_TURN, _TURN_SPREAD, _TURN_NOISE = -0.06, 0.06, 0.15
"""What a month's second half is to the first, before any was seen: its logarithm, its spread, and a single month's."""


@dataclass(slots=True)
class Month:
    """One month. Days are ordinals (``date.toordinal``)."""

    id: str
    first: int
    end: int
    """The first of the month after."""
    recorded: int
    """The day from which on it was recorded: the first of the month, or that of the first sighting ever."""
    stock: int | None
    """Users of the month before; None if there is no telling, or if there were none: then all of these are new."""
    told: bool
    """True if the ledger told returning users from new ones."""
    opens: bool = False
    """True if everybody in it is new because nothing was counted before."""
    users: int = 0
    """All first sightings so far."""
    new: dict[int, float] = field(default_factory=dict)
    """By complete day; every one from ``recorded`` on is there."""
    returning: dict[int, float] = field(default_factory=dict)


class Months:
    """The months of ``history`` up to ``today``, in order; months and days without growth are there as empty ones."""

    def __init__(self, history: Mapping[str, Sequence[Growth]], today: date) -> None:
        """Read the growth. Raises ValueError for a day that is after ``today`` or not of its month."""
        self.today = today.toordinal()
        rows = {name: list(growth) for name, growth in history.items() if growth}
        _checked(rows, today)
        days = [row.day for growth in rows.values() for row in growth]
        self.first_day = date.fromisoformat(min(days)).toordinal() if days else None
        self.months: list[Month] = []
        name = min([*rows, today.isoformat()[:7]])
        while name <= today.isoformat()[:7]:
            self._read(name, rows.get(name, []))
            name = _bounds(name)[1].isoformat()[:7]
        self.rhythm = Rhythm([_whole(month) for month in self.months])
        self._split([month for month in self.months if not month.told and month.stock and any(_whole(month).values())])
        self._openings: dict[int, float] = {}
        for month, following in zip_longest(self.months, self.months[1:]):
            if month.opens and month.users:
                self._open(month, following)
        self._turn = self._turned()

    @property
    def current(self) -> Month:
        """The month of today."""
        return self.months[-1]

    def times(self, month: Month) -> list[float]:
        """Return the average days passed since the first of ``month`` at its beginning and at the end of each day."""
        passed = [0.0]
        for day in range(month.first, month.end):
            passed.append(passed[-1] + self.rhythm.weight(day))
        return passed

    def sighted(self) -> Sighted:
        """Return all first sightings of the current month."""
        return self._sighted(self.current, _whole(self.current))

    def returned(self) -> list[Sighted]:
        """Return the months whose stock is known; one without a complete day with traffic has no counts."""
        known = [month for month in self.months if month.stock]
        return [self._sighted(month, month.returning if self.seen_days(month) else {}) for month in known]

    def arrivals(self) -> list[Observed]:
        """Return new users by complete day."""
        days: list[Observed] = []
        for month in self.months:
            for day, count in month.new.items():
                days.append(Observed(count, self.rhythm.weight(day) * self.ebb(day) if month.users else 0.0))
        return days

    def ebb(self, day: int) -> float:
        """Return how many times as many users are new on ``day`` as its weekday and the trend alone would have it.

        A ledger's first two months hold everybody who was a user before it as new on their first day in it: there the
        number falls, to 1 at the end of the second. In later months it is about 1, falling a little: users who were
        absent for just a month are new again, and sooner rather than later.
        """
        if day in self._openings:
            return self._openings[day]
        at = date.fromordinal(day)
        return exp(2 * self._turn * ((at.day - 0.5) / 30 - 0.5))

    def seen_days(self, month: Month) -> int:
        """Return the number of complete days of ``month`` that were no outages; a month without users was one."""
        return 0 if not month.users else sum(day not in self.rhythm.outages for day in month.new)

    def passed(self, count: int) -> str | None:
        """Return the day on which the current month's count exceeded ``count``, None if it does not."""
        users = 0
        for day, sightings in sorted(self._by_day.items()):
            users += sightings
            if users > count:
                return day
        return None

    def _read(self, name: str, rows: Sequence[Growth]) -> None:
        first, end = (day.toordinal() for day in _bounds(name))
        before = self.months[-1].users if self.months else None
        recorded = first
        if before is None and self.first_day is not None and not any(row.returning for row in rows):
            recorded = max(first, self.first_day)
        told = all(row.returning is not None for row in rows)
        opens = not before and not any(row.returning for row in rows)
        month = Month(name, first, end, recorded, before or None, told, opens)
        by_day = {date.fromisoformat(row.day).toordinal(): row for row in rows}
        self._by_day = {row.day: row.new + (row.returning or 0) for row in rows}
        month.users = sum(self._by_day.values())
        if self.first_day is not None:
            for day in range(recorded, min(end, self.today)):
                row = by_day.get(day)
                month.new[day] = row.new if row else 0
                month.returning[day] = (row.returning or 0) if row else 0
        self.months.append(month)

    def _open(self, month: Month, following: Month | None) -> None:
        """Work out ``ebb`` from new users since counting began, who are all seen for the first time."""
        end = following.end if following else month.end
        new = [*month.new.values(), *(following.new.values() if following else ())]
        times = list(accumulate((self.rhythm.weight(day) for day in range(month.recorded, end)), initial=0.0))
        if not any(new):
            return
        answers, odds = mixtures(Sighted(None, new, times[1 : len(new) + 1], 0.0, times[-1]))
        rates = [
            sum(mixture.slope(time) * part for mixture, part in zip(answers, odds, strict=True)) / sum(odds)
            for time in times[1:]
        ]
        least = max(rates[-1], 0.02 * rates[0])
        self._openings = {
            **self._openings, **{month.recorded + ahead: max(rate / least, 1.0) for ahead, rate in enumerate(rates)}
        }  # fmt: skip

    def _turned(self) -> float:
        """Return the logarithm of new users per day in months' second halves over the first, without growth's part."""
        mean, precision, before = _TURN, _TURN_SPREAD**-2, None
        for month in self.months[:-1]:
            if month.stock is None or month.first in self._openings or not month.users:
                before = None
                continue
            rates, middle = [], month.first + 15
            for days in (range(month.first, middle), range(middle, month.end)):
                users, length = sum(month.new[day] for day in days), sum(map(self.rhythm.weight, days))
                rates.append((users + 0.5, (users + 0.5) / max(length, 0.5)))
            (one, early), (two, late) = rates
            level = log(early * late) / 2
            if before is not None:
                weight = 1 / (1 / one + 1 / two + _TURN_NOISE**2)
                precision += weight
                mean += (log(late / early) - (level - before) / 2 - mean) * weight / precision
            before = level
        return mean

    def _split(self, months: Sequence[Month]) -> None:
        """Tell returning users from new ones by how each month flattens, where the ledger could not."""
        seen = [self._sighted(month, _whole(month)) for month in months]
        for month, mixture in zip(months, mixed(seen), strict=True):
            passed = self.times(month)
            for day in month.new:
                at = day - month.first
                month.returning[day] = month.new[day] * mixture.returning(passed[at], passed[at + 1])
                month.new[day] -= month.returning[day]

    def _sighted(self, month: Month, counts: Mapping[int, float]) -> Sighted:
        passed, begin = self.times(month), month.recorded - month.first
        times = passed[begin + 1 : begin + 1 + len(counts)]
        return Sighted(month.stock, list(counts.values()), times, passed[begin], passed[-1])


def _whole(month: Month) -> dict[int, int]:
    return {day: round(month.new[day] + month.returning[day]) for day in month.new}


def _bounds(name: str) -> tuple[date, date]:
    first = date.fromisoformat(f"{name}-01")
    return first, (first + timedelta(31)).replace(day=1)


def _checked(rows: Mapping[str, Sequence[Growth]], today: date) -> None:
    for name, growth in rows.items():
        for row in growth:
            if not row.day.startswith(f"{name}-") or row.day > today.isoformat():
                raise ValueError(f"growth of {row.day} in {name}; allowed: days of that month up to {today}")
