"""Texts that nobody wrote, for a teacher to label: the beginning of one, up to a word that another has, then its end.

A bag of n-grams learns from them which words matter in which company.
"""

from collections import defaultdict
from collections.abc import Sequence

SHORTEST, LONGEST = 3, 40
"""Words of the texts that are spliced and of what comes out."""


class Chance:
    """Random numbers that are the same everywhere and always (SplitMix64; Steele, Lea and Flood, 2014)."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, bound: int) -> int:
        """Return a number of 0 to ``bound`` - 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) % (1 << 64)
        mixed = self._state
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % (1 << 64)
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % (1 << 64)
        return (mixed ^ mixed >> 31) % bound


def splices(texts: Sequence[str], wanted: int, seed: int = 7) -> list[str]:
    """Return ``wanted`` different texts spliced from ``texts``, sorted; fewer if there are not enough to be had."""
    chance = Chance(seed)
    pieces = [words for words in map(str.split, texts) if SHORTEST <= len(words) <= LONGEST]
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for index, words in enumerate(pieces):
        for at, word in enumerate(words[1:], 1):
            places[word.casefold()].append((index, at))
    made: set[str] = set()
    for _ in range(20 * wanted):
        if len(made) == wanted or not pieces:
            break
        index = chance.below(len(pieces))
        words = pieces[index]
        at = 1 + chance.below(len(words) - 1)
        others = places[words[at].casefold()]
        other, there = others[chance.below(len(others))]
        if other != index and SHORTEST <= at + len(pieces[other]) - there <= LONGEST:
            made.add(" ".join([*words[:at], *pieces[other][there:]]))
    return sorted(made)
