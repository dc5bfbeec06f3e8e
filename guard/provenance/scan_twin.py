"""The search of a segment for the texts of a data set, in plain Python: what ``_scan.c`` does, bit for bit.

A posting says that a text has a key: key (36 bits), text (21), ordinal (7) in one number, so that sorting postings puts
those of one key together. Ordinals below 120 are the places of a text's keys; ``DIGEST`` and ``RECEIPT`` stand for 36
bits of a digest and of a receipt's id, which lie in the same table and are never taken for keys of the others.
"""

from collections.abc import Callable, Iterable
from itertools import groupby

from guard.provenance.frames import (
    ATTRIBUTABLE,
    END,
    FINGERPRINTED,
    LABEL,
    OUTPUTS,
    TOTALS,
    Damaged,
    Place,
    payloads,
    place,
    receipt_bytes,
)
from guard.provenance.packing import KEY_BITS, numbers, pack, unpack
from guard.provenance.receipt import DIGEST_SIZE

__all__ = ["Postings", "Walked", "pack", "unpack", "visit"]

TEXTS = 1 << 21
"""Texts that postings can tell apart."""
MOST = 120
"""Keys of one text."""
RECEIPT, DIGEST = 126, 127
"""Ordinals, and bits of a mask, that stand for a receipt and a digest."""
COMMON = 1000
"""A key of more texts than this is a phrase of the data set, and is not searched for."""
LEAST = 2
"""Keys that a text and an output have to share, where neither digest nor receipt speaks."""
STOP = 3
"""Distinct prompts after which a key is nobody's phrase."""

_ORDINAL_BITS, _TEXT_BITS = 7, 21
_KEY_SHIFT = _TEXT_BITS + _ORDINAL_BITS
_MASK64 = (1 << 64) - 1
_KEYS = (1 << MOST) - 1

Walked = tuple[int, bool, list[bytes], tuple[int, int, int], list[tuple[int, int, int, int]]]


def visit(
    data: bytes, at: int, labels: int, each: Callable[[bytes, int, Place], None]
) -> tuple[int, bool, list[bytes], tuple[int, int, int]]:
    """Call ``each`` with every output, where it begins and where its parts stand; see ``Postings.walk``."""
    others: list[bytes] = []
    seen = searchable = attributable = 0
    damaged = False
    try:
        for start, end in payloads(data, at):
            kind = data[start]
            if kind == OUTPUTS:
                inside = start + 1
                while inside < end:
                    output = place(data, inside, end)
                    if output.label >= labels:
                        raise Damaged("an output without a label")
                    seen += 1
                    searchable += bool(output.flags & FINGERPRINTED)
                    attributable += bool(output.flags & ATTRIBUTABLE)
                    each(data, inside, output)
                    inside = output.end
            elif kind in {LABEL, TOTALS, END}:
                others.append(data[start:end])
                labels += kind == LABEL
            else:
                raise Damaged("no kind of frame")
            at = end
            if kind == END:
                break
    except Damaged:
        damaged = True
    return at, damaged, others, (seen, searchable, attributable)


class Postings:
    """Which texts have which keys. Take texts, ``seal``, walk; use it from one thread at a time."""

    def __init__(self) -> None:
        self._postings: list[int] = []
        self._runs: dict[int, list[tuple[int, int]]] = {}
        """Texts and ordinals by key."""
        self._common: set[int] = set()
        self._prompts: dict[int, set[int]] = {}
        self._sealed = False

    def __len__(self) -> int:
        """Return the number of postings."""
        return len(self._postings)

    def add(self, text: int, keys: bytes) -> None:
        """Take the keys of ``text`` (8 bytes each, little-endian, at most 120, in their order).

        Raises ValueError for a text or a key out of range, for more keys, and after ``seal``.
        """
        values = numbers(keys)
        if len(values) > MOST or any(value >> KEY_BITS for value in values):
            raise ValueError(f"{len(values)} keys; allowed: {MOST} of {KEY_BITS} bits")
        self._take(text, ((value, ordinal) for ordinal, value in enumerate(values)))

    def add_digest(self, text: int, digest: bytes) -> None:
        """Take the digest (16 bytes) of ``text``. Raises ValueError."""
        if len(digest) != DIGEST_SIZE:
            raise ValueError(f"a digest of {len(digest)} bytes; allowed: {DIGEST_SIZE}")
        self._take(text, [(_digest_key(digest), DIGEST)])

    def add_receipt(self, text: int, receipt: str) -> None:
        """Take the id of a receipt that ``text`` names. Raises ValueError."""
        self._take(text, [(_receipt_key(receipt_bytes(receipt)[1]), RECEIPT)])

    def seal(self, common: int = COMMON) -> None:
        """Make ready for ``walk``; nothing can be added any more. Keys of more texts than ``common`` are left out.

        Raises ValueError if that was done already.
        """
        self._open()
        self._sealed = True
        self._postings.sort()
        for key, run in groupby(self._postings, lambda posting: posting >> _KEY_SHIFT):
            self._runs[key] = [(posting >> _ORDINAL_BITS & TEXTS - 1, posting & 127) for posting in run]
            if sum(ordinal < MOST for _, ordinal in self._runs[key]) > common:
                self._common.add(key)

    def common(self) -> dict[int, int]:
        """Return which keys of which texts ``seal`` left out, as masks by text."""
        return self._masks(self._common)

    def stops(self) -> dict[int, int]:
        """Return which keys of which texts were seen in answers to three distinct prompts or more, as masks by text."""
        return self._masks({key for key, prompts in self._prompts.items() if len(prompts) >= STOP})

    def walk(self, data: bytes | bytearray | memoryview, at: int, labels: int) -> Walked:
        """Look through the frames in ``data``, the bytes of a segment from a frame at ``at`` on.

        ``labels`` is the number of labels before it. Ends before the first frame that is not complete or is damaged, or
        behind an ``End``. Returns where; whether that frame is damaged; the payloads of all frames but ``Outputs``; how
        many outputs were seen, fingerprinted and attributable; and for each output and text that share two keys, or
        36 bits of a digest or receipt: where the output begins and ends, the text, and the mask of what is shared.
        Outputs before the damage in a damaged frame count. Raises ValueError before ``seal``.
        """
        if not self._sealed or at < 0 or labels < 0:
            raise ValueError("postings that are not sealed, or a negative number")
        found: list[tuple[int, int, int, int]] = []

        def each(octets: bytes, at: int, output: Place) -> None:
            masks = self._compare(octets, output)
            found.extend((at, output.end, text, masks[text]) for text in sorted(masks))

        return (*visit(bytes(data), at, labels, each), found)

    def _compare(self, data: bytes, output: Place) -> dict[int, int]:
        """Return what each text shares with an output, where it is enough."""
        masks: dict[int, int] = {}
        runs = self._runs
        for key in output.values:
            if key in runs and key not in self._common:
                for text, ordinal in runs[key]:
                    if ordinal < MOST:
                        masks[text] = masks.get(text, 0) | 1 << ordinal
                        self._prompts.setdefault(key, set()).add(output.prompt)
        digests = range(output.digests.start, output.digests.stop, DIGEST_SIZE)
        marks = [(_digest_key(data[at : at + DIGEST_SIZE]), DIGEST) for at in digests]
        marks.append((_receipt_key(data[output.receipt]), RECEIPT))
        for key, mark in marks:
            for text, ordinal in runs.get(key, ()):
                if ordinal == mark:
                    masks[text] = masks.get(text, 0) | 1 << mark
        return {text: mask for text, mask in masks.items() if mask > _KEYS or mask.bit_count() >= LEAST}

    def _take(self, text: int, keys: Iterable[tuple[int, int]]) -> None:
        self._open()
        if not 0 <= text < TEXTS:
            raise ValueError(f"text {text}; allowed: 0 to {TEXTS - 1}")
        self._postings.extend(key << _KEY_SHIFT | text << _ORDINAL_BITS | ordinal for key, ordinal in keys)

    def _open(self) -> None:
        if self._sealed:
            raise ValueError("postings that are sealed")

    def _masks(self, keys: set[int]) -> dict[int, int]:
        masks: dict[int, int] = {}
        for key in keys:
            for text, ordinal in self._runs[key]:
                if ordinal < MOST:
                    masks[text] = masks.get(text, 0) | 1 << ordinal
        return masks


def _digest_key(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little") & (1 << KEY_BITS) - 1


def _receipt_key(octets: bytes) -> int:
    """Return 36 bits of a receipt's id as an output holds it: FNV-1a, and its high bits mixed into the low ones."""
    number = 0xCBF29CE484222325
    for octet in octets:
        number = (number ^ octet) * 0x100000001B3 & _MASK64
    return ((number ^ number >> 32) * 0x9E3779B97F4A7C15 & _MASK64) >> 64 - KEY_BITS
