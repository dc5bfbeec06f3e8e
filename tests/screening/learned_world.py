"""Weights of tier 2 that a test can reckon with: a few words have rows, all others are worth nothing."""

import random

from guard.screening.learned.learned import Learned
from guard.screening.learned.twin import BITS, HEADS
from guard.screening.learned.weights import Thresholds, Weights
from guard.screening.train.corpus import HEADS as NAMES
from guard.screening.train.features import indices

BIAS = -4.0
HARMLESS = [
    "the",
    "quick",
    "brown",
    "fox",
    "sat",
    "by",
    "a",
    "lazy",
    "dog",
    "and",
    "read",
    "old",
    "books",
    "of",
    "rain",
]


def weights(values=None, *, scale=1.0, flag=0.0, block=6.0, table=None):
    """Return weights under which a word of ``values`` has its units at some heads: {"zap": {"unsafe": 100}}."""
    if table is None:
        cells = bytearray(HEADS << BITS)
        for word, units in (values or {}).items():
            row = next(indices([word])) * HEADS
            for head, unit in units.items():
                cells[row + NAMES.index(head)] = unit % 256
        table = bytes(cells)
    thresholds = Thresholds(flag, block)
    return Weights(NAMES, (scale,) * HEADS, (BIAS,) * HEADS, thresholds, thresholds, "made up", table)


def rough(seed=1):
    """Return weights under which every word matters, one way or the other: all is flagged and some is blocked."""
    return weights(scale=0.02, flag=-100.0, block=4.0, table=random.Random(seed).randbytes(HEADS << BITS))


class Counting:
    """A scorer that counts the words it reads and the characters it goes through."""

    def __init__(self, inner):
        self._inner = inner
        self.words = self.characters = 0

    def take(self, text, start, limit, second, first, sums):
        end, taken, second, first = self._inner.take(text, start, limit, second, first, sums)
        self.words += taken
        self.characters += end - start
        return end, taken, second, first


ZAP = {"zap": {"unsafe": 100, "S1": 60, "S9": 90}, "zip": {"unsafe": 30, "S11": 30}, "zoo": {"D1": 100}}
"""Words that are too much, somewhat too much, and of no hazard: the making of training data."""


def zapping(inner=None):
    """Return a model that knows the words of ZAP."""
    return Learned(weights(ZAP), inner)
