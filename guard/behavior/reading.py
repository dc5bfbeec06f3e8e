"""What is kept of a prompt: keyed hashes of its form and of its subjects. Nobody reads the text out of them.

The form is a bottom-k sketch (Broder, "On the resemblance and containment of documents", 1997) of the runs of four
words, with numbers and quoted spans masked: prompts made from one template share most of it. The subjects are buckets
of its longer words.
"""

import re
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

from guard.screening.normalize import fold

SKETCH = 16
"""Values of one prompt's sketch."""
BUCKETS = 256
SUBJECTS = 32
"""Most words of a prompt that are taken for its subjects."""
HEAD, TAIL = 256, 128
"""Words from either end that are read of a long prompt."""
_REMEMBERED = 1 << 16
_MASKED = re.compile(r'"[^"\n]{1,400}"|\u201c[^\u201d\n]{1,400}\u201d|\u00ab[^\u00bb\n]{1,400}\u00bb|\d+(?:[.,:]\d+)*')
_WORD = re.compile(r"\w+")
_LOW = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: spreads what differs in few bits (Knuth, TAOCP 3, 6.4)."""


class Reading(NamedTuple):
    """One prompt as hashes."""

    sketch: frozenset[int]
    """At most ``SKETCH`` 32-bit values: the least of its runs."""
    subjects: frozenset[int]
    """Buckets, 0..255."""
    prompt: int
    """32 bits of the whole prompt, numbers included."""


class Reader:
    """Reads prompts under one key of 16 to 64 bytes. Raises ValueError for any other length."""

    def __init__(self, key: bytes) -> None:
        if not 16 <= len(key) <= 64:
            raise ValueError(f"behavior key of {len(key)} bytes; allowed: 16 to 64")
        self._keyed = blake2b(digest_size=8, key=key, person=b"guard-behavior")
        self._words: dict[str, int] = {}

    def read(self, text: str) -> Reading:
        """Return what is kept of ``text``: the same for the same key, whoever reads it."""
        folded = fold(text)
        masked = _MASKED.sub(" 0 ", folded)
        words = _WORD.findall(masked)
        if len(words) > HEAD + TAIL:
            words = [*words[:HEAD], *words[-TAIL:]]
        hashes = [self._of(word) for word in words]
        if len(hashes) < 4:
            runs = {_mixed(sum(hashes))} if hashes else set()
        else:
            runs = set(map(_run, hashes, islice(hashes, 1, None), islice(hashes, 2, None), islice(hashes, 3, None)))
        long = {value for word, value in zip(words, hashes, strict=True) if len(word) > 4}
        subjects = frozenset(value & (BUCKETS - 1) for value in sorted(long)[:SUBJECTS])
        digest = self._keyed.copy()
        digest.update(folded.encode("utf-8", "surrogatepass"))
        return Reading(frozenset(sorted(runs)[:SKETCH]), subjects, int.from_bytes(digest.digest()[:4], "little"))

    def _of(self, word: str) -> int:
        value = self._words.get(word)
        if value is None:
            digest = self._keyed.copy()
            digest.update(word.encode("utf-8", "surrogatepass"))
            value = int.from_bytes(digest.digest(), "little")
            if len(self._words) >= _REMEMBERED:
                self._words.clear()
            self._words[word] = value
        return value


def _mixed(value: int) -> int:
    return ((value * _ODD) & _LOW) >> 32


def _run(one: int, two: int, three: int, four: int) -> int:
    return _mixed(one + 3 * two + 7 * three + 13 * four)


def alike(one: frozenset[int], other: frozenset[int]) -> bool:
    """Return True if two sketches share a quarter of the smaller one: prompts of one template do."""
    return 4 * len(one & other) >= max(1, min(len(one), len(other)))


def form(readings: list[Reading]) -> tuple[int, ...]:
    """Return the keys by which the same template is known again under another identity: the least four of all runs."""
    return tuple(sorted({value for reading in readings for value in reading.sketch})[:4])
