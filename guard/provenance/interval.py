"""What a count says about the rate behind it: exact binomial intervals and tails, in plain Python.

Both are the regularized incomplete beta function, here by its continued fraction with Lentz's method (Press, Teukolsky,
Vetterling, Flannery, Numerical Recipes, 6.4).
"""

from collections.abc import Callable
from math import exp, lgamma, log, log1p

_TINY = 1e-300
_EPSILON = 1e-15
_MOST_STEPS = 100_000
"""Enough for 10 billion trials: about the root of the count is needed."""


def interval(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share of which ``count`` of ``of`` were seen.

    The true share lies in it with at least ``confidence``, were the ``of`` drawn independently (Clopper, Pearson,
    Biometrika 1934). Nothing seen is the interval (0, 1).
    """
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of}; allowed: 0 to {of} of {of}")
    tail = (1 - confidence) / 2
    lower = 0.0 if count == 0 else _where(lambda rate: at_least(count, of, rate), tail)
    upper = 1.0 if count == of else _where(lambda rate: at_least(count + 1, of, rate), 1 - tail)
    return lower, upper


def at_least(count: int, of: int, rate: float) -> float:
    """Return the probability of ``count`` or more in ``of`` independent trials that each succeed with ``rate``."""
    if count <= 0:
        return 1.0
    if count > of:
        return 0.0
    return _incomplete_beta(count, of - count + 1, rate)


def _where(rising: Callable[[float], float], level: float) -> float:
    """Return where a function that rises on 0 to 1 reaches ``level``, by halving."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if rising(middle) < level:
            low = middle
        else:
            high = middle
    return low


def _incomplete_beta(a: float, b: float, x: float) -> float:
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    # The fraction converges fast below the mean only; above it the complement is below its own.
    if x < (a + 1) / (a + b + 2):
        return min(1.0, front * _fraction(a, b, x) / a)
    return max(0.0, 1.0 - front * _fraction(b, a, 1 - x) / b)


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value, step = d, 0
    change = 0.0
    while abs(change - 1) > _EPSILON and step < _MOST_STEPS:
        step += 1
        for term in (
            step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step)),
            -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1)),
        ):
            d = 1 / _away(1 + term * d)
            c = _away(1 + term / c)
            change = c * d
            value *= change
    return value


def _away(value: float) -> float:
    """Keep a denominator away from zero."""
    return value if abs(value) > _TINY else _TINY
