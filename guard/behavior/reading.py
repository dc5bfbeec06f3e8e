"""What is kept of a prompt: keyed hashes of its form and of its subjects. Nobody reads the text out of them.

The form is a bottom-k sketch (Broder, "On the resemblance and containment of documents", 1997) of the runs of four
words, with numbers and quoted spans masked: prompts made from one template share most of it. The subjects are buckets
of its longer words.
"""

from hashlib import blake2b
from typing import NamedTuple

from guard.behavior.inner import Words
from guard.behavior.study_twin import HEAD, MARK, TAIL, blanked, mark

HEAD_CHARACTERS, TAIL_CHARACTERS = 16 * HEAD, 16 * TAIL
"""Out of these characters from either end the words of a long prompt are read."""


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
        self._words = Words(self._digest)

    def read(self, folded: str) -> Reading:
        """Return what is kept of a text, folded (guard.screening.normalize): the same for the same key."""
        prompt = int.from_bytes(self._digest(folded.encode())[:4], "little")
        if len(folded) > HEAD_CHARACTERS + TAIL_CHARACTERS:
            folded = f"{folded[:HEAD_CHARACTERS]} {folded[-TAIL_CHARACTERS:]}"
        sketch, subjects = self._words.read(folded if folded.isascii() else blanked(folded))
        return Reading(sketch, subjects, prompt)

    def mark(self, folded: str, time: float, tokens: int, seed: int) -> bytes:
        """Return what is kept of a request with nothing to it but a seed, whose text this is (``MARK``)."""
        if folded.isascii() and len(folded) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
            return self._words.mark(folded, time, tokens, seed)
        return mark(*self.read(folded), time, tokens, seed)

    def _digest(self, octets: bytes) -> bytes:
        digest = self._keyed.copy()
        digest.update(octets)
        return digest.digest()


def read_mark(octets: bytes) -> tuple[Reading, float, int, int]:
    """Return reading, time, tokens and seed of a MARK."""
    time, tokens, prompt, *sketch, sketched, subjected, subjects, seed = MARK.unpack(octets)
    reading = Reading(frozenset(sketch[:sketched]), frozenset(subjects[:subjected]), prompt)
    return reading, time, int(tokens), seed


def alike(one: frozenset[int], other: frozenset[int]) -> bool:
    """Return True if two sketches share a quarter of the smaller one: prompts of one template do."""
    return 4 * len(one & other) >= max(1, min(len(one), len(other)))


def form(readings: list[Reading]) -> tuple[int, ...]:
    """Return the keys by which the same template is known again under another identity: the least four of all runs."""
    return tuple(sorted({value for reading in readings for value in reading.sketch})[:4])
