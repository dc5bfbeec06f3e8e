"""Which of the two forms of looking for anchors there is: the compiled one, or its twin in Python."""

from collections.abc import Sequence
from typing import Protocol

from guard.screening import anchors_twin
from guard.screening.anchors_twin import Disguised
from guard.screening.automaton import Sieve
from guard.screening.findings import Action
from guard.screening.gates import gates
from guard.screening.patterns import Pattern
from guard.screening.rules import Context, Literal, Rule, Where

BITS = anchors_twin.BITS


class Anchors(Protocol):
    """The anchors of some rules: see ``anchors_twin.Anchors``."""

    def fire(self, text: str, sources: int, most: int) -> tuple[int, list[tuple[int, int, int]]]:
        """Return how many anchors were looked at, and those that fire in ``text``, folded and complete."""

    def quiet(self, text: str, sources: int, most: int, disguised: Disguised | None) -> int:
        """Return how many anchors were looked at if nothing is found in ``text``; -1: something may be."""


def anchors(wanted: Sequence[tuple[Literal, Rule]], patterns: Sequence[Pattern] = ()) -> Anchors:
    """Return what finds the anchors ``wanted``, each with its rule, in complete texts: compiled, if it was.

    ``patterns`` are those that must not match where a text is to be quiet.
    """
    sieve = Sieve([pattern.expression for pattern in patterns])
    try:
        from guard.screening._kernel import Anchors as Compiled  # noqa: PLC0415 - an install needs no compiler
    except ImportError:
        return anchors_twin.Anchors(wanted, sieve)
    return Compiled(*_tables(wanted), *gates(patterns), sieve.holds) if patterns else Compiled(*_tables(wanted))


_SIDES = {Where.NEAR: 0, Where.BEFORE: 1, Where.AFTER: 2}

_Written = tuple[str, bool, bool]
_Around = list[tuple[int, int, int, bool]]


def _tables(
    wanted: Sequence[tuple[Literal, Rule]],
) -> tuple[list[_Written], list[tuple[int, int]], list[list[int]], list[tuple[int, bool, _Around, list[int]]]]:
    """Return the anchors, their contexts and rules as the compiled form takes them: numbers for what they refer to."""
    places: dict[Literal, int] = {}
    groups: dict[frozenset[int], int] = {}
    rules: dict[str, tuple[int, tuple[int, bool, _Around, list[int]]]] = {}

    def place(literal: Literal) -> int:
        return places.setdefault(literal, len(places))

    def around(context: Context, *, required: bool) -> tuple[int, int, int, bool]:
        group = frozenset(map(place, context.literals))
        return groups.setdefault(group, len(groups)), context.within, _SIDES[context.where], required

    pairs = []
    for literal, rule in wanted:
        if rule.id not in rules:
            contexts = [around(context, required=True) for context in rule.requires]
            contexts += [around(context, required=False) for context in rule.forbids]
            phrases = [place(exemption.phrase) for exemption in rule.exceptions]
            sources = sum(BITS[source] for source in rule.sources)
            rules[rule.id] = len(rules), (sources, rule.action is Action.MASK, contexts, phrases)
        pairs.append((place(literal), rules[rule.id][0]))
    written = [(literal.text, literal.left, literal.right) for literal in places]
    return written, pairs, [sorted(group) for group in groups], [its for _, its in rules.values()]
