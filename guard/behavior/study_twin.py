"""The inner loops of reading prompts and of changing profiles, in plain Python: what ``_study.c`` does.

``inner`` has whichever of the two there is.
"""

import re
import struct
import sys
from array import array
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from itertools import repeat

from guard.screening.normalize import view

SKETCH = 16
"""Values of one prompt's sketch."""
BUCKETS = 256
SUBJECTS = 32
"""Most words of a prompt that are taken for its subjects."""
HEAD, TAIL = 256, 128
"""Words from either end that are read of a long prompt."""
LENGTH = 32
"""Prompts that are remembered."""
RECORD = struct.Struct(f"<{SKETCH}IBIH")
"""One prompt: its sketch, how many values that has, the prompt, and 16 bits of the seed, 0 if none was given."""
MARK = struct.Struct(f"=2d{1 + SKETCH}I2B{SUBJECTS}sH")
"""A request with nothing to it but a seed, in memory: time, tokens, its prompt, its sketch in order, how many values
that has, how many subjects there are, these in order, and 16 bits of the seed. Both are filled up with zeros."""
UNSEEDED = bytes(2)
"""How a MARK ends that has no seed."""
_HALVES = struct.Struct(f"<{BUCKETS}e")
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
_LAST = (1 << 128) - 1
_LOWEST = slice(7, None, 8)
"""The last byte, which is the bucket, of each of several hashes of 8 bytes."""
_UPPER = slice(1 if sys.byteorder == "little" else 2, None, 4)
"""Where bits 32 to 63 of each lane stand among 32-bit words."""


def blanked(folded: str) -> bytes:
    """Return the words of a folded text, with numbers and quoted spans masked."""
    return view(_MASKED.sub(" 0 ", folded))


class _Lanes(dict[bytes, bytes]):
    """Lanes of words. ``long`` has the hashes of those of more than four letters, as strings that sort like numbers:
    the interpreter compares strings of Latin-1 much faster than integers of 64 bits.
    """

    def __init__(self, digest: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._digest = digest
        self.long: dict[bytes, str] = {}

    def __missing__(self, word: bytes) -> bytes:
        found = self._digest(word)
        if len(word) > 4 and len(word.decode()) > 4:
            self.long[word] = found[::-1].decode("latin-1")
        self[word] = lane = found + bytes(_LANE - len(found))
        return lane

    def bound(self) -> None:
        """Begin anew when there are too many; never amid a prompt."""
        if len(self) >= _REMEMBERED:
            self.clear()
            self.long.clear()


class Words:
    """Sums up words by what ``digest`` makes of each, 8 bytes; those it has seen are remembered."""

    def __init__(self, digest: Callable[[bytes], bytes]) -> None:
        self._digest, self._lanes = digest, _Lanes(digest)

    def read(self, words: str | bytes) -> tuple[frozenset[int], frozenset[int]]:
        """Return the sketch and the subjects of a text: one of ASCII folded, any other ``blanked``."""
        found = (blanked(words) if isinstance(words, str) else words).split()
        if len(found) > HEAD + TAIL:
            found = [*found[:HEAD], *found[-TAIL:]]
        lanes = self._lanes
        lanes.bound()
        runs = _runs(b"".join(map(lanes.__getitem__, found)))
        long = set(map(lanes.long.get, found, repeat("")))
        long.discard("")
        subjects = frozenset("".join(sorted(long)[:SUBJECTS])[_LOWEST].encode("latin-1"))
        return _least(runs), subjects

    def mark(self, text: str, time: float, tokens: int, seed: int) -> bytes:
        """Return the MARK of a folded text of ASCII."""
        prompt = int.from_bytes(self._digest(text.encode("ascii"))[:4], "little")
        return mark(*self.read(text), prompt, time, tokens, seed)


def mark(
    sketch: AbstractSet[int], subjects: AbstractSet[int], prompt: int, time: float, tokens: int, seed: int
) -> bytes:
    """Return a MARK."""
    values = (*sorted(sketch), *(0,) * (SKETCH - len(sketch)))
    return MARK.pack(time, tokens, prompt, *values, len(sketch), len(subjects), bytes(sorted(subjects)), seed)


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


def remember(records: bytearray, sketch: AbstractSet[int], prompt: int, seed: int) -> tuple[float, int]:
    """Add a prompt to ``records``, at most LENGTH of them, the oldest first.

    Returns the share of those before it that have a quarter of the smaller sketch in common, and how many other seeds
    the same prompt had; 0 if it had this one already, or has none.
    """
    alike, count, seeds = 0, 0, set[int]()
    for *values, length, was, its in RECORD.iter_unpack(records):
        count += 1
        same = len(sketch & set(values[:length]))
        alike += same >= max(1, (min(length, len(sketch)) + 3) // 4)
        if seed and its and was == prompt:
            seeds.add(its)
    if count == LENGTH:
        del records[: RECORD.size]
    ordered = sorted(sketch)
    records += RECORD.pack(*ordered, *(0,) * (SKETCH - len(ordered)), len(ordered), prompt, seed)
    return alike / count if count else 0.0, 0 if seed in seeds else len(seeds)


def add(scaled: "array[float]", subjects: AbstractSet[int], weight: float) -> None:
    """Add ``weight`` to the buckets ``subjects``."""
    for bucket in subjects:
        scaled[bucket] += weight


def halves(scaled: "array[float]", scale: float) -> bytes:
    """Return all buckets times ``scale``, two bytes each."""
    return _HALVES.pack(*[share * scale for share in scaled])


def doubles(halves: bytes) -> bytes:
    """Return what ``halves`` wrote as the bytes of an array of doubles."""
    return array("d", _HALVES.unpack(halves)).tobytes()


class Among:
    """Looks for several short texts at once: at most 64, of three ASCII characters or more."""

    def __init__(self, needles: tuple[str, ...]) -> None:
        self._needles = [(needle, 1 << index) for index, needle in enumerate(needles)]

    def find(self, text: str) -> int:
        """Return a bit for every one of them that is part of ``text``."""
        found = 0
        for needle, bit in self._needles:
            if needle in text:
                found |= bit
        return found
