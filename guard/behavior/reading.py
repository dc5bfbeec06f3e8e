"""What is kept of a prompt: keyed hashes of its form and of its subjects. Nobody reads the text out of them.

The form is a bottom-k sketch (Broder, "On the resemblance and containment of documents", 1997) of the runs of four
words, with numbers and quoted spans masked: prompts made from one template share most of it. The subjects are buckets
of its longer words.
"""

import re
import sys
from hashlib import blake2b
from itertools import repeat
from typing import NamedTuple

from guard.screening.normalize import view

SKETCH = 16
"""Values of one prompt's sketch."""
BUCKETS = 256
SUBJECTS = 32
"""Most words of a prompt that are taken for its subjects."""
HEAD, TAIL = 256, 128
"""Words from either end that are read of a long prompt, out of these characters:"""
HEAD_CHARACTERS, TAIL_CHARACTERS = 16 * HEAD, 16 * TAIL
_REMEMBERED = 1 << 16
_MASKED = re.compile(
    r'["\u201c\u00ab\d](?:(?<=")[^"\n]{1,400}"|(?<=\u201c)[^\u201d\n]{1,400}\u201d|(?<=\u00ab)[^\u00bb\n]{1,400}\u00bb'
    r"|(?<=\d)\d*(?:[.,:]\d+)*)"
)
"""Begins with a set of characters, which the engine looks for at once instead of trying each place."""
_ODD = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: spreads what differs in few bits (Knuth, TAOCP 3, 6.4)."""
_LANE = 16
"""Bytes that a word's hash, of 8 bytes, has in a large integer: a sum of 24 and a product with 64 bits do not reach the
next one."""
_LOW = int.from_bytes((b"\xff" * 8 + bytes(_LANE - 8)) * (HEAD + TAIL), "little")
"""The lower half of every lane."""
_LOWEST = slice(7, None, 8)
"""The last byte, which is the bucket, of each of several hashes of 8 bytes."""
_UPPER = slice(1 if sys.byteorder == "little" else 2, None, 4)
"""Where bits 32 to 63 of each lane stand among 32-bit words."""


class Reading(NamedTuple):
    """One prompt as hashes."""

    sketch: frozenset[int]
    """At most ``SKETCH`` 32-bit values: the least of its runs."""
    subjects: frozenset[int]
    """Buckets, 0..255."""
    prompt: int
    """32 bits of the whole prompt, numbers included."""


class _Words(dict[bytes, bytes]):
    """Lanes of words. ``long`` has the hashes of those of more than four letters, as strings that sort like numbers:
    the interpreter compares strings of Latin-1 much faster than integers of 64 bits.
    """

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self.keyed = blake2b(digest_size=8, key=key, person=b"guard-behavior")
        self.long: dict[bytes, str] = {}

    def __missing__(self, word: bytes) -> bytes:
        digest = self.keyed.copy()
        digest.update(word)
        found = digest.digest()
        if len(word) > 4 and len(word.decode()) > 4:
            self.long[word] = found[::-1].decode("latin-1")
        self[word] = lane = found + bytes(_LANE - len(found))
        return lane

    def bound(self) -> None:
        """Begin anew when there are too many; never amid a prompt."""
        if len(self) >= _REMEMBERED:
            self.clear()
            self.long.clear()


class Reader:
    """Reads prompts under one key of 16 to 64 bytes. Raises ValueError for any other length."""

    def __init__(self, key: bytes) -> None:
        if not 16 <= len(key) <= 64:
            raise ValueError(f"behavior key of {len(key)} bytes; allowed: 16 to 64")
        self._words = _Words(key)

    def read(self, folded: str) -> Reading:
        """Return what is kept of a text, folded (guard.screening.normalize): the same for the same key."""
        digest = self._words.keyed.copy()
        digest.update(folded.encode())
        if len(folded) > HEAD_CHARACTERS + TAIL_CHARACTERS:
            folded = f"{folded[:HEAD_CHARACTERS]} {folded[-TAIL_CHARACTERS:]}"
        words = view(_MASKED.sub(" 0 ", folded)).split()
        if len(words) > HEAD + TAIL:
            words = [*words[:HEAD], *words[-TAIL:]]
        self._words.bound()
        runs = _runs(b"".join(map(self._words.__getitem__, words)))
        long = set(map(self._words.long.get, words, repeat("")))
        long.discard("")
        subjects = frozenset("".join(sorted(long)[:SUBJECTS])[_LOWEST].encode("latin-1"))
        return Reading(_least(runs), subjects, int.from_bytes(digest.digest()[:4], "little"))


def _least(runs: list[int]) -> frozenset[int]:
    """Return the ``SKETCH`` least of all runs, most of which are too large to be worth sorting."""
    if len(runs) > 4 * SKETCH:
        most = 2 * SKETCH * (1 << 32) // len(runs)
        small = {run for run in runs if run < most}
        if len(small) >= SKETCH:
            return frozenset(sorted(small)[:SKETCH])
    return frozenset(sorted(set(runs))[:SKETCH])


def _runs(lanes: bytes) -> list[int]:
    """Return the 32-bit hashes of the runs of four words, all reckoned at once; of fewer words, that of their sum."""
    count = len(lanes) // _LANE - 3
    hashes = int.from_bytes(lanes, "little")
    if count <= 0:
        if not lanes:
            return []
        count, hashes = 1, (hashes & _LAST) + (hashes >> 128 & _LAST) + (hashes >> 256 & _LAST)
    else:
        hashes += 3 * (hashes >> 128) + 7 * (hashes >> 256) + 13 * (hashes >> 384)
    hashes = (hashes & _LOW >> 8 * _LANE * (HEAD + TAIL - count)) * _ODD
    return memoryview(hashes.to_bytes(_LANE * count, sys.byteorder)).cast("I")[_UPPER].tolist()


_LAST = (1 << 128) - 1


def alike(one: frozenset[int], other: frozenset[int]) -> bool:
    """Return True if two sketches share a quarter of the smaller one: prompts of one template do."""
    return 4 * len(one & other) >= max(1, min(len(one), len(other)))


def form(readings: list[Reading]) -> tuple[int, ...]:
    """Return the keys by which the same template is known again under another identity: the least four of all runs."""
    return tuple(sorted({value for reading in readings for value in reading.sketch})[:4])
