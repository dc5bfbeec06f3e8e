"""The anchors of many rules as one machine.

``Automaton`` walks a growing text character by character (Aho and Corasick, 1975, with word boundaries built in): its
state is the longest suffix of the text that may still become an anchor, so a stream knows what it must hold back.
``Finder`` finds the anchors of a complete text with Hyperscan, where ``guard.screening.anchors`` has no compiled form;
it may report a place that is none, never misses one.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import hyperscan

from guard.screening.categories import CATEGORIES, OWN
from guard.screening.normalize import is_word, view
from guard.screening.rules import Literal, Rule

MOST_MATCHES = 20_000
"""Anchors that one text may hold: the contexts of each cost about 20 us, and the event loop waits for them all. Prose
holds a few per KB, so only a text made to be slow has more; it cannot be checked, and a check not made is no pass."""


MOST_RUNS = 40_000
"""Places of a text at which something hidden is put in plain words: each costs some 5 to 20 us, and the event loop
waits for them all. JSON within JSON has one in some twenty characters, so this is the better part of a megabyte."""


class TooManyMatches(Exception):
    """A text holds more anchors, or hidden runs, than can be looked at in the time of a request."""


BITS: Mapping[str, int] = {code: 1 << index for index, code in enumerate((*CATEGORIES, OWN))}


@lru_cache(maxsize=1024)
def mask(categories: frozenset[str]) -> int:
    """Return the bit set of ``categories``; unknown ones have no rules and no bit."""
    return sum(BITS.get(category, 0) for category in categories)


class Anchored(NamedTuple):
    """An anchor and the rule that it may fire."""

    literal: Literal
    rule: Rule


class Node(dict[str, "Node"]):
    """A state; maps the next character to the next state and learns those transitions as they are asked for."""

    __slots__ = ("depth", "ends", "fail", "live")

    fail: "Node"
    """The state of the longest proper suffix."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.ends: tuple[Anchored, ...] = ()
        """Anchors that end here (their right boundary not yet seen)."""
        self.live = 0
        """Categories of the anchors that this text may still become, or is while the boundary is awaited."""

    def __missing__(self, character: str) -> "Node":
        following = self.fail[character]
        if character.isascii():
            self[character] = following
        return following


class _Root(Node):
    """The empty suffix: after a word character (``inside`` a word) or at a boundary."""

    __slots__ = ("boundary", "inside")

    inside: Node
    boundary: Node

    def __missing__(self, character: str) -> Node:
        following = self.inside if is_word(character) else self.boundary
        if character.isascii():
            self[character] = following
        return following


class Automaton:
    """Anchors of ``rules`` for texts that grow. ``longest`` is the length of the longest anchor."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._boundary, self._inside = _Root(0), _Root(0)
        for root in (self._boundary, self._inside):
            root.boundary, root.inside = self._boundary, self._inside
        self.longest = 1
        for rule in rules:
            for literal in rule.anchors:
                self.longest = max(self.longest, len(literal.text))
                self._insert(self._boundary, Anchored(literal, rule))
                if not literal.left:
                    self._insert(self._inside, Anchored(literal, rule))
        self._link()

    @property
    def start(self) -> Node:
        """The state before the first character: at a word boundary."""
        return self._boundary

    def _insert(self, node: Node, anchored: Anchored) -> None:
        literal, bit = anchored.literal, BITS.get(anchored.rule.blocks or anchored.rule.masks, 0)
        for depth, character in enumerate(literal.text, 1):
            if character not in node:
                node[character] = Node(depth)
            node = node[character]
            if depth < len(literal.text) or literal.right:
                node.live |= bit
        node.ends += (anchored,)

    def _link(self) -> None:
        level: list[Node] = []
        for root in (self._boundary, self._inside):
            for character, child in root.items():
                child.fail = self._inside if is_word(character) else self._boundary
                level.append(child)
        while level:
            deeper: list[Node] = []
            for node in level:
                for character, child in node.items():
                    child.fail = node.fail[character]
                    child.ends += child.fail.ends
                    deeper.append(child)
            level = deeper

    def settle(self, text: str) -> Node:
        """Return the state after ``text``, from no more than its last ``longest`` characters."""
        begin = max(0, len(text) - self.longest)
        node: Node = self._inside if begin and is_word(text[begin - 1]) else self._boundary
        for character in text[begin:]:
            node = node[character]
        return node


class Hit(NamedTuple):
    """A literal, by its place in the finder's list, and the folded characters ``text[start:end]`` it may cover."""

    literal: int
    start: int
    end: int


class Finder:
    """Finds many literals in complete texts. Hits need their boundaries confirmed (``Literal.bounded``).

    The scratch space belongs to the object: use it from one thread at a time.
    """

    def __init__(self, literals: Sequence[Literal]) -> None:
        places: dict[Literal, list[int]] = {}
        for index, literal in enumerate(literals):
            places.setdefault(literal, []).append(index)
        self._places = tuple((literal, tuple(indexes)) for literal, indexes in places.items())
        self._database: hyperscan.Database | None = None
        if places:
            expressions = [*map(_expression, places)]
            self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            self._database.compile(
                expressions=expressions,
                ids=list(range(len(expressions))),
                elements=len(expressions),
                flags=[0] * len(expressions),
            )

    def raw(self, octets: bytes) -> list[tuple[int, int]]:
        """Return expression number and end offset in ``octets`` (a ``view``) of everything that matches.

        Raises TooManyMatches beyond MOST_MATCHES.
        """
        found: list[tuple[int, int]] = []
        if self._database is not None:
            try:
                self._database.scan(octets, match_event_handler=_note, context=found)
            except hyperscan.ScanTerminated as error:
                raise TooManyMatches from error
        return found

    def find(self, text: str) -> list[Hit]:
        """Return the hits in ``text`` (folded) in the order of their ends."""
        octets = view(text)
        return self.hits(text, octets, self.raw(octets))

    def hits(self, text: str, octets: bytes, raw: Sequence[tuple[int, int]]) -> list[Hit]:
        """Return the literals among ``raw`` matches of ``octets``, the view of ``text``, in characters."""
        found: list[Hit] = []
        plain = len(octets) == len(text) + 2
        characters = passed = 0
        for number, to in raw:
            if plain:
                end = to
            else:
                characters += len(octets[passed:to].decode())
                passed, end = to, characters
            literal, indexes = self._places[number]
            end -= 2 if literal.right else 1
            start = end - len(literal.text)
            found.extend(Hit(index, start, end) for index in indexes)
        return found


class Sieve:
    """Tells which of many Hyperscan expressions occur in a text. Use it from one thread at a time."""

    def __init__(self, expressions: Sequence[bytes]) -> None:
        self._database: hyperscan.Database | None = None
        if expressions:
            self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            self._database.compile(
                expressions=list(expressions),
                ids=list(range(len(expressions))),
                elements=len(expressions),
                flags=[hyperscan.HS_FLAG_SINGLEMATCH] * len(expressions),
            )

    def sift(self, octets: bytes) -> list[int]:
        """Return the places of the expressions that occur in ``octets``, ascending."""
        found: list[int] = []
        if self._database is not None:
            self._database.scan(octets, match_event_handler=_sifted, context=found)
        return sorted(found)

    def holds(self, folded: str) -> bool:
        """Return whether any of the expressions occurs in the text ``folded``."""
        return bool(self.sift(folded.encode()))


def _expression(literal: Literal) -> bytes:
    """Return the literal as it stands in a ``view``, escaped; spaces at bounded ends are the word boundaries."""
    blanked = view(literal.text)[1:-1]
    octets = (b" " if literal.left else b"") + blanked + (b" " if literal.right else b"")
    return b"".join(b"\\x%02x" % octet for octet in octets)


def _note(number: int, _start: int, to: int, _flags: int, found: Any) -> bool:
    """Take one match; return True, which ends the scan, if there are too many."""
    found.append((number, to))
    return len(found) > MOST_MATCHES


def _sifted(number: int, _start: int, _to: int, _flags: int, found: Any) -> None:
    found.append(number)
