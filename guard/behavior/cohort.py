"""What is usual among the identities of a deployment: their subjects, and how much output they take a day."""

import struct
from collections.abc import Sequence
from math import log2, sqrt

from guard.behavior.study_twin import BUCKETS
from guard.behavior.subjects import NOWHERE

VERSION = 1
SPAN = 4096
"""Contributions over which the averages reach back. Each identity contributes once for every ``EVERY`` of its prompts
and no more than once an hour, so that no busy one makes itself the usual."""
EVERY = 16
HOUR = 3600.0
ENOUGH = 64
"""Contributions before anything is compared with it."""
_LAYOUT = struct.Struct(f"<B3xIff{BUCKETS}e")


class Cohort:
    """The averages; small enough to be one row of the store."""

    __slots__ = ("contributions", "mean", "presence", "square")

    def __init__(self) -> None:
        self.contributions = 0
        self.presence: Sequence[float] = NOWHERE
        """Share of prompts that each bucket is in."""
        self.mean = self.square = 0.0
        """Of the binary logarithm of the tokens a day, and of its square."""

    def take(self, presence: Sequence[float], tokens: float) -> None:
        """Add what one identity is like: its recent subjects and its output tokens a day."""
        self.contributions += 1
        step = max(1.0 / SPAN, 1.0 / self.contributions)
        self.presence = [old + step * (new - old) for old, new in zip(self.presence, presence, strict=True)]
        level = log2(1.0 + tokens)
        self.mean += step * (level - self.mean)
        self.square += step * (level * level - self.square)

    def above(self, tokens: float) -> float:
        """Return by how many standard deviations ``tokens`` a day are above the usual; 0 while little is known.

        A deviation is at least a doubling: a deployment of equals is no reason to call one of them loud.
        """
        if self.contributions < ENOUGH:
            return 0.0
        deviation = max(1.0, sqrt(max(0.0, self.square - self.mean * self.mean)))
        return (log2(1.0 + tokens) - self.mean) / deviation

    def pack(self) -> bytes:
        """Return it in 528 bytes, whatever it holds."""
        return _LAYOUT.pack(VERSION, min(self.contributions, 0xFFFFFFFF), self.mean, self.square, *self.presence)

    @classmethod
    def unpack(cls, data: bytes) -> "Cohort":
        """Return what ``pack`` wrote. Raises ValueError for anything else."""
        if len(data) != _LAYOUT.size or data[0] != VERSION:
            raise ValueError(f"cohort of {len(data)} bytes; allowed: version {VERSION}, {_LAYOUT.size} bytes")
        found = cls()
        _, found.contributions, found.mean, found.square, *presence = _LAYOUT.unpack(data)
        found.presence = presence
        return found
