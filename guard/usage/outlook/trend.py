"""A daily rate that drifts and grows: filtered from counts, and drawn forward.

The local linear trend of Harvey, "Forecasting, Structural Time Series Models and the Kalman Filter" (1989), on the
logarithm of the rate. Counts are Poisson with extra spread, so the filter is the extended one. How fast level and
growth wander is not known beforehand: several answers are filtered side by side and weighed by how well each had
foretold the counts (Bayesian model averaging).
"""

import random
from collections.abc import Iterable, Sequence
from itertools import product
from math import exp, log, sqrt
from typing import NamedTuple

_LEVEL_DRIFTS = (0.003, 0.012, 0.05)
"""Standard deviations of the level's change in a day."""
_GROWTH_DRIFTS = (0.00005, 0.0003, 0.0015)
"""Standard deviations of the growth's change in a day."""
_GROWTH_PRIOR = 0.006
"""The spread of growth per day before any count was seen: some 20 % a month."""
_FADES = (45.0, 120.0, 480.0)
"""Days in which growth fades to 1/e, each as likely: no growth of today goes on for ever."""
_CEILING = 30.0
"""The logarithm no rate exceeds: more users than there are people."""
_FAR = 4.0
"""Standard deviations beyond which a count pulls no further: a campaign's day is no new level."""


class Observed(NamedTuple):
    """A day's users, and the share of an average day's it was to have (0: nothing was seen, time passed)."""

    users: float
    weight: float


class Noise(NamedTuple):
    """What a day's count differs by from the rate: ``chance`` times the Poisson variance, and one of ``spreads``."""

    chance: float
    spreads: Sequence[float]


ARRIVALS = Noise(1.0, (0.05, 0.2))
WINDOWS = Noise(0.0, (0.003, 0.02))


class State(NamedTuple):
    """What one answer holds after the last day: means and covariance of level and growth, and its own drifts."""

    level: float
    growth: float
    var_level: float
    covariance: float
    var_growth: float
    level_drift: float
    growth_drift: float
    spread: float


class Walk:
    """One possible future of the rate, day by day or in longer strides."""

    __slots__ = ("_fade", "_growth", "_level", "_rng", "_state", "spread")

    def __init__(self, state: State, rng: random.Random) -> None:
        first, second = rng.gauss(0, 1), rng.gauss(0, 1)
        root = sqrt(max(state.var_level, 1e-12))
        self._level = state.level + root * first
        tied = state.covariance / root
        self._growth = state.growth + tied * first + sqrt(max(state.var_growth - tied**2, 0.0)) * second
        self._fade = rng.choice(_FADES)
        self._state, self._rng = state, rng
        self.spread = state.spread
        """How much a day's count differs from the rate, beyond chance."""

    def step(self, days: int = 1) -> float:
        """Go ``days`` ahead and return the rate, per average day, halfway there."""
        gauss, state, root = self._rng.gauss, self._state, sqrt(days)
        before = self._level
        self._growth = self._growth * exp(-days / self._fade) + state.growth_drift * root * gauss(0, 1)
        self._level = min(before + self._growth * days + state.level_drift * root * gauss(0, 1), _CEILING)
        return exp(self._level if days == 1 else (before + self._level) / 2)


class Trend:
    """The rate after a series of days (at least one with a weight), as weighted answers."""

    def __init__(self, days: Sequence[Observed], noise: Noise = ARRIVALS) -> None:
        start = _start(days)
        answers = [
            _filtered(days, start, noise.chance, drifts)
            for drifts in product(_LEVEL_DRIFTS, _GROWTH_DRIFTS, noise.spreads)
        ]
        best = max(likelihood for _, likelihood in answers)
        self._states = [state for state, _ in answers]
        self._odds = [exp(likelihood - best) for _, likelihood in answers]

    @property
    def rate(self) -> float:
        """The rate per average day at the end."""
        return exp(self._mean(state.level for state in self._states))

    @property
    def growth(self) -> float:
        """The part that the rate grows by in 30 days, as of the end."""
        return exp(30 * self._mean(state.growth for state in self._states)) - 1

    def walk(self, rng: random.Random) -> Walk:
        """Draw one future that begins after the last day."""
        return Walk(rng.choices(self._states, self._odds)[0], rng)

    def _mean(self, values: Iterable[float]) -> float:
        return sum(value * odds for value, odds in zip(values, self._odds, strict=True)) / sum(self._odds)


def _start(days: Sequence[Observed]) -> float:
    """Return the logarithm of the first week's rate."""
    seen = [day for day in days if day.weight > 0][:7]
    return log((sum(day.users for day in seen) + 0.5) / sum(day.weight for day in seen))


def _filtered(
    days: Sequence[Observed], start: float, chance: float, drifts: tuple[float, float, float]
) -> tuple[State, float]:
    """Return what one answer holds after ``days``, and the logarithm of how well it foretold them."""
    level_drift, growth_drift, spread = drifts
    level, growth = start, 0.0
    a, b, c = 0.25, 0.0, _GROWTH_PRIOR**2  # variance of the level, covariance, variance of growth
    likelihood = 0.0
    for count, weight in days:
        level = min(level + growth, _CEILING)
        a += 2 * b + c + level_drift**2
        b += c
        c += growth_drift**2
        if weight <= 0:
            continue
        expected = weight * exp(level)
        variance = a + chance / expected + spread**2
        surprise = count / expected - 1
        far = _FAR * sqrt(variance)
        if abs(surprise) > far:
            surprise = far if surprise > 0 else -far
        likelihood -= 0.5 * (surprise**2 / variance + log(variance)) + log(expected)
        gain, growth_gain = a / variance, b / variance
        level += gain * surprise
        growth += growth_gain * surprise
        c -= growth_gain * b
        b -= gain * b
        a -= gain * a
    return State(level, growth, a, b, c, level_drift, growth_drift, spread), likelihood
