"""Winnowed, keyed fingerprints of a text: enough to find it again, not enough to read it.

Winnowing (Schleimer, Wilkerson, Aiken, SIGMOD 2003) over runs of K words, the least of every W neighboring runs kept:
two texts that share W + K - 1 = 13 words in a row share a fingerprint, and no run shorter than K = 6 words makes one.
About 2 in W + 1 runs are kept, 0.22 per word.

A word is hashed once with the key; runs are weighted sums of word hashes (weights 1, 2, 4 .. 32, so that no exchange of
words gives the same sum by construction), which is what makes this fast in plain Python. Sums of known words could be
solved for unknown ones, so what leaves this module is the keyed BLAKE2b-64 of a sum, never the sum.

Runs that stand in the prompt are the asker's words and are left out. Who wrote a text cannot be told from its words
when there are few of them, or when most were in the prompt: different models honestly write the same short answers and
the same corrections.
"""

import struct
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

K, W = 6, 8
RUN = K + W - 1
"""A shared run of this many words is always found."""
ATTRIBUTABLE = 40
"""Words from which on a text may be attributed by its fingerprints."""
SIZE = 8
"""Bytes of a fingerprint."""
_MASK = (1 << 60) - 1


class Echo(NamedTuple):
    """The runs of a prompt, of three and of K words."""

    threes: frozenset[int]
    runs: frozenset[int]


NO_ECHO = Echo(frozenset(), frozenset())


class Fingerprints(NamedTuple):
    """What a text leaves behind: ``values`` holds ``SIZE`` bytes per fingerprint, in an order that tells nothing."""

    values: bytes
    words: int
    echoed: bool
    """More than half of the words stand in runs of three that the prompt has too."""

    @property
    def attributable(self) -> bool:
        """True where fingerprints say something about who wrote the text."""
        return self.words >= ATTRIBUTABLE and not self.echoed


NOTHING = Fingerprints(b"", 0, False)


class Fingerprinter:
    """Fingerprints texts with one key. Not for use by several threads at once."""

    def __init__(self, key: bytes) -> None:
        self._hashes = _WordHashes(key)
        self._seal = blake2b(digest_size=SIZE, key=key, person=b"guard run")

    def echo(self, prompt: list[bytes]) -> Echo:
        """Return the runs of a prompt's words, to be left out of answers to it."""
        threes, runs = self._runs(prompt)
        return Echo(frozenset(threes), frozenset(runs))

    def fingerprint(self, words: list[bytes], echo: Echo = NO_ECHO) -> Fingerprints:
        """Return the fingerprints of a text that answers a prompt with ``echo``."""
        threes, runs = self._runs(words)
        kept = _winnow(runs) - echo.runs
        seal = self._seal
        values = []
        for run in kept:
            sealed = seal.copy()
            sealed.update(run.to_bytes(8, "little"))
            values.append(sealed.digest())
        values.sort()
        return Fingerprints(b"".join(values), len(words), 2 * _covered(threes, echo.threes) > len(words))

    def _runs(self, words: list[bytes]) -> tuple[list[int], list[int]]:
        hashes = list(map(self._hashes.__getitem__, words))
        threes = [a + (b << 1) + (c << 2) for a, b, c in zip(hashes, hashes[1:], hashes[2:], strict=False)]
        return threes, [a + (b << 3) & _MASK for a, b in zip(threes, threes[3:], strict=False)]


def unpack(values: bytes) -> tuple[int, ...]:
    """Return packed fingerprints as integers."""
    return struct.unpack(f"<{len(values) // SIZE}Q", values)


def _winnow(runs: list[int]) -> set[int]:
    """Return the least run of every W neighbors, by doubling: the least of 2, of 4, of 8."""
    if len(runs) <= W:
        return {min(runs)} if runs else set()
    # Written out, because a call of min() for every pair takes three times as long.
    twos = [a if a < b else b for a, b in pairwise(runs)]  # noqa: FURB136
    fours = [a if a < b else b for a, b in zip(twos, twos[2:], strict=False)]  # noqa: FURB136
    return {a if a < b else b for a, b in zip(fours, fours[4:], strict=False)}  # noqa: FURB136


def _covered(threes: list[int], known: frozenset[int]) -> int:
    """Return how many words stand in a run of three that is ``known``."""
    covered, end = 0, 0
    if known:
        for start, three in enumerate(threes):
            if three in known:
                covered += start + 3 - max(start, end)
                end = start + 3
    return covered


class _WordHashes(dict[bytes, int]):
    """Keyed hashes of words, remembered while they are few and short."""

    def __init__(self, key: bytes) -> None:
        self._word = blake2b(digest_size=8, key=key, person=b"guard word")

    def __missing__(self, word: bytes) -> int:
        sealed = self._word.copy()
        sealed.update(word)
        value = int.from_bytes(sealed.digest(), "little") & _MASK
        if len(word) <= 32:
            if len(self) >= 65536:
                self.clear()
            self[word] = value
        return value
