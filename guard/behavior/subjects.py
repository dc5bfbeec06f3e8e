"""What an identity asks about: how often each bucket of words is among its prompts, lately and over its past."""

from collections.abc import Iterable, Sequence
from math import log2

from guard.behavior.reading import BUCKETS

RECENT, PAST = 64, 1024
"""Prompts over which presence is averaged, with exponential weights."""
Presence = list[float]
"""Share of prompts that each bucket is in, 0..1."""


def nothing() -> Presence:
    """Return the presence of no prompt."""
    return [0.0] * BUCKETS


def seen(presence: Presence, subjects: Iterable[int], count: int, span: int) -> Presence:
    """Return ``presence`` after one more prompt, the ``count``-th, as the plain mean until there are ``span``."""
    step = max(1.0 / span, 1.0 / count)
    keep = 1.0 - step
    found = [share * keep for share in presence]
    for bucket in subjects:
        found[bucket] += step
    return found


def coverage(presence: Sequence[float]) -> float:
    """Return the entropy, 0..1, of what varies: buckets that every prompt has, or none, count for nothing."""
    weights = [share * (1.0 - share) for share in presence if share > 0.0]
    total = sum(weights)
    if total <= 1e-9:
        return 0.0
    return -sum(weight / total * log2(weight / total) for weight in weights if weight > 0.0) / log2(BUCKETS)


def discrepancy(one: Sequence[float], of_one: int, other: Sequence[float], of_other: int) -> float:
    """Return how far two averages of presences are apart beyond chance, 0..1.

    It is the squared maximum mean discrepancy of two samples of prompts under the linear kernel (Gretton et al., 2012),
    from running means and so linear in time, less twice what chance alone gives samples of that many prompts, as a
    share of the two squared norms.
    """
    distance = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
    spread = sum(share * (1.0 - share) for share in other)
    norms = sum(a * a for a in one) + sum(b * b for b in other)
    beyond = distance - 2.0 * spread * (1.0 / max(1, of_one) + 1.0 / max(1, of_other))
    return min(1.0, max(0.0, beyond / norms)) if norms > 1e-9 else 0.0
