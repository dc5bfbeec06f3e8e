"""One tier 1 rule: anchors, and the context that must or must not stand around them.

A literal is folded text (see ``guard.screening.normalize``) and matches at word boundaries; an asterisk at its start or
end lifts the boundary there (``synthes*``). A rule never fires on one word: it has a required context, or anchors of
three words and more. Distances are folded characters between the anchor and the window's far end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from guard.screening.categories import CATEGORIES
from guard.screening.findings import Action
from guard.screening.normalize import fold, is_word
from guard.screening.segments import Direction, Source

DEFAULT_SOURCES = frozenset(Source) - {Source.TOOL_DEFINITION}
"""Tool definitions are written by operators; reading them made other filters refuse every call."""
MAX_WITHIN = 400
MAX_LITERAL = 80


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
        return cls(text, not free_left and is_word(text[0]), not free_right and is_word(text[-1]))

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
    _bodies: tuple[tuple[str, Literal], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", max((len(literal.text) for literal in self.literals), default=0))
        object.__setattr__(self, "_bodies", tuple((literal.text, literal) for literal in self.literals))

    def occurs(self, text: str, low: int, high: int) -> bool:
        """Return whether a literal occurs within ``text[low:high]``."""
        window = text[low:high]
        for body, literal in self._bodies:  # noqa: SIM110 - a generator costs three times the tests themselves
            if body in window and literal.occurs(text, low, high):
                return True
        return False

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

    def leads(self, anchor: Literal) -> Sequence[int]:
        """Return the offsets at which ``anchor`` stands within the phrase."""
        found, at = [], self.phrase.text.find(anchor.text)
        while at >= 0:
            found.append(at)
            at = self.phrase.text.find(anchor.text, at + 1)
        return found


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires on an anchor with every one of ``requires`` and none of ``forbids`` around it. The span is the anchor's.

    Raises ValueError if it could fire on one word or two, or names an unknown category.
    """

    id: str
    category: str
    anchors: tuple[Literal, ...]
    requires: tuple[Context, ...] = ()
    forbids: tuple[Context, ...] = ()
    exceptions: tuple[Exemption, ...] = ()
    directions: frozenset[Direction] = frozenset({Direction.PROMPT})
    sources: frozenset[Source] = DEFAULT_SOURCES
    score: float = 0.9
    """The risk it contributes, 0..1."""
    action: Action = Action.BLOCK
    """What is done where no license rules on the category."""
    items: tuple[str, ...] = ()
    """Items of acceptable use policies that a match is evidence of, the most specific first: licenses differ."""
    shadowed: bool = False
    """True: it finds as always and blocks nothing."""
    blocks: str = field(init=False, repr=False, compare=False)
    """The category it blocks under where that one is blocking; empty, which no category is, if it is shadowed."""

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES:
            raise ValueError(f"unknown category '{self.category}'")
        if not self.anchors:
            raise ValueError("no anchors")
        if not all(anchor.words for anchor in self.anchors):
            raise ValueError("an anchor without a word")
        if not 0 < self.score <= 1:
            raise ValueError(f"score {self.score} is not within 0..1")
        object.__setattr__(self, "blocks", "" if self.shadowed else self.category)
        for context in (*self.requires, *self.forbids):
            if not context.literals or not 0 < context.within <= MAX_WITHIN:
                raise ValueError(f"a context needs literals and a distance of 1 to {MAX_WITHIN} characters")
        # The shortest lists first: most anchors stand in harmless text, and one missing group settles that.
        object.__setattr__(self, "requires", tuple(sorted(self.requires, key=lambda context: len(context.literals))))
        if not self.requires:
            short = [anchor.text for anchor in self.anchors if anchor.words < 3]
            if short:
                raise ValueError(f"anchor '{short[0]}' has fewer than three words and nothing is required around it")

    @property
    def content(self) -> str:
        """What it finds, in one line: the same for two rules if they find the same in every text."""
        directions, sources = sorted(self.directions), sorted(self.sources)
        looked_for = (self.anchors, self.requires, self.forbids, [exempt.phrase for exempt in self.exceptions])
        return repr((self.id, self.category, looked_for, [*map(str, directions)], [*map(str, sources)]))

    def holds(self, text: str, start: int, end: int, anchor: Literal) -> bool:
        """Return whether the rule fires on ``anchor`` at ``text[start:end]`` of a complete folded text."""
        return (
            all(context.around(text, start, end) for context in self.requires)
            and not any(context.around(text, start, end) for context in self.forbids)
            and not self.exempted(text, start, anchor)
        )

    def exempted(self, text: str, start: int, anchor: Literal) -> bool:
        """Return whether ``anchor`` at ``start`` stands inside an exempt phrase of a complete folded text."""
        return any(
            start >= lead
            and text.startswith(exemption.phrase.text, start - lead)
            and exemption.phrase.bounded(text, start - lead)
            for exemption in self.exceptions
            for lead in exemption.leads(anchor)
        )
