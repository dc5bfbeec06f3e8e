"""The rows of the table that a text's words add up: what ``learned.twin`` sums, as indices."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np
from scipy.sparse import csr_matrix

from guard.screening.learned.reading import BLOCK, LEAST
from guard.screening.learned.twin import BITS, LONGEST, START
from guard.screening.normalize import fold

_WORD = re.compile(r"[0-9]+|[\u3040-\u30ff\u3400-\u9fff]|[^\W0-9_\u3040-\u30ff\u3400-\u9fff]+|\?")
_MASK, _SHIFT = 0xFFFFFFFF, 32 - BITS
MOST_WINDOWS = 24
"""Of a long text no more are learned from."""


def words(text: str) -> list[str]:
    """Return the words of ``text``, folded."""
    return _WORD.findall(fold(text))


def windows(text: str) -> list[list[str]]:
    """Return the windows of two blocks that ``text`` is read in, each as its words; at least one."""
    found = words(text)
    last = max(1, -(-len(found) // BLOCK) - 1)
    return [found[at * BLOCK : (at + 2) * BLOCK] for at in range(min(last, MOST_WINDOWS))]


def indices(found: Sequence[str]) -> Iterator[int]:
    """Yield the table rows of these words, as often as each is added."""
    second, first = 0, START
    for word in found:
        this, own = _own(word)
        yield from own
        yield ((first * 0x27D4EB2F + this * 0x165667B1) & _MASK) >> _SHIFT
        if second:
            yield ((second * 0xC2B2AE35 + this * 0x2545F491 + 7) & _MASK) >> _SHIFT
        second, first = first, this


def matrix(texts: Iterable[Sequence[str]]) -> csr_matrix:
    """Return a sparse matrix, texts by table rows: how often each is added, by the root of the text's words."""
    columns, values, ends = [], [], [0]
    for found in texts:
        unique, counts = np.unique(np.fromiter(indices(found), dtype=np.int64), return_counts=True)
        columns.append(unique)
        values.append(counts / np.sqrt(float(max(len(found), LEAST))))
        ends.append(ends[-1] + len(unique))
    shape = (len(ends) - 1, 1 << BITS)
    return csr_matrix((np.concatenate(values), np.concatenate(columns), np.array(ends)), shape=shape)


@lru_cache(1 << 17)
def _own(word: str) -> tuple[int, tuple[int, ...]]:
    if "0" <= word[0] <= "9":
        word = "0" if len(word) < 3 else "00"
    word = word[:LONGEST]
    this = crc32(word.encode())
    mixed = [this * 0x9E3779B1]
    if len(word) > 3:
        marked = f"<{word}>"
        for size in (3, 4, 5):
            grams = (marked[at : at + size].encode() for at in range(len(marked) - size + 1))
            mixed.extend(crc32(gram, size) * 0x85EBCA6B for gram in grams)
    return this, tuple((number & _MASK) >> _SHIFT for number in mixed)
