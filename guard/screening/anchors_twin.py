"""Which anchors of many rules fire in a complete text, in Python and Hyperscan: what ``_kernel.c`` does."""

from collections.abc import Callable, Sequence

from guard.screening.automaton import Finder, Hit, Sieve, TooManyMatches
from guard.screening.findings import Action
from guard.screening.normalize import folded
from guard.screening.rules import Literal, Rule
from guard.screening.segments import Source

Disguised = Callable[[str, str], bool]
"""Tells whether a text, also given as it is folded, may hide something; asked where nothing else says it for sure."""

BITS = {source: 1 << place for place, source in enumerate(Source)}
"""Sources as bits."""


class Anchors:
    """The anchors of some rules. Use it from one thread at a time."""

    def __init__(self, anchors: Sequence[tuple[Literal, Rule]], sieve: Sieve | None = None) -> None:
        """``sieve`` sifts the patterns that must not match where a text is to be quiet."""
        self._sieve = sieve
        self._anchors = tuple(anchors)
        self._first: dict[Literal, int] = {}
        for place, (literal, _) in enumerate(anchors):
            self._first.setdefault(literal, place)
        self._finder = Finder([literal for literal, _ in anchors])

    def fire(self, text: str, sources: int, most: int) -> tuple[int, list[tuple[int, int, int]]]:
        """Return how many anchors were looked at, and those that fire in ``text``, folded and complete.

        They are the first of each rule that fires, all of one whose action is to mask: its place among the anchors,
        start and end. ``sources``: bits of BITS, one of which a rule must read. Where more than ``most`` would have to
        be looked at, none is, and the number is larger than ``most``.
        """
        try:
            hits = [hit for hit in self._finder.find(text) if hit.start >= 0 and hit.end <= len(text)]
        except TooManyMatches:
            return most + 1, []
        count = len({(hit.start, hit.end, self._anchors[hit.literal][0]) for hit in hits})
        fired: list[tuple[int, int, int]] = []
        if count > most:
            return count, fired
        found: set[str] = set()
        for number, start, end in sorted(hits, key=self._seen):
            literal, rule = self._anchors[number]
            if rule.id in found or not any(BITS[source] & sources for source in rule.sources):
                continue
            if literal.bounded(text, start) and text.startswith(literal.text, start) and rule.holds(text, start, end):
                if rule.action is not Action.MASK:
                    found.add(rule.id)
                fired.append((number, start, end))
        return count, fired

    def quiet(self, text: str, sources: int, most: int, disguised: Disguised | None) -> int:
        """Return how many anchors were looked at, no more than ``most``, if nothing is found in ``text``; else -1.

        No anchor fires then, no pattern matches, and ``disguised``, if it is given, says that nothing is hidden.
        """
        said = folded(text)
        looked, fired = self.fire(said, sources, most)
        if fired or looked > most or (self._sieve is not None and self._sieve.holds(said)):
            return -1
        return -1 if disguised is not None and disguised(text, said) else looked

    def _seen(self, hit: Hit) -> tuple[int, int, int]:
        """Return what orders ``hit``: where its end is seen, that with its boundary, and then the longest first."""
        literal, _ = self._anchors[hit.literal]
        boundary = int(literal.right)
        return hit.end + boundary, -len(literal.text) - literal.left - boundary, self._first[literal]
