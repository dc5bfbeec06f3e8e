"""The last prompts of an identity: how many of them have one form, and whether one is sampled again and again."""

from collections import deque
from typing import NamedTuple

from guard.behavior.reading import Reading, alike

LENGTH = 32
"""Prompts that are remembered."""
AGAIN = 3
"""Times that a prompt was there under other seeds before it counts as a sweep."""


class Recent(NamedTuple):
    """One prompt of the window."""

    sketch: frozenset[int]
    prompt: int
    seed: int
    """16 bits of the seed, 0 if none was given."""


class Window:
    """The last ``LENGTH`` prompts, oldest first."""

    __slots__ = ("recent",)

    def __init__(self) -> None:
        self.recent: deque[Recent] = deque(maxlen=LENGTH)

    def add(self, reading: Reading, seed: int) -> tuple[float, bool]:
        """Remember a prompt; return the share of those before it that have its form, and whether it is a seed sweep."""
        recent = self.recent
        share = sum(alike(each.sketch, reading.sketch) for each in recent) / len(recent) if recent else 0.0
        seeds = {each.seed for each in recent if each.prompt == reading.prompt and each.seed}
        recent.append(Recent(reading.sketch, reading.prompt, seed))
        return share, bool(seed) and seed not in seeds and len(seeds) >= AGAIN
