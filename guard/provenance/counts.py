"""The counters beside a segment that is being written: what a reader goes by when the writer was killed.

``<segment>.counts`` is one page that the writer has mapped shared: plain stores survive kill -9, though not a power cut
(which is why a reader believes them only within one boot of the machine, or once they were ``settled`` in it: put on
the medium with their segment, and marked so by a byte behind them). Five numbers of 8 bytes, little-endian, all
since the segment began; exchanges that were being answered then count as begun in it, choices that waited as answered
in it. Once the segment has an ``End`` the file says nothing more and may be deleted.

Stores are ordered so that a kill between two of them never hides an answer: ``begun`` before the first byte leaves,
``answered`` when a choice is handed over, ``ended`` after the last choice of an exchange was, ``written`` after the
segment has it. Write them as whole words (``memoryview(mapped).cast("Q")[WRITTEN] = number``): ``struct`` packs byte by
byte, and a kill could come between two bytes.
"""

from pathlib import Path
from struct import Struct
from typing import NamedTuple

LAYOUT = Struct("<5Q")
BEGUN, ENDED, ANSWERED, WRITTEN, DROPPED = range(5)
"""Places of the numbers."""
COUNTS_SUFFIX = ".counts"
SETTLED = b"\1"
"""The byte behind the numbers, once they hold whatever happens to the machine."""


class Counts(NamedTuple):
    """What the writer of a segment had done when it was last alive."""

    begun: int
    """Exchanges whose first byte was about to leave."""
    ended: int
    """Of these, exchanges whose choices were all handed over."""
    answered: int
    """Choices handed over."""
    written: int
    """Of these, choices in the segment."""
    dropped: int
    """Of these, choices left out."""
    settled: bool = False
    """True if a loss of power since then takes nothing from what the numbers say."""


def counts_path(segment: Path) -> Path:
    """Return where the counters of ``segment`` lie."""
    return segment.with_name(segment.name + COUNTS_SUFFIX)


def read_counts(segment: Path) -> Counts | None:
    """Return the counters of ``segment``; None if there are none, or none that can be true."""
    try:
        content = counts_path(segment).read_bytes()
    except OSError:
        return None
    if len(content) < LAYOUT.size:
        return None
    counts = Counts._make((*LAYOUT.unpack_from(content), content[LAYOUT.size : LAYOUT.size + 1] == SETTLED))
    sane = counts.ended <= counts.begun and counts.written + counts.dropped <= counts.answered
    return counts if sane else None
