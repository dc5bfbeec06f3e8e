"""What screening found: a rule, its category, and the span of the original text it covers."""

from enum import IntEnum
from typing import NamedTuple

from guard.screening.segments import Source


class Action(IntEnum):
    """What a license or a policy does about a category; the larger one wins."""

    OFF = 0
    LOG = 1
    FLAG = 2
    BLOCK = 3

    @classmethod
    def parse(cls, name: str) -> "Action":
        """Return the action of that lower-case name; raises KeyError for any other."""
        return cls[name.upper()]


class Finding(NamedTuple):
    """One match; ``start`` and ``end`` are character offsets in the original, unnormalized text."""

    rule: str
    category: str
    start: int
    end: int
    source: Source
    path: str = ""
    transform: str | None = None
    """How the text had to be decoded before the rule saw it (``base64``, ``percent``, ``entities``), or None."""
