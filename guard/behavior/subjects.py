"""What an identity asks about: how often each bucket of words is among its prompts, lately and over its past."""

from array import array
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from math import dist, log2
from operator import mul

from guard.behavior.inner import add, doubles, halves
from guard.behavior.study_twin import BUCKETS

RECENT, PAST = 64, 1024
"""Prompts over which presence is averaged, with exponential weights."""
NOWHERE = (0.0,) * BUCKETS
"""The shares of no prompt."""
_LEAST = 1e-6
"""Scale from which shares are multiplied out, far from where they would lose digits."""


class Presence:
    """Share of prompts that each bucket is in, 0..1. One more prompt costs as much as it has buckets, not all 256."""

    __slots__ = ("scale", "scaled")

    def __init__(self, packed: bytes = bytes(2 * BUCKETS)) -> None:
        self.scaled, self.scale = array("d", doubles(packed)), 1.0
        """What each share is a ``scale``-th of, and that scale."""

    def pack(self) -> bytes:
        """Return it in 2 * BUCKETS bytes: a half of a float each."""
        return halves(self.scaled, self.scale)

    def add(self, subjects: AbstractSet[int], count: int, span: int) -> None:
        """Take in one more prompt, the ``count``-th, as the plain mean until there are ``span``."""
        step = max(1.0 / span, 1.0 / count)
        scale = self.scale * (1.0 - step)
        if scale < _LEAST:
            old = [share * scale for share in self.scaled] if scale else bytes(8 * BUCKETS)
            self.scaled, scale = array("d", old), 1.0
        self.scale = scale
        add(self.scaled, subjects, step / scale)

    def shares(self) -> Sequence[float]:
        """Return the share of each bucket."""
        scale = self.scale
        return [share * scale for share in self.scaled]


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
