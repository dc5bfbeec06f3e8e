"""One tier 1 rule: what it looks for, and the context that must or must not stand around it.

A rule looks for literals (anchors) and regular expressions (``guard.screening.patterns``). A literal is folded text
(see ``guard.screening.normalize``) and matches at word boundaries; an asterisk at its start or end lifts the boundary
there (``synthes*``). A rule never fires on one word: it has a required context, anchors of three words and more, or
patterns that no plain words match. Distances are folded characters between the match and the window's far end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from guard.screening.categories import CATEGORIES, OWN
from guard.screening.findings import Action
from guard.screening.normalize import fold, is_word
from guard.screening.patterns import Pattern
from guard.screening.positions import joins
from guard.screening.segments import Direction, Source

DEFAULT_SOURCES = frozenset(Source) - {Source.TOOL_DEFINITION}
"""Tool definitions are written by operators; reading them made other filters refuse every call."""
MAX_WITHIN = 400
MAX_LITERAL = 80
MAX_WINDOW = 400
MASK = "[masked]"
"""What a masked span becomes where its rule does not say."""


class Literal(NamedTuple):
    """Folded text to look for; ``left`` and ``right`` say whether a word boundary is required there."""

    text: str
    left: bool = True
    right: bool = True

    @classmethod
    def parse(cls, written: str) -> "Literal":
        """Return the literal that a rule file writes as ``written``. Raises ValueError if nothing is left of it."""
        free_left, free_right = written.startswith("*"), written.endswith("*")
        text = fold(written).strip(" ")
        if not text:
            raise ValueError(f"'{written}' holds no text")
        if len(text) > MAX_LITERAL:
            raise ValueError(f"'{written[:40]}...' is longer than {MAX_LITERAL} characters")
        return cls(text, not free_left and joins(text[0]), not free_right and joins(text[-1]))

    @property
    def words(self) -> int:
        """The number of words."""
        return sum(any(is_word(character) for character in word) for word in self.text.split(" "))

    def bounded(self, text: str, start: int) -> bool:
        """Return whether the occurrence at ``start`` has the boundaries asked for; the text's ends are boundaries."""
        end = start + len(self.text)
        return not (
            (self.left and start > 0 and is_word(text[start - 1]))
            or (self.right and end < len(text) and is_word(text[end]))
        )

    def occurs(self, text: str, low: int, high: int) -> bool:
        """Return whether it occurs within ``text[low:high]``; boundaries are judged in the whole ``text``."""
        at = text.find(self.text, low, high)
        while at >= 0:
            if self.bounded(text, at):
                return True
            at = text.find(self.text, at + 1, high)
        return False


class Release(StrEnum):
    """When text of a stream may leave that the rule has not passed yet."""

    SCANNED = "scanned"
    """Not before no match can begin in it any more."""
    WINDOW = "window"
    """Once ``Rule.window`` characters have come behind it."""
    IMMEDIATE = "immediate"
    """At once."""


Search = Callable[[str, int, int], bool]
"""Tells whether a literal occurs within ``text[low:high]``; boundaries are judged in the whole text."""

_MANY = 6
"""Literals from which on one search for all of them takes less than one for each."""


def one_by_one(literals: tuple[Literal, ...]) -> Search:
    """Return what tells whether one of ``literals`` occurs within ``text[low:high]``, looking for each by itself."""
    bodies = tuple((literal.text, literal) for literal in literals)

    def occur(text: str, low: int, high: int) -> bool:
        window = text[low:high]
        for body, literal in bodies:  # noqa: SIM110 - a generator costs three times the tests themselves
            if body in window and literal.occurs(text, low, high):
                return True
        return False

    return occur


try:
    from guard.screening._kernel import Anchors as _Together
except ImportError:  # an install needs no compiler
    search = lru_cache(1024)(one_by_one)
else:

    @lru_cache(1024)
    def search(literals: tuple[Literal, ...]) -> Search:
        """Return what tells whether one of ``literals`` occurs within ``text[low:high]``."""
        return one_by_one(literals) if len(literals) < _MANY else _Together([*literals], [], [], []).occur


class Where(StrEnum):
    """On which side of the anchor a context is looked for."""

    BEFORE = "before"
    AFTER = "after"
    NEAR = "near"


@dataclass(frozen=True, slots=True)
class Context:
    """At least one of ``literals`` within ``within`` characters of the anchor."""

    literals: tuple[Literal, ...]
    within: int = 80
    where: Where = Where.NEAR
    longest: int = field(init=False)
    """Length of the longest literal."""
    _occur: list[Search] = field(init=False, repr=False, compare=False)
    """The search, once there was one: most contexts are never looked for by themselves."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", max((len(literal.text) for literal in self.literals), default=0))
        object.__setattr__(self, "_occur", [])

    def occurs(self, text: str, low: int, high: int) -> bool:
        """Return whether a literal occurs within ``text[low:high]``; ``low`` is not negative."""
        occur = self._occur
        if not occur:
            occur.append(search(self.literals))
        return occur[0](text, low, high)

    def before(self, text: str, start: int) -> bool:
        """Return whether it holds before an anchor that begins at ``start``."""
        return self.where is not Where.AFTER and self.occurs(text, max(0, start - self.within), start)

    def around(self, text: str, start: int, end: int) -> bool:
        """Return whether it holds around the anchor ``text[start:end]`` of a complete text."""
        if self.before(text, start):
            return True
        return self.where is not Where.BEFORE and self.occurs(text, end, end + self.within)


@dataclass(frozen=True, slots=True)
class Exemption:
    """A whole phrase in which an anchor is no match, who answers for it, and the last day it holds."""

    phrase: Literal
    owner: str
    expires: date

    def covers(self, text: str, start: int, end: int) -> bool:
        """Return whether ``text[start:end]`` of a complete folded text stands inside the phrase."""
        body = self.phrase.text
        at = text.find(body, max(0, end - len(body)), start + len(body))
        while at >= 0:
            if self.phrase.bounded(text, at):
                return True
            at = text.find(body, at + 1, start + len(body))
        return False

    def leads(self, anchor: Literal) -> Sequence[int]:
        """Return the offsets at which ``anchor`` stands within the phrase."""
        found, at = [], self.phrase.text.find(anchor.text)
        while at >= 0:
            found.append(at)
            at = self.phrase.text.find(anchor.text, at + 1)
        return found


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires on a match with every one of ``requires`` and none of ``forbids`` around it. The span is the match's.

    Raises ValueError if it could fire on one word or two, names an unknown category, or contradicts itself.
    """

    id: str
    category: str
    anchors: tuple[Literal, ...] = ()
    requires: tuple[Context, ...] = ()
    forbids: tuple[Context, ...] = ()
    exceptions: tuple[Exemption, ...] = ()
    directions: frozenset[Direction] = frozenset({Direction.PROMPT})
    sources: frozenset[Source] = DEFAULT_SOURCES
    score: float = 0.9
    """The risk it contributes, 0..1."""
    action: Action = Action.BLOCK
    """The most that is done about a match; what is done, if the rule ``acts`` by itself."""
    items: tuple[str, ...] = ()
    """Items of acceptable use policies that a match is evidence of, the most specific first: licenses differ."""
    shadowed: bool = False
    """True: it finds as always, blocks nothing and masks nothing."""
    patterns: tuple[Pattern, ...] = ()
    mask: str | None = None
    """What a match becomes where the action is MASK; None: not said (``MASK``), or the action is another."""
    acts: bool = False
    """True: its action is what is done, whatever is done about its category; False: never more than that."""
    release: Release = Release.SCANNED
    window: int | None = None
    """Characters, where ``release`` is WINDOW; else None."""
    hits: tuple[str, ...] = ()
    """Texts in which it has to fire, and ``misses``, in which it must not."""
    misses: tuple[str, ...] = ()
    blocks: str = field(init=False, repr=False, compare=False)
    """The category under which a match blocks where that one is blocking, OWN if the rule acts by itself; empty, which
    no category is, if it does not block or is shadowed."""
    masks: str = field(init=False, repr=False, compare=False)
    """The same for replacing every match by ``mask``."""

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES:
            raise ValueError(f"unknown category '{self.category}'")
        if not self.anchors and not self.patterns:
            raise ValueError("no anchors and no patterns")
        if not all(anchor.words for anchor in self.anchors):
            raise ValueError("an anchor without a word")
        if not 0 < self.score <= 1:
            raise ValueError(f"score {self.score} is not within 0..1")
        for context in (*self.requires, *self.forbids):
            if not context.literals or not 0 < context.within <= MAX_WITHIN:
                raise ValueError(f"a context needs literals and a distance of 1 to {MAX_WITHIN} characters")
        self._release()
        under = "" if self.shadowed else OWN if self.acts else self.category
        object.__setattr__(self, "blocks", under if self.action is Action.BLOCK else "")
        object.__setattr__(self, "masks", under if self.action is Action.MASK else "")
        object.__setattr__(self, "mask", (self.mask or MASK) if self.action is Action.MASK else None)
        # The shortest lists first: most anchors stand in harmless text, and one missing group settles that.
        object.__setattr__(self, "requires", tuple(sorted(self.requires, key=lambda context: len(context.literals))))
        if not self.requires:
            short = [anchor.text for anchor in self.anchors if anchor.words < 3]
            if short:
                raise ValueError(f"anchor '{short[0]}' has fewer than three words and nothing is required around it")
            plain = [pattern.written for pattern in self.patterns if pattern.plain and not pattern.check]
            if plain:
                raise ValueError(f"pattern '{plain[0]}' matches plain words and nothing is required around it")

    def _release(self) -> None:
        """Refuse what contradicts itself in when text is released."""
        windowed = self.window is not None and 0 < self.window <= MAX_WINDOW
        if (self.release is Release.WINDOW) is not windowed:
            raise ValueError(f"release 'window', and only that, has a window of 1 to {MAX_WINDOW} characters")
        if self.action in {Action.MASK, Action.BLOCK} and self.release is Release.IMMEDIATE:
            name = self.action.name.lower()
            raise ValueError(f"'{name}' with release 'immediate': what has left cannot be called back")
        if self.action is Action.MASK and self.window is not None and self.window < self.reach:
            raise ValueError(f"'mask' with a window of {self.window}: a match may need {self.reach} characters")

    @property
    def lag(self) -> int | None:
        """How many characters of a stream it may hold back; None: as many as it takes."""
        return 0 if self.release is Release.IMMEDIATE else self.window

    @property
    def reach(self) -> int:
        """Characters from the first of a match to the one at which it is settled, at most."""
        return reach(self.anchors, self.patterns, (*self.requires, *self.forbids), self.exceptions)

    @property
    def content(self) -> str:
        """What it finds, in one line: the same for two rules if they find the same in every text."""
        directions, sources = sorted(self.directions), sorted(self.sources)
        looked_for = (self.anchors, self.requires, self.forbids, [exempt.phrase for exempt in self.exceptions])
        parts = (self.id, self.category, looked_for, [*map(str, directions)], [*map(str, sources)])
        return repr((*parts, self.patterns) if self.patterns else parts)

    def holds(self, text: str, start: int, end: int) -> bool:
        """Return whether the rule fires on its match ``text[start:end]`` in a complete folded text."""
        for context in self.requires:
            if not context.around(text, start, end):
                return False
        for context in self.forbids:
            if context.around(text, start, end):
                return False
        return not any(exemption.covers(text, start, end) for exemption in self.exceptions)


def reach(
    anchors: Sequence[Literal],
    patterns: Sequence[Pattern],
    contexts: Sequence[Context],
    exceptions: Sequence[Exemption],
) -> int:
    """Return how many characters after the first of a match a rule of these may need to know whether it fires."""
    matches = [len(anchor.text) for anchor in anchors] + [pattern.longest for pattern in patterns]
    behind = [context.within for context in contexts if context.where is not Where.BEFORE]
    phrases = [len(exemption.phrase.text) for exemption in exceptions]
    return max(max(matches, default=0) + max(behind, default=0), max(phrases, default=0)) + 1
