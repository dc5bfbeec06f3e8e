"""What the sums of a stretch of words mean: logits, probabilities, a category."""

import math
from array import array
from collections.abc import Sequence
from operator import add
from typing import NamedTuple

from guard.screening.categories import CATEGORIES
from guard.screening.learned.twin import HEADS
from guard.screening.learned.weights import Weights

UNSAFE, D1 = 0, HEADS - 1
"""Heads."""
CODES = tuple(code for code in CATEGORIES if code != "D1")
"""The hazards in the order of their heads, from the second on."""
BLOCK = 32
"""Words. Two blocks are a window."""
LEAST = 4
"""Words that a shorter window counts as: one word is evidence of nothing."""
_ROOTS = tuple(math.sqrt(max(words, LEAST)) for words in range(2 * BLOCK + 1))


class Window(NamedTuple):
    """The sums of two neighboring blocks, how many words they have, and the folded characters they cover."""

    before: "array[int]"
    sums: "array[int]"
    words: int
    start: int
    end: int


class Scale:
    """Turns sums into logits.

    A sum is divided by the square root of the window's words, for a sum of independent terms grows like that; so short
    and long windows compare.
    """

    def __init__(self, weights: Weights) -> None:
        self._scales = weights.scales
        self._biases = weights.biases
        self._unsafe = weights.biases[UNSAFE], [weights.scales[UNSAFE] / root for root in _ROOTS]
        self._d1 = weights.biases[D1], [weights.scales[D1] / root for root in _ROOTS]

    @property
    def units(self) -> "array[float]":
        """Biases of ``unsafe`` and D1, and what a unit of each is worth over 0 to 2 * BLOCK words."""
        unsafe, d1 = self._unsafe, self._d1
        return array("d", [unsafe[0], d1[0], *unsafe[1], *d1[1]])

    def unsafe(self, total: int, words: int) -> float:
        """Return the logit of ``unsafe`` where its rows sum to ``total`` over ``words`` words, 2 * BLOCK at most."""
        bias, units = self._unsafe
        return bias + units[words] * total

    def d1(self, total: int, words: int) -> float:
        """Return the logit of D1."""
        bias, units = self._d1
        return bias + units[words] * total

    def logits(self, window: Window) -> tuple[float, ...]:
        """Return the logits of all heads."""
        root = _ROOTS[window.words]
        sums = map(add, window.before, window.sums)
        return tuple(
            bias + scale / root * total for bias, scale, total in zip(self._biases, self._scales, sums, strict=True)
        )


def category(logits: Sequence[float]) -> str:
    """Return the code of the likeliest hazard."""
    best = max(range(1, D1), key=logits.__getitem__)
    return CODES[best - 1]


def empty() -> "array[int]":
    """Return the sums of no words."""
    return array("i", bytes(4 * HEADS))


def sigmoid(logit: float) -> float:
    """Return the probability of ``logit``."""
    if logit < 0:
        power = math.exp(logit)
        return power / (1 + power)
    return 1 / (1 + math.exp(-logit))
