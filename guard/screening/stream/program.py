"""All that the screens of many texts share: rules for one kind of output, compiled once per snapshot."""

from collections.abc import Sequence

from guard.screening.automaton import Automaton, mask
from guard.screening.patterns import Pattern
from guard.screening.rules import Rule
from guard.screening.stream.states import States
from guard.screening.walkers import Patterns


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

    __slots__ = ("_settings", "automata", "patterned", "patterns", "reach", "rules")

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
