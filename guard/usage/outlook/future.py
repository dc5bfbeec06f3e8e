"""Months to come, played forward: one draw of everything that is uncertain gives one possible year."""

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import exp, sqrt
from typing import NamedTuple

from guard.usage.outlook.comeback import Comeback, Mixture, changed, mixtures, share
from guard.usage.outlook.growth import LEAST_DAYS, Months
from guard.usage.outlook.rhythm import Rhythm
from guard.usage.outlook.trend import ARRIVALS, WINDOWS, Observed, Trend, Walk

_RATE_ERROR = 0.1
"""How wrong the rate of a ledger's first month may be, where users who were there before look like new ones."""
_SPLIT_ERROR = 0.1
"""How wrong what is left of a month may be where the ledger cannot tell returning users."""
_SPREAD = 0.1
"""How much a day differs from such a rate, beyond chance."""
_DAILY = 14
"""Days ahead in which a window's rate moves day by day; after them it does week by week."""
_EXACT_BELOW = 25.0
"""Poisson numbers of a smaller mean are drawn exactly, greater ones from the normal distribution."""


class Later(NamedTuple):
    """The outcome of a later month."""

    first: int
    """The ordinal of its first day."""
    back: float
    """Users of the month before who came back."""
    new: float
    """New users."""
    shares: Sequence[float]
    """The share of the curve that has shown by the end of each day."""
    times: Sequence[float]
    """Average days passed at the end of each day."""

    @property
    def users(self) -> int:
        """The final count."""
        return round(self.back + self.new)

    def crossing(self, allowed: int) -> int:
        """Return the ordinal of the day on which the count exceeds ``allowed``, which the final count does."""
        shown, passed = self.shares[-1], self.times[-1]
        for day, (share_now, time) in enumerate(zip(self.shares, self.times, strict=True)):
            if self.back * share_now / shown + self.new * time / passed > allowed:
                return self.first + day
        return self.first + len(self.times) - 1


class Path(NamedTuple):
    """One possible future."""

    days: Sequence[int]
    """The current period's count at the end of today and of each day that is left of it."""
    later: Sequence[Later] = ()
    """The months after."""

    def crossing(self, allowed: int, today: int) -> int | None:
        """Return the ordinal of the day on which the count first exceeds ``allowed``, None if it does not."""
        for ahead, count in enumerate(self.days):
            if count > allowed:
                return today + ahead
        return next((month.crossing(allowed) for month in self.later if month.users > allowed), None)


class Run(NamedTuple):
    """One possible future of days or rolling windows."""

    counts: Sequence[int]
    """The total that ends with today and with each day after."""

    @property
    def days(self) -> Sequence[int]:
        """The current period's final count."""
        return self.counts[:1]

    def crossing(self, allowed: int, today: int) -> int | None:
        """Return the ordinal of the first day whose total exceeds ``allowed``, None if there is none."""
        return next((today + ahead for ahead, count in enumerate(self.counts) if count > allowed), None)


class Ahead:
    """The days and months ahead, and the average days in them."""

    def __init__(self, months: Months, elapsed: float, horizon: int) -> None:
        """Look from ``elapsed`` of today to the ordinal ``horizon``."""
        current, weight = months.current, months.rhythm.weight
        self.passed = months.times(current)
        at = months.today - current.first
        self.now = self.passed[at] + elapsed * weight(months.today)
        self.ends = self.passed[at + 1 :]
        self.firsts: list[int] = []
        self.halves: list[list[tuple[int, float]]] = []
        self.times: list[list[float]] = []
        first = current.end
        while first <= horizon:
            end = (date.fromordinal(first) + timedelta(31)).replace(day=1).toordinal()
            weights = [weight(day) for day in range(first, end)]
            self.firsts.append(first)
            self.halves.append([(len(half), sum(half)) for half in (weights[:15], weights[15:])])
            self.times.append([sum(weights[:day]) for day in range(1, len(weights) + 1)])
            first = end


class FirstMonth:
    """Futures of a ledger's first month, to its end: nobody knows yet how many come back in the next."""

    paths = 500
    """Futures that are played."""

    def __init__(self, months: Months, elapsed: float) -> None:
        self._users = months.current.users
        self._ahead = Ahead(months, elapsed, 0)
        self._answers, self._odds = mixtures(months.sighted())

    def path(self, rng: random.Random) -> Path:
        """Draw one."""
        mixture: Mixture = rng.choices(self._answers, self._odds)[0]
        first, second = rng.gauss(0, 1), rng.gauss(0, 1)
        root = sqrt(mixture.var_stock)
        tied = mixture.covariance / root
        stock = max(mixture.stock + root * first, 0.0)
        rate = max(mixture.rate + tied * first + sqrt(max(mixture.var_rate - tied**2, 0.0)) * second, 0.0)
        error = exp(_RATE_ERROR * rng.gauss(0, 1))
        before, count, days = self._ahead.now, self._users, []
        for now in self._ahead.ends:
            shown = stock * (share(mixture.curve, now) - share(mixture.curve, before))
            count += _number((shown + rate * (now - before)) * error, _SPREAD, rng)
            before = now
            days.append(count)
        return Path(days)


class Years:
    """Futures of this month and of those up to the horizon."""

    paths = 500
    """Futures that are played."""

    def __init__(self, months: Months, trend: Trend, comeback: Comeback, elapsed: float, horizon: int) -> None:
        self._month = months.current
        self._returned = sum(self._month.returning.values())
        self._ahead = Ahead(months, elapsed, horizon)
        self._ebbs = [months.ebb(day) for day in range(months.today, self._month.end)]
        self._told = all(month.told for month in months.months)
        self._trend, self._comeback = trend, comeback
        self._shares: dict[tuple[float, float], tuple[list[float], list[list[float]]]] = {}

    def path(self, rng: random.Random) -> Path:
        """Draw one."""
        comer, change = self._comeback.draw(rng)
        walk = self._trend.walk(rng)
        this, later = self._curve(comer.curve)
        stock = self._month.stock or 0
        scale = stock * comer.retention / this[-1] * comer.error
        split = 1.0 if self._told else exp(_SPLIT_ERROR * rng.gauss(0, 1))
        room = max(stock - self._returned, 0.0)
        count, days = self._month.users, []
        before, passed = this[0], self._ahead.now
        for now, end, ebb in zip(this[1:], self._ahead.ends, self._ebbs, strict=True):
            back = min(scale * (now - before), room)
            room -= back
            count += _number((back + walk.step() * (end - passed) * ebb) * split, walk.spread, rng)
            before, passed = now, end
            days.append(count)
        months, retention = [], comer.retention
        for number, first in enumerate(self._ahead.firsts):
            retention = changed(retention, change * rng.gauss(0, 1))
            back = count * min(retention * later[number][-1] / this[-1], 1.0)
            new = self._new(walk, self._ahead.halves[number], rng)
            months.append(Later(first, back, new, later[number], self._ahead.times[number]))
            count = months[-1].users
        return Path(days, months)

    def _curve(self, curve: tuple[float, float]) -> tuple[list[float], list[list[float]]]:
        """Return the shares that have come now and by the end of each day left, and of each day of later months."""
        if curve not in self._shares:
            now = [share(curve, time) for time in (self._ahead.now, *self._ahead.ends)]
            self._shares[curve] = now, [[share(curve, time) for time in times] for times in self._ahead.times]
        return self._shares[curve]

    @staticmethod
    def _new(walk: Walk, halves: Sequence[tuple[int, float]], rng: random.Random) -> float:
        expected = sum(walk.step(days) * weight for days, weight in halves)
        return max(expected + sqrt(expected) * rng.gauss(0, 1), 0.0)


class Windows:
    """Futures of totals that end with each day: the totals' own trend, whatever they are made of."""

    paths = 300
    """Futures that are played: each takes many a step."""

    def __init__(self, totals: Mapping[str, int], today: date, length: int, elapsed: float, days_ahead: int) -> None:
        """Look from ``elapsed`` of ``today`` to ``days_ahead``.

        ``totals`` are those of windows of ``length`` days, by their last day, from the first that was counted on.
        """
        self.today = today.toordinal()
        first = min((date.fromisoformat(day).toordinal() for day in totals), default=self.today) + length - 1
        counts = {day: totals.get(date.fromordinal(day).isoformat(), 0) for day in range(first, self.today)}
        rhythm = Rhythm([counts] if length == 1 else [])
        days = [Observed(count, rhythm.weight(day)) for day, count in counts.items()]
        self.seen = sum(day.weight > 0 for day in days)
        """Complete periods since the first one."""
        self.ready = max(first, self.today) + LEAST_DAYS - self.seen
        """The ordinal of the day from which there are enough."""
        self.trend = Trend(days, ARRIVALS if length == 1 else WINDOWS) if self.seen >= LEAST_DAYS else None
        """None if there are too few."""
        self._so_far = totals.get(today.isoformat(), 0)
        self._left, self._daily = 1 - elapsed, length == 1
        self._weights = [rhythm.weight(day) for day in range(self.today, self.today + days_ahead + 1)]

    def path(self, rng: random.Random) -> Run:
        """Draw one. Raises ValueError without a trend."""
        if self.trend is None:
            raise ValueError("too few totals for a path")
        walk = self.trend.walk(rng)
        rates = [walk.step() for _ in range(_DAILY)]
        while len(rates) < len(self._weights):
            rates += [walk.step(7)] * 7
        expected = [rate * weight for rate, weight in zip(rates, self._weights, strict=False)]
        if not self._daily:
            counts = [round(mean * (1 + walk.spread * rng.gauss(0, 1))) for mean in expected]
            return Run([max(counts[0], self._so_far), *counts[1:]])
        expected[0] *= self._left
        counts = [_number(mean, walk.spread, rng) for mean in expected]
        return Run([counts[0] + self._so_far, *counts[1:]])


def _number(mean: float, spread: float, rng: random.Random) -> int:
    """Draw a count whose mean is ``mean`` times a factor that differs from 1 by ``spread``."""
    mean *= max(1 + spread * rng.gauss(0, 1), 0.0)
    if mean >= _EXACT_BELOW:
        return max(round(mean + sqrt(mean) * rng.gauss(0, 1)), 0)
    count, left = 0, exp(-mean)
    product = rng.random()
    while product > left:  # Knuth, The Art of Computer Programming 2, 3.4.1
        count += 1
        product *= rng.random()
    return count
