"""All that the screens of many texts share: rules for one kind of output, compiled once per snapshot."""

from collections.abc import Collection, Sequence

from guard.screening.anchors import BITS, anchors
from guard.screening.automaton import MOST_MATCHES, Automaton, Sieve, mask
from guard.screening.normalize import Offsets, folded
from guard.screening.patterns import Pattern
from guard.screening.rules import Rule, Search, Where, search
from guard.screening.segments import Source
from guard.screening.stream.states import States
from guard.screening.walkers import Patterns

_MOST_AWAITED = 256
"""Sets of rules whose matches waited at the same time."""


_MOST_PARTS = 64
"""Sets of rules that fired together."""


class Setting:
    """What holds text under one policy, and the states in which nothing has been found."""

    __slots__ = ("blocking", "may_mask", "pattern_lags", "states", "wanted")

    def __init__(self, program: "Program", blocking: frozenset[str]) -> None:
        self.blocking = blocking
        """Categories under which rules end an answer, or mask."""
        self.wanted = mask(blocking)
        self.may_mask = any(rule.masks in blocking for rule in program.rules)
        self.pattern_lags = tuple(rule.lag if self.holds(rule) else 0 for _, rule in program.patterned)
        """Of each pattern: how many characters it holds at most; None: as many as it must."""
        starts, lags = [automaton.start for automaton, _ in program.automata], [lag for _, lag in program.automata]
        self.states = States(starts, lags, self.wanted, program.patterns, self.pattern_lags)

    def holds(self, rule: Rule) -> bool:
        """Return whether ``rule`` blocks or masks, so that text has to wait for it."""
        return (rule.blocks or rule.masks) in self.blocking


class Program:
    """Rules compiled for texts that grow; immutable but for what it learns. Use it from one thread."""

    __slots__ = (
        "_anchored", "_anchors", "_awaited", "_parts", "_settings", "_sieve", "automata", "patterned", "patterns",
        "reach", "rules",
    )  # fmt: skip

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        anchored: dict[int | None, list[Rule]] = {}
        for rule in rules:
            if rule.anchors:
                anchored.setdefault(rule.lag, []).append(rule)
        self.automata: tuple[tuple[Automaton, int | None], ...] = tuple(
            (Automaton(group), lag) for lag, group in anchored.items()
        )
        """One for the rules of each lag: how many characters they hold at most, None: as many as they must."""
        self.patterned: tuple[tuple[Pattern, Rule], ...] = tuple(
            (pattern, rule) for rule in rules for pattern in rule.patterns
        )
        self.patterns = Patterns([pattern for pattern, _ in self.patterned])
        longest = max([automaton.longest for automaton, _ in self.automata] + [self.patterns.longest])
        self.reach = 2 * longest + 2 + max(map(_reach, rules), default=0)
        """Folded characters before the end of a text that a check may look back on."""
        self._settings: dict[frozenset[str], Setting] = {}
        self._awaited: dict[frozenset[str], tuple[int, Search]] = {}
        self._anchored = [(literal, rule) for rule in rules for literal in rule.anchors]
        self._anchors = anchors(self._anchored, self.patterns.patterns)
        self._sieve = Sieve([pattern.expression for pattern in self.patterns.patterns])
        self._parts: dict[frozenset[str], Program] = {}

    def awaited(self, rules: Sequence[Rule]) -> tuple[int, Search]:
        """Return the search for all that ``rules`` look for behind their matches, and the length of the longest."""
        key = frozenset([rule.id for rule in rules])
        known = self._awaited.get(key)
        if known is None:
            contexts = [context for rule in rules for context in (*rule.requires, *rule.forbids)]
            behind = [context for context in contexts if context.where is not Where.BEFORE]
            literals = dict.fromkeys([literal for context in behind for literal in context.literals])
            if len(self._awaited) >= _MOST_AWAITED:
                self._awaited.clear()
            longest = max([context.longest for context in behind], default=1)
            known = self._awaited[key] = longest, search(tuple(literals))
        return known

    def firing(self, text: str, source: Source) -> Collection[Rule] | None:
        """Return the rules that find something in ``text``, complete and from ``source``, perhaps some more.

        None: it holds more anchors than are looked at.
        """
        read = BITS[source]
        if self._anchors.quiet(text, read, MOST_MATCHES, None) >= 0:
            return ()
        said = folded(text)
        looked, fired = self._anchors.fire(said, read, MOST_MATCHES)
        if looked > MOST_MATCHES:
            return None
        found = {self._anchored[number][1].id: self._anchored[number][1] for number, _, _ in fired}
        for number in self._sieve.sift(said.encode()):
            _, rule = self.patterned[number]
            found[rule.id] = rule
        return found.values()

    def only(self, text: str, source: Source) -> tuple[Rule, int, int] | None:
        """Return the only match in ``text``, complete and from ``source``; None: there may be more, or none."""
        if self.patterned:
            return None
        said = folded(text)
        looked, fired = self._anchors.fire(said, BITS[source], 1)
        if looked != 1 or len(fired) != 1:
            return None
        number, start, end = fired[0]
        places = Offsets()
        places.extend(text, len(said), 0, 0, after_space=False)
        return self._anchored[number][1], places.original(start), places.original(end - 1) + 1

    def part(self, rules: Collection[Rule]) -> "Program":
        """Return the program of ``rules`` alone, which are some of these."""
        ids = frozenset([rule.id for rule in rules])
        part = self._parts.get(ids)
        if part is None:
            if len(self._parts) >= _MOST_PARTS:
                self._parts.clear()
            part = self._parts[ids] = Program([rule for rule in self.rules if rule.id in ids])
        return part

    def setting(self, blocking: frozenset[str]) -> Setting:
        """Return what holds text where the rules of these categories block, or mask."""
        setting = self._settings.get(blocking)
        if setting is None:
            setting = self._settings[blocking] = Setting(self, blocking)
        return setting


def _reach(rule: Rule) -> int:
    """Return how far around an anchor the rule looks, in folded characters."""
    contexts = (*rule.requires, *rule.forbids)
    phrases = max((len(exemption.phrase.text) for exemption in rule.exceptions), default=0)
    return 2 * max((context.within for context in contexts), default=0) + phrases
