"""One batch of a data set: what its texts can be recognized by, in memory that has a bound.

A data set is read once. Its texts are taken into a batch until that is full; the index is streamed past the batch, and
the next one begins. No text is held: of each different text only its fingerprints, its digest and the places it stands
in, all in flat arrays. Equal texts of one batch are held once; so is a receipt that many records name.

Fingerprints and digests are keyed, so a batch that is checked against indexes of several keys holds both for each.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from mmap import mmap
from typing import NamedTuple

from guard.provenance.exclusion import ROOM
from guard.provenance.fingerprint import RUN
from guard.provenance.marks import GRAM, Key, Marks
from guard.provenance.receipt import DIGEST_SIZE
from guard.provenance.record import Record, Span
from guard.provenance.scan import Postings
from guard.provenance.tiers import formal
from guard.provenance.words import Text, read

GRAMS = 22_000_000
"""Fingerprints that fill a batch, over all keys: 15 bytes each while the index is searched, none before that."""
TEXTS = 1_500_000
"""Texts, or places of texts, that fill a batch; an index can be searched for 2 ** 21 at once."""
TEXT = 6
"""Fingerprints that take as much memory as a place of a text."""
NAMES = 50_000
"""Different names of files, fields and models that fill a batch."""
_SLOTS = 1 << 22
_PROOF, _LONG, _PIECE, _CLAIM, _PUBLIC, _FORMAL = 1, 2, 4, 8, 16, 32
_NO_DIGEST = bytes(DIGEST_SIZE)


@dataclass(slots=True)
class Counts:
    """How much of a data set was taken so far."""

    records: int = 0
    attributable: int = 0
    """Of these, records with a text that is long enough to be told by its words."""
    texts: int = 0
    """Different texts, counted anew in every batch."""
    short: int = 0
    """Of these, texts of fewer than 13 words: only an exact copy of a whole output is found."""
    public: int = 0
    """Of these, texts that consist of what was excluded."""
    unseen: int = 0
    """Values of bytes that are no text, as images are: they cannot be searched for."""
    blind: int = 0
    """Records in which nothing else stands."""
    thinned: int = 0
    """Of these, other texts of which some fingerprints are not looked for, because they were excluded."""


def batches(records: Iterable[Record], keys: Sequence[Key], counts: Counts) -> Iterator["Batch"]:
    """Yield ``records`` in batches, at least one, each with the texts after those of the one before.

    A record whose texts fill a batch goes on in the next one. ``counts`` is kept up to date.
    """
    batch = Batch(keys, counts)
    for record in records:
        counts.records += 1
        if record.unseen:
            counts.unseen += record.unseen
            counts.blind += not any(span.text for span in record.spans)
        long = False
        for receipt in record.receipts:
            if batch.full:
                yield batch
                batch = Batch(keys, counts)
            batch.claim(record, receipt)
        for span in record.spans:
            if batch.full:
                yield batch
                batch = Batch(keys, counts)
            long |= batch.take(record, span)
        counts.attributable += long
    yield batch


class Place(NamedTuple):
    """Where a text of the batch stands: the number, file and line of its record, and its field."""

    record: int
    line: int
    file: str
    path: str
    text: int


class Batch:
    """Takes texts until it is ``full``, and can then be searched for in an index of each of its keys."""

    def __init__(self, keys: Sequence[Key], counts: Counts) -> None:
        self.marks = [Marks(key) for key in keys]
        self.full = False
        """True when the next text belongs into the next batch."""
        self._digest = keys[0].receipts.digest
        self._size = 0
        """Fingerprints of all texts, over all keys."""
        self._room = GRAMS - ROOM * sum(len(key.excluded.grams) for key in keys)
        self._counts = counts
        self._kinds, self._models = bytearray(), array("I")
        self._slots = memoryview(mmap(-1, 4 * _SLOTS)).cast("I")  # untouched, it takes no memory
        self._names: dict[str, int] = {}
        self._file = ""
        self._paths: dict[str, int] = {}
        """Numbers of the fields of the file that is read."""
        self._claims = bytearray()
        self._records, self._lines = array("Q"), array("Q")
        self._fields, self._texts = array("I"), array("I")

    @property
    def texts(self) -> int:
        """Texts, pieces of long texts, and receipts: what a search numbers from 0."""
        return len(self._kinds)

    def take(self, record: Record, span: Span) -> bool:
        """Take one text of ``record``; one of fewer than 13 words only where it answers.

        Return whether it is long enough to be told by its words.
        """
        said = span.text
        if not span.answers and len(said) < 2 * RUN - 1 and said.isascii():
            return False
        text = read(said)
        words = text.count
        if words < RUN and not (words and span.answers):
            return False
        digest = self._digest(text.words)
        model = self._name(record.model or "")
        slot, number = self._slot(digest, model, 0)
        if number < 0:
            number = self._hold(text, words, digest, model)
            self._slots[slot] = number + 1
        field = self._field(record.file, span.path)
        piece, kinds = number, self._kinds
        while True:
            self._place(record, field, piece)
            piece += 1
            if piece == len(kinds) or not kinds[piece] & _PIECE:
                break
        self._fill()
        return bool(kinds[number] & _LONG)

    def claim(self, record: Record, receipt: str) -> None:
        """Take the id of a receipt that ``record`` names."""
        digest = _claim(receipt)
        slot, number = self._slot(digest, 0, _CLAIM)
        if number < 0:
            number = len(self._kinds)
            self._kinds.append(_CLAIM)
            self._models.append(0)
            for marks in self.marks:
                marks.add(digest)
            self._claims += receipt.encode() + b"\n"
            self._slots[slot] = number + 1
        self._place(record, self._field(record.file, ""), number)
        self._fill()

    def postings(self, marks: Marks, month_key: bytes) -> Postings:
        """Return what an index with the key of ``marks`` can be searched for in the month of ``month_key``."""
        postings = Postings()
        claims = BytesIO(self._claims)
        for number, (kind, keys) in enumerate(zip(self._kinds, marks.sealed(month_key), strict=True)):
            if kind & _CLAIM:
                postings.add_receipt(number, claims.readline()[:-1].decode())
                continue
            postings.add(number, keys)
            if not kind & _PIECE:
                postings.add_digest(number, marks.digest(number))
        postings.seal()
        return postings

    def is_proof(self, text: int) -> bool:
        """Return whether a text has 13 words or more, so that equal words prove something."""
        return bool(self._kinds[text] & _PROOF)

    def is_long(self, text: int) -> bool:
        """Return whether a text is long enough to be told by its words."""
        return bool(self._kinds[text] & _LONG)

    def is_public(self, text: int) -> bool:
        """Return whether a text consists of what was excluded."""
        return bool(self._kinds[text] & _PUBLIC)

    def is_formal(self, text: int) -> bool:
        """Return whether a text is to a good part code or numbers."""
        return bool(self._kinds[text] & _FORMAL)

    def is_copy(self, text: int, marks: Marks, digests: Sequence[bytes]) -> bool:
        """Return whether the words of a whole text have one of ``digests``."""
        return not self._kinds[text] & (_PIECE | _CLAIM) and marks.digest(text) in digests

    def is_claim(self, text: int, receipt: str) -> bool:
        """Return whether this is no text but ``receipt``, as records name it."""
        return bool(self._kinds[text] & _CLAIM) and self.marks[0].digest(text) == _claim(receipt)

    def models(self) -> list[str]:
        """Return the model that the records of each text name as its author; empty where they name none."""
        names = list(self._names)
        return [names[model] for model in self._models]

    def places(self) -> Iterator[Place]:
        """Yield every place of every text, in the order of the records."""
        names = list(self._names)
        for record, line, field, text in zip(self._records, self._lines, self._fields, self._texts, strict=True):
            file, _, path = names[field].partition("\0")
            yield Place(record, line, file, path, text)

    def _hold(self, text: Text, words: int, digest: bytes, model: int) -> int:
        """Hold a new text, whole or in the pieces it is searched for in; return its number, which is that of the first.

        Its digest stands with the first. A text of which nothing is left but what is excluded is found by its
        digest or a claim only.
        """
        first = len(self._kinds)
        size, long, left, thinned = 1, False, False, False
        for marks in self.marks:
            key = marks.key
            mark = digest if marks is self.marks[0] else key.receipts.digest(text.words)
            for piece in key.fingerprinter.pieces(text):
                grams, lanes = key.excluded.left(piece.grams, piece.lanes)
                left = left or len(grams) > 0 or not piece.grams
                thinned = thinned or len(grams) < len(piece.grams)
                long = long or piece.attributable
                marks.add(mark, grams, lanes)
                self._size += len(grams) // GRAM
                mark = _NO_DIGEST
            size = max(size, marks.texts - first)
        for marks in self.marks:  # how many pieces there are depends on the key, if a text has very many fingerprints
            for _ in range(first + size - marks.texts):
                marks.add(_NO_DIGEST)
        whole = words >= RUN
        kind = _PROOF * whole | _LONG * (long and left) | _FORMAL * formal(text, words) | _PUBLIC * (not left)
        self._kinds.append(kind)
        self._models.append(model)
        for _ in range(size - 1):
            self._kinds.append(kind | _PIECE)
            self._models.append(model)
        self._counts.texts += 1
        self._counts.short += not whole
        self._counts.public += not left
        self._counts.thinned += left and thinned
        return first

    def _fill(self) -> None:
        self.full = (
            len(self._texts) >= TEXTS
            or len(self._kinds) >= TEXTS
            or len(self._names) >= NAMES
            or self._size + TEXT * len(self._texts) >= self._room
        )

    def _place(self, record: Record, field: int, text: int) -> None:
        self._records.append(record.number)
        self._lines.append(record.line)
        self._fields.append(field)
        self._texts.append(text)

    def _name(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def _field(self, file: str, path: str) -> int:
        """Return the number of the name of a field; most records of a file have the same few."""
        if file != self._file:
            self._file, self._paths = file, {}
        field = self._paths.get(path)
        if field is None:
            field = self._paths[path] = self._name(f"{file}\0{path}")
        return field

    def _slot(self, digest: bytes, model: int, claim: int) -> tuple[int, int]:
        """Return the slot of a text and its number; the number is -1 and the slot free if it is not held."""
        slot = int.from_bytes(digest[:4], "little") % _SLOTS
        first = self.marks[0]
        while number := self._slots[slot]:
            number -= 1
            same = self._kinds[number] & _CLAIM == claim and self._models[number] == model
            if same and first.digest(number) == digest:
                return slot, number
            slot = (slot + 1) % _SLOTS
        return slot, -1


def _claim(receipt: str) -> bytes:
    return blake2b(receipt.encode(), digest_size=DIGEST_SIZE, person=b"guard claim").digest()
