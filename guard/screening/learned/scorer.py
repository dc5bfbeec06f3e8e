"""Which of the two forms of the inner loop there is: the compiled one, or its twin in Python."""

from array import array
from typing import Protocol

from guard.screening.learned.twin import Twin


class Scorer(Protocol):
    """Sums the rows of a text's words: see ``Twin.take``."""

    def take(
        self, text: str, start: int, limit: int, second: int, first: int, sums: "array[int]"
    ) -> tuple[int, int, int, int]:
        """Add the rows of at most ``limit`` words to ``sums``."""


def scorer(table: bytes) -> Scorer:
    """Return the compiled scorer of ``table``, or its twin where nothing was compiled; both give the same sums."""
    try:
        from guard.screening.learned._kernel import Kernel  # noqa: PLC0415 - optional: an install needs no compiler
    except ImportError:
        return Twin(table)
    return Kernel(table)
