"""What an identity asks about: how often each bucket of words is among its prompts, lately and over its past."""

from array import array
from collections.abc import Iterable, Sequence
from math import dist, log2
from operator import mul

from guard.behavior.reading import BUCKETS

RECENT, PAST = 64, 1024
"""Prompts over which presence is averaged, with exponential weights."""
NOWHERE = (0.0,) * BUCKETS
"""The shares of no prompt."""
_LEAST = 1e-6
"""Scale from which shares are multiplied out, far from where they would lose digits."""


class Presence:
    """Share of prompts that each bucket is in, 0..1. One more prompt costs as much as it has buckets, not all 256."""

    __slots__ = ("_scale", "_scaled")

    def __init__(self, shares: Sequence[float] = NOWHERE) -> None:
        self._scaled, self._scale = array("d", shares), 1.0

    def add(self, subjects: Iterable[int], count: int, span: int) -> None:
        """Take in one more prompt, the ``count``-th, as the plain mean until there are ``span``."""
        step = max(1.0 / span, 1.0 / count)
        scale = self._scale * (1.0 - step)
        if scale < _LEAST:
            self._scaled, scale = array("d", [share * scale for share in self._scaled]), 1.0
        self._scale, scaled, weight = scale, self._scaled, step / scale
        for bucket in subjects:
            scaled[bucket] += weight

    def shares(self) -> Sequence[float]:
        """Return the share of each bucket."""
        scale = self._scale
        return [share * scale for share in self._scaled]


def coverage(presence: Sequence[float]) -> float:
    """Return the entropy, 0..1, of what varies: buckets that every prompt has, or none, count for nothing."""
    weights = [share * (1.0 - share) for share in presence if 0.0 < share < 1.0]
    total = sum(weights)
    if total <= 1e-9:
        return 0.0
    spread: float = sum(map(mul, weights, map(log2, weights)))
    return (log2(total) - spread / total) / log2(BUCKETS)


def discrepancy(one: Sequence[float], of_one: int, other: Sequence[float], of_other: int) -> float:
    """Return how far two averages of presences are apart beyond chance, 0..1.

    It is the squared maximum mean discrepancy of two samples of prompts under the linear kernel (Gretton et al., 2012),
    from running means and so linear in time, less twice what chance alone gives samples of that many prompts, as a
    share of the two squared norms.
    """
    norm: float = dist(other, NOWHERE) ** 2
    norms = dist(one, NOWHERE) ** 2 + norm
    spread = sum(other) - norm
    beyond = dist(one, other) ** 2 - 2.0 * spread * (1.0 / max(1, of_one) + 1.0 / max(1, of_other))
    return min(1.0, max(0.0, beyond / norms)) if norms > 1e-9 else 0.0
