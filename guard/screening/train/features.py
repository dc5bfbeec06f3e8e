"""The rows of the table that a text's words add up: what ``learned.twin`` sums, as indices."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_matrix

from guard.screening.learned.reading import BLOCK, LEAST
from guard.screening.learned.twin import BITS, START, WORD, own_rows
from guard.screening.normalize import fold

_MASK, _SHIFT = 0xFFFFFFFF, 32 - BITS
MOST_WINDOWS = 24
"""Of a long text no more are learned from."""


def words(text: str) -> list[str]:
    """Return the words of ``text``, folded."""
    return WORD.findall(fold(text))


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


_own = lru_cache(1 << 17)(own_rows)
