"""The last prompts of an identity: how many of them have one form, and whether one is sampled again and again."""

from guard.behavior.inner import remember
from guard.behavior.reading import Reading
from guard.behavior.study_twin import RECORD

AGAIN = 3
"""Times that a prompt was there under other seeds before it counts as a sweep."""


class Window:
    """The last ``LENGTH`` prompts; ``records`` are they as stored, oldest first, which a new one may be made of."""

    __slots__ = ("records",)

    def __init__(self, records: bytes = b"") -> None:
        self.records = bytearray(records)

    def __len__(self) -> int:
        return len(self.records) // RECORD.size

    def add(self, reading: Reading, seed: int) -> tuple[float, bool]:
        """Remember a prompt; return the share of those before it that have its form, and whether it is a seed sweep."""
        share, seeds = remember(self.records, reading.sketch, reading.prompt, seed)
        return share, seeds >= AGAIN
