"""The rhythm of the week: how busy each weekday is, and days on which nothing came through at all."""

from collections.abc import Mapping, Sequence
from math import exp, log, sqrt

_PRIOR = 0.5
"""The spread of weekdays' logarithms that is expected before any day was seen."""
_DAY_NOISE = 0.15
"""How much the same weekday differs from week to week, beyond chance."""
_BUSY = 10.0
"""A day without first sightings, whose weekday brought so many on average in the weeks around it, was an outage."""
_WEEKS = 8
"""Weeks before and after that are looked at for it."""
_LEAST = 14
"""Days that must have neighbors on both sides; with fewer every weekday counts the same."""


class Rhythm:
    """Weekdays' shares (mean 1) of first sightings, learnt from days of months; see ``weight``."""

    def __init__(self, months: Sequence[Mapping[int, int]]) -> None:
        """Learn from the first sightings of complete days, by ordinal (``date.toordinal``), month by month.

        Months are kept apart, since the first days of every month are steep.
        """
        self._weights = [1.0] * 7
        self.outages: frozenset[int] = frozenset()
        """Days without a single first sighting between days that had many."""
        around = {day: mean for month in months for day, mean in _around(month).items()}
        counts = {day: count for month in months for day, count in month.items()}
        self.outages = frozenset(day for day, count in counts.items() if not count and _busy(counts, day))
        if len(around) < _LEAST:
            return
        seen = [(0.0, 0.0, 0)] * 7
        for day, mean in around.items():
            if day not in self.outages:
                got, expected, days = seen[day % 7]
                seen[day % 7] = (got + counts[day], expected + mean, days + 1)
        weights = [_shrunk(*of_day) for of_day in seen]
        self._weights = [weight * 7 / sum(weights) for weight in weights]
        self.known = True

    known = False
    """True if there were days enough to learn from."""

    def weight(self, day: int) -> float:
        """Return the share of the day with the ordinal ``day``: 0 for an outage, otherwise its weekday's."""
        return 0.0 if day in self.outages else self._weights[day % 7]


def _around(month: Mapping[int, int]) -> dict[int, float]:
    """Return, for each day with three days of the month on either side, the mean of these seven."""
    return {
        day: sum(month[near] for near in range(day - 3, day + 4)) / 7
        for day in month
        if day - 3 in month and day + 3 in month
    }


def _shrunk(got: float, expected: float, days: int) -> float:
    """Return the ratio of two sums, the closer to 1 the less it rests on."""
    if not days or expected <= 0:
        return 1.0
    noise = sqrt(1 / (expected + 1) + _DAY_NOISE**2 / days)
    return exp(log((got + 0.5) / (expected + 0.5)) * _PRIOR**2 / (_PRIOR**2 + noise**2))


def _busy(counts: Mapping[int, int], day: int) -> bool:
    """Return True if other days of the weekday were busy; offices' weekends, when nobody ever comes, were not."""
    near = [counts.get(day + 7 * weeks) for weeks in range(-_WEEKS, _WEEKS + 1) if weeks]
    present = [count for count in near if count is not None]
    some = [count for count in present if count]
    return len(some) >= min(2, max(len(present), 1)) and sum(some) / len(some) >= _BUSY
