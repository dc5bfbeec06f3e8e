"""How the users of one month come back in the next: many in its first days, ever fewer later.

If users' daily activity is gamma-distributed (a few come every day, many now and then), the part of them that has
come by day t is 1 - (1 + t/b)^-a, the Lomax or Pareto-II curve (Schmittlein, Morrison, Colombo, "Counting Your
Customers", Management Science 33.1, 1987). Time is counted in average days, so that weekends are short.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import exp, hypot, inf, log, log1p, sqrt
from operator import itemgetter
from typing import NamedTuple

_CURVES = tuple(product((0.3, 0.6, 1.0, 1.7, 3.0, 6.0), (0.5, 1.5, 4.0, 10.0, 25.0, 60.0)))
"""The (a, b) that are tried."""
_SPREAD = 0.1
"""How much a day's first sightings differ from the curve, beyond chance."""
_TEMPER = 0.5
"""The power of the likelihood: the curve is a model, and days of one month are not independent of each other."""
_CHANGE = 0.12
"""The standard deviation of the change of retention (its logit) from one month to the next, before any was seen."""
_CHANGE_WORTH = 3.0
"""How many observed changes that expectation is worth."""
_RETENTION = 0.6
"""The retention that is expected before any was seen, where a ledger cannot tell returning users."""
_RETENTION_SPREAD = 0.2
"""How much it may differ from what was seen before, relative to it."""
_CURVE_ERROR = 0.15
"""How wrong the curve may be about the part of a month that is to come, relative to that part."""


class Sighted(NamedTuple):
    """A month's first sightings: of users of the month before, or of everybody where nobody can tell these apart."""

    stock: int | None
    """Users of the month before; None if unknown."""
    counts: Sequence[float]
    """By complete day, from the first that was recorded."""
    times: Sequence[float]
    """Average days passed since the first of the month at the end of each of them."""
    start: float
    """Average days passed when recording began."""
    length: float
    """Average days in the whole month."""


def share(curve: tuple[float, float], time: float) -> float:
    """Return the part of the users of ``curve`` (a, b) who have come ``time`` average days into a month."""
    a, b = curve
    return 1 - exp(-a * log1p(time / b))


@dataclass(frozen=True, slots=True)
class Comer:
    """One likely answer: a curve and the retention it implies, now and from month to month."""

    curve: tuple[float, float]
    retention: float
    """The part of the last month's users who come back by the end of this month, as a month of its length."""
    error: float
    """How wrong the curve is about the part of the month that is to come: a factor."""


class Comeback:
    """Retention and its curve, learnt from months whose stock is known; the last one is the current one."""

    def __init__(self, months: Sequence[Sighted]) -> None:
        """Learn from ``months``, whose stocks are known, of which at least one has counts."""
        scores, self._answers = [], []
        for curve in _CURVES:
            estimates = [_estimate(month, curve) for month in months]
            scores.append(_TEMPER * sum(likelihood for *_, likelihood in estimates))
            self._answers.append((curve, *_drawn_on([(logit, sd) for logit, sd, _ in estimates])))
        best = max(scores)
        self._odds = [exp(score - best) for score in scores]

    @property
    def retention(self) -> float:
        """The part of a month's users who come back in the next, as of now."""
        total = sum(odds * _part(logit) for (_, logit, *_), odds in zip(self._answers, self._odds, strict=True))
        return total / sum(self._odds)

    def draw(self, rng: random.Random) -> tuple[Comer, float]:
        """Return one answer, and the standard deviation of the change of its retention's logit from month to month."""
        curve, logit, sd, change = rng.choices(self._answers, self._odds)[0]
        return Comer(curve, _part(logit + sd * rng.gauss(0, 1)), exp(_CURVE_ERROR * rng.gauss(0, 1))), change


def changed(retention: float, by: float) -> float:
    """Return ``retention`` with its logit changed ``by`` so much."""
    return _part(_logit(retention) + by)


def _part(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def _logit(part: float) -> float:
    part = min(max(part, 0.001), 0.999)
    return log(part / (1 - part))


def _estimate(month: Sighted, curve: tuple[float, float]) -> tuple[float, float, float]:
    """Return the logit of the month's retention, its standard deviation, and the likelihood's logarithm."""
    if not month.counts:
        return 0.0, inf, 0.0
    shares = [share(curve, time) for time in month.times]
    before = share(curve, month.start)
    came, whole = sum(month.counts), share(curve, month.length)
    seen = max(shares[-1] - before, 1e-9)
    stock = month.stock or 1
    retention = min((came + 0.5) / (stock + 1) * whole / seen, 0.995)
    scale, likelihood = (came + 0.5) / seen, 0.0
    for count, now in zip(month.counts, shares, strict=True):
        expected = scale * (now - before)
        before = now
        if expected > 0:
            variance = expected + (_SPREAD * expected) ** 2 + 0.1
            likelihood -= 0.5 * ((count - expected) ** 2 / variance + log(variance))
    ahead = 1 - seen / whole
    sd = hypot(1 / sqrt(came + 1), _CURVE_ERROR * ahead) / max(1 - retention, 0.1)
    return _logit(retention), sd, likelihood


def _drawn_on(months: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Return mean and spread of the last month's logit, and of its change, of months' (logit, spread) in order."""
    changes = [
        max((after - before) ** 2 - sd_before**2 - sd_after**2, 0.0)
        for (before, sd_before), (after, sd_after) in pairwise(months)
        if sd_after < inf
    ]
    change = sqrt((_CHANGE_WORTH * _CHANGE**2 + sum(changes)) / (_CHANGE_WORTH + len(changes)))
    mean, variance = 0.0, 4.0
    for logit, sd in months:
        variance += change**2
        gain = variance / (variance + sd**2)
        mean += gain * (logit - mean)
        variance *= 1 - gain
    return mean, sqrt(variance), change


class Mixture(NamedTuple):
    """A month whose first sightings cannot be told apart, as a stock that shows up along a curve and a steady rate."""

    curve: tuple[float, float]
    stock: float
    """Users who were there before."""
    rate: float
    """New ones per average day."""
    var_stock: float
    covariance: float
    var_rate: float

    def slope(self, time: float) -> float:
        """Return the first sightings per average day at ``time``."""
        a, b = self.curve
        return self.stock * a / b * exp(-(a + 1) * log1p(time / b)) + self.rate

    def returning(self, before: float, now: float) -> float:
        """Return the part of the first sightings between two times that is the stock's."""
        shown = self.stock * (share(self.curve, now) - share(self.curve, before))
        return shown / (shown + self.rate * (now - before)) if shown > 0 else 0.0


def mixtures(month: Sighted) -> tuple[Sequence[Mixture], Sequence[float]]:
    """Return what ``month`` may be made of, and the odds of each: weighted least squares, neither part negative."""
    answers, scores = [], []
    for curve in _CURVES:
        mixture, likelihood = _least_squares(month, curve)
        answers.append(mixture)
        scores.append(_TEMPER * likelihood)
    best = max(scores)
    return answers, [exp(score - best) for score in scores]


def mixed(months: Sequence[Sighted]) -> list[Mixture]:
    """Return what each of ``months``, whose stocks are known, is most likely made of.

    All have the same curve, and each expects the retention of those before it.
    """
    best: tuple[float, list[Mixture]] = (-inf, [])
    for curve in _CURVES:
        total, found, retentions = 0.0, [], [_RETENTION]
        for month in months:
            most = (month.stock or 1) / share(curve, month.length)
            expected = most * sum(retentions[-3:]) / len(retentions[-3:])
            mixture, likelihood = _least_squares(month, curve, (expected, expected * _RETENTION_SPREAD))
            mixture = mixture._replace(stock=min(mixture.stock, most))
            total += likelihood
            found.append(mixture)
            retentions.append(mixture.stock / most)
        best = max(best, (total, found), key=itemgetter(0))
    return best[1]


def _least_squares(
    month: Sighted, curve: tuple[float, float], prior: tuple[float, float] = (0.0, inf)
) -> tuple[Mixture, float]:
    origin = share(curve, month.start)
    shares = [origin, *(share(curve, time) for time in month.times)]
    times = [month.start, *month.times]
    rows = [
        (shares[day + 1] - shares[day], times[day + 1] - times[day], count) for day, count in enumerate(month.counts)
    ]
    stock, rate = 0.0, max(sum(month.counts) / max(times[-1] - times[0], 1e-9), 1e-9)
    xx = xt = tt = 0.0
    for _ in range(3):
        xx = 1 / prior[1] ** 2
        xy = prior[0] * xx
        xt = tt = ty = 0.0
        for shown, passed, count in rows:
            expected = stock * shown + rate * passed
            weight = 1 / (expected + (_SPREAD * expected) ** 2 + 0.1)
            xx += weight * shown * shown
            xt += weight * shown * passed
            tt += weight * passed * passed
            xy += weight * shown * count
            ty += weight * passed * count
        determinant = xx * tt - xt * xt
        if determinant > 1e-9 * xx * tt:
            stock, rate = (xy * tt - ty * xt) / determinant, (ty * xx - xy * xt) / determinant
        else:
            stock, rate = 0.0, ty / tt
        if stock < 0:
            stock, rate = 0.0, ty / tt
        elif rate < 0:
            stock, rate = xy / xx, 0.0
    likelihood = -0.5 * ((stock - prior[0]) / prior[1]) ** 2
    for shown, passed, count in rows:
        expected = stock * shown + rate * passed
        variance = expected + (_SPREAD * expected) ** 2 + 0.1
        likelihood -= 0.5 * ((count - expected) ** 2 / variance + log(variance))
    determinant = max(xx * tt - xt * xt, 1e-9 * xx * tt)
    return Mixture(curve, stock, rate, tt / determinant, -xt / determinant, xx / determinant), likelihood
