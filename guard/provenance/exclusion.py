"""Texts that are known to be public: they may come from anywhere, so they tell nothing of an output."""

from array import array
from collections.abc import Iterable, Sequence

from guard.provenance.fingerprint import RUN, Fingerprinter
from guard.provenance.record import Record
from guard.provenance.words import read

MOST = 2_000_000
"""Fingerprints of texts that can be excluded: of about 9 million words."""
ROOM = 5
"""Fingerprints of a data set that take as much memory as an excluded one."""


class ExclusionError(ValueError):
    """More texts are to be excluded than can be held."""


class Excluded:
    """What the fingerprints of public texts are with one key."""

    def __init__(self, grams: frozenset[int] = frozenset()) -> None:
        self.grams = grams

    @property
    def room(self) -> int:
        """How many fingerprints fewer a batch may hold beside these."""
        return ROOM * len(self.grams)

    def left(self, grams: bytes, lanes: tuple[int, int, int]) -> tuple[bytes, tuple[int, int, int]]:
        """Return ``grams`` and their number by lane without those that are excluded."""
        if not self.grams:
            return grams, lanes
        values = array("Q", grams)
        if self.grams.isdisjoint(values):
            return grams, lanes
        first = 0
        kept, counts = array("Q"), []
        for count in lanes:
            stay = [value for value in values[first : first + count] if value not in self.grams]
            kept.extend(stay)
            counts.append(len(stay))
            first += count
        return kept.tobytes(), (counts[0], counts[1], counts[2])


NOTHING = Excluded()


def excluded_by(records: Iterable[Record], fingerprinters: Sequence[Fingerprinter]) -> list[Excluded]:
    """Return what is excluded by the texts of ``records``, for each of ``fingerprinters``.

    Every text of 13 words or more counts, and so do its parts of that length. Raises ExclusionError if there are too
    many, and whatever ``records`` raises.
    """
    found: list[set[int]] = [set() for _ in fingerprinters]
    for record in records:
        for span in record.spans:
            text = read(span.text)
            if text.count < RUN:
                continue
            for grams, fingerprinter in zip(found, fingerprinters, strict=True):
                for piece in fingerprinter.pieces(text):
                    grams.update(array("Q", piece.grams))
        if sum(map(len, found)) > MOST:
            raise ExclusionError(f"texts of more than {MOST} fingerprints; allowed: so many, about 9 million words")
    return [Excluded(frozenset(grams)) for grams in found]
