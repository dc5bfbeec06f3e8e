"""What screening found: a rule, its category, and the span of the original text it covers."""

from enum import IntEnum
from typing import NamedTuple

from guard.screening.segments import Source


class Action(IntEnum):
    """What a license or a policy does about a category; the larger one wins."""

    OFF = 0
    LOG = 1
    FLAG = 2
    MASK = 3
    """What was found is replaced; only a rule can say so, and with what."""
    BLOCK = 4

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
    most: Action = Action.BLOCK
    """The most that may be done about it, whatever a license says: a weak sign only flags."""
    score: float | None = None
    """Risk in 0..1 where the finding has one of its own; None: its rule's."""
