"""The features of a text and the sum of their rows, in plain Python: what ``_kernel.c`` does, bit for bit.

A word is a run of letters, a run of ASCII digits (taken for 0 if shorter than three, for 00 otherwise), one CJK
character, or a question mark. Each adds a few rows of the table: its own, those of its character n-grams (three to
five, the word's ends marked: fastText, Bojanowski et al., 2017), that of it with the word before, and that of it with
the word before that. Rows are found by hash (Weinberger et al., 2009): CRC-32 of the UTF-8, mixed by odd constants.
"""

import re
from array import array
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

HEADS = 17
BITS = 18
"""The table has two to this power rows of HEADS signed bytes."""
START = 0x01234567
"""Stands for the word before the first."""
LONGEST = 24
"""Characters of a word that are looked at."""

_SHIFT = 32 - BITS
_MASK = 0xFFFFFFFF
WORD = re.compile(r"[0-9]+|[\u3040-\u30ff\u3400-\u9fff]|[^\W0-9_\u3040-\u30ff\u3400-\u9fff]+|\?")
_BIASED = bytes((octet + 128) % 256 for octet in range(256))
_WORDS = 16_384
_EVEN = int.from_bytes(b"\xff\x00" * (HEADS // 2) + b"\xff", "little")
_FLUSH = 256
"""So many bytes fit a lane of sixteen bits."""


class _Word(NamedTuple):
    hash: int
    even: int
    """Sum of the biased rows of the word and of its n-grams: the heads of even number, sixteen bits each."""
    odd: int
    rows: int


class Twin:
    """Sums rows of ``table`` (2 ** BITS rows of HEADS signed bytes). Use it from one thread at a time."""

    def __init__(self, table: bytes) -> None:
        self._table = table[:].translate(_BIASED)
        """Each signed byte plus 128: the bytes of a row are the digits of a number, and rows are added as numbers."""
        self._word = lru_cache(_WORDS)(self._read)

    def take(
        self, text: str, start: int, limit: int, second: int, first: int, sums: "array[int]"
    ) -> tuple[int, int, int, int]:
        """Add the rows of at most ``limit`` words of ``text`` (folded) from ``start`` on to ``sums``: HEADS C ints.

        ``first`` is the hash of the word before, START if there is none; ``second`` that of the word before it, 0 if
        there is none. Returns the offset behind the last word taken, how many were, and the new ``second, first``.
        """
        word, table, from_bytes = self._word, self._table, int.from_bytes
        even = odd = rows = taken = 0
        end = start
        for match in WORD.finditer(text, start):
            if taken == limit:
                break
            end, taken = match.end(), taken + 1
            this, own_even, own_odd, count = word(match[0])
            if rows + count + 2 > _FLUSH:
                _flush(even, odd, rows, sums)
                even = odd = rows = 0
            at = (((first * 0x27D4EB2F + this * 0x165667B1) & _MASK) >> _SHIFT) * HEADS
            pair = from_bytes(table[at : at + HEADS], "little")
            even += own_even + (pair & _EVEN)
            odd += own_odd + (pair >> 8 & _EVEN)
            rows += count + 1
            if second:
                at = (((second * 0xC2B2AE35 + this * 0x2545F491 + 7) & _MASK) >> _SHIFT) * HEADS
                pair = from_bytes(table[at : at + HEADS], "little")
                even += pair & _EVEN
                odd += pair >> 8 & _EVEN
                rows += 1
            second, first = first, this
        _flush(even, odd, rows, sums)
        return end, taken, second, first

    def _read(self, word: str) -> _Word:
        this, rows = own_rows(word)
        even = odd = 0
        for index in rows:
            row = int.from_bytes(self._table[index * HEADS : (index + 1) * HEADS], "little")
            even += row & _EVEN
            odd += row >> 8 & _EVEN
        return _Word(this, even, odd, len(rows))


def own_rows(word: str) -> tuple[int, list[int]]:
    """Return the hash of ``word`` and the indices of the rows that it adds by itself: its own and its n-grams'."""
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
    return this, [(number & _MASK) >> _SHIFT for number in mixed]


def _flush(even: int, odd: int, rows: int, sums: "array[int]") -> None:
    """Add the lanes of ``even`` and ``odd``, the sum of ``rows`` biased rows, to ``sums``."""
    bias = 128 * rows
    for head, biased in enumerate(array("H", even.to_bytes(HEADS + 1, "little"))):
        sums[2 * head] += biased - bias
    for head, biased in enumerate(array("H", odd.to_bytes(HEADS - 1, "little"))):
        sums[2 * head + 1] += biased - bias
