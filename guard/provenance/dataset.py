"""A data set as what can be recognized in it: digests, fingerprints, claimed receipts; no text is held.

Equal texts are held once. A text of over 512 words is searched for in pieces as well, because an output that was put
into a long document is a small part of it; pieces overlap by 12 words, so no run of 13 is cut.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from guard.provenance.fingerprint import RUN, Fingerprinter, unpack
from guard.provenance.receipt import Receipts
from guard.provenance.record import Record
from guard.provenance.words import words

WHOLE = 512
"""Words up to which a text is searched for as a whole."""
PIECE = 256
"""Words of a piece of a longer text."""
COMMON = 1000
"""A fingerprint of more texts than this is a phrase of the data set and tells nothing about any one of them."""


def is_strong(matched: int, of: int) -> bool:
    """Return whether that many shared fingerprints of a text are strong evidence (tier B)."""
    return matched >= 2 and matched >= 0.4 * of


def is_weak(matched: int, of: int) -> bool:
    """Return whether that many shared fingerprints of a text call for a review (tier C)."""
    return matched >= 3 and matched >= 0.2 * of


class Place(NamedTuple):
    """Where a text stands: the number and line of its record, and its field."""

    record: int
    line: int
    path: str


class Text:
    """One different text: its words, how many fingerprints it can be found by, and everywhere it stands."""

    __slots__ = ("fingerprints", "places", "words")

    def __init__(self, words: int) -> None:
        self.words = words
        self.fingerprints = 0
        self.places: list[Place] = []


class DataSet:
    """Takes records, is sealed, and is then searched in."""

    def __init__(self, receipts: Receipts, fingerprinter: Fingerprinter) -> None:
        self.records = 0
        self.texts: list[Text] = []
        self.by_digest: dict[bytes, int] = {}
        """Number of each text, by its digest."""
        self.claims: dict[str, list[Place]] = {}
        """Where each id of a receipt stands."""
        self.short = 0
        """Texts of fewer than 13 words."""
        self.unsearched = 0
        """Texts with so many common fingerprints that by these alone they could be outputs."""
        self._receipts, self._fingerprinter = receipts, fingerprinter
        self._postings: dict[int, int | array[int]] = {}

    def add(self, record: Record) -> None:
        """Take every text of ``record``; texts of fewer than 13 words only where they answer."""
        self.records += 1
        for receipt in record.receipts:
            self.claims.setdefault(receipt, []).append(Place(record.number, record.line, ""))
        for span in record.spans:
            every = words(span.text)
            if len(every) >= RUN or (every and span.answers):
                place = Place(record.number, record.line, span.path)
                self._take(every, place, searched=len(every) <= WHOLE)
                for piece in _pieces(every):
                    self._take(piece, place, searched=True)

    def seal(self) -> None:
        """Leave common fingerprints out; call once, after the last record and before the search."""
        common = [value for value in self._postings if len(self.texts_with(value)) > COMMON]
        removed = Counter(number for value in common for number in self.texts_with(value))
        for number, count in removed.items():
            self.unsearched += is_strong(count, self.texts[number].fingerprints)
            self.texts[number].fingerprints -= count
        for value in common:
            del self._postings[value]

    def has_none(self, values: Sequence[int]) -> bool:
        """Return True if no text has any of these fingerprints."""
        return self._postings.keys().isdisjoint(values)

    def texts_with(self, value: int) -> Sequence[int]:
        """Return the numbers of the texts that have a fingerprint."""
        texts = self._postings.get(value, ())
        return (texts,) if isinstance(texts, int) else texts

    def _take(self, words: list[bytes], place: Place, *, searched: bool) -> None:
        digest = self._receipts.digest(words)
        number = self.by_digest.get(digest)
        if number is None:
            number = self.by_digest[digest] = len(self.texts)
            self.texts.append(Text(len(words)))
            self.short += len(words) < RUN
            if searched:
                self._post(number, unpack(self._fingerprinter.fingerprint(words).values))
        self.texts[number].places.append(place)

    def _post(self, number: int, values: Sequence[int]) -> None:
        self.texts[number].fingerprints = len(values)
        postings = self._postings
        for value in values:
            known = postings.get(value)
            if known is None:
                postings[value] = number
            elif isinstance(known, int):
                postings[value] = array("L", (known, number))
            else:
                known.append(number)


def _pieces(words: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the pieces of a long text; the last one may be longer than the others, none is much shorter."""
    if len(words) > WHOLE:
        step = PIECE - RUN + 1
        starts = range(0, len(words) - PIECE + 1, step)
        for start in starts:
            yield words[start : start + PIECE] if start != starts[-1] else words[start:]
