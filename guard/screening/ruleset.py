"""Compiled tier 1 rules."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from guard.screening.automaton import MOST_MATCHES, Automaton, Finder, TooManyMatches, mask
from guard.screening.decode import Variant, variants
from guard.screening.findings import Finding
from guard.screening.holdback import ChannelScreen
from guard.screening.normalize import Offsets, fold, view
from guard.screening.rules import Rule
from guard.screening.segments import Direction, Segment, Source

_SIGNS = (rb"[a-z0-9_]{16,}", rb"(?: [a-z0-9]){4} ", rb"[a-z][013457]{1,2}[a-z]")
"""Of base64, of spaced-out letters, of digits for letters."""
_LONG_WORD, _SPACED, _LEET = range(3)
_OUTPUT_SOURCES = (Source.OUTPUT, Source.REASONING, Source.TOOL_ARGUMENTS)


class RuleSet:
    """Rules compiled once per snapshot to a multi-pattern automaton; immutable, shared by every request.

    Use it from one thread: the requests of one event loop, or one command.
    """

    def __init__(self, rules: Sequence[Rule], shadowed: frozenset[str] = frozenset()) -> None:
        """Compile ``rules``; those whose ids are ``shadowed`` find as always, but block nothing and hold nothing."""
        if shadowed:
            rules = [replace(rule, shadowed=rule.id in shadowed) for rule in rules]
        self.rules = tuple(rules)
        self.digest = sha256("\n".join(sorted(rule.content for rule in rules)).encode()).hexdigest()
        """Of what the rules find, whatever is done about it: two sets with the same find the same in every text."""
        self._items = {rule.id: rule.items for rule in rules if rule.items}
        prompt = [rule for rule in rules if Direction.PROMPT in rule.directions]
        self._prompt_sources = frozenset(source for rule in prompt for source in rule.sources)
        self._anchors = tuple((literal, rule) for rule in prompt for literal in rule.anchors)
        self._finder = Finder([literal for literal, _ in self._anchors], _SIGNS)
        automata: dict[tuple[str, ...], tuple[Automaton, int]] = {}
        self._channels: dict[Source, tuple[Automaton, int]] = {}
        for source in _OUTPUT_SOURCES:
            read = [rule for rule in rules if Direction.OUTPUT in rule.directions and source in rule.sources]
            ids = tuple(rule.id for rule in read)
            if ids not in automata:
                automaton = Automaton(read)
                automata[ids] = automaton, automaton.longest + 2 + max(map(_reach, read), default=0)
            self._channels[source] = automata[ids]

    def scan(self, segments: Iterable[Segment]) -> list[Finding]:
        """Return the findings of the prompt rules in ``segments``, in order: a rule's first match in each segment.

        A match found only after decoding carries ``Finding.transform``; its span is that of the encoded text. Raises
        TooManyMatches if the segments together hold more than MOST_MATCHES anchors.
        """
        findings: list[Finding] = []
        matches = 0
        for segment in segments:
            if segment.source in self._prompt_sources:
                matches += self._scan(segment, findings)
                if matches > MOST_MATCHES:
                    raise TooManyMatches
        return findings

    def items_of(self, rule: str) -> tuple[str, ...]:
        """Return the items that a match of the rule with that id is evidence of; none for a rule that is not there."""
        return self._items.get(rule, ())

    def open(self, source: Source, blocking: frozenset[str]) -> ChannelScreen:
        """Return a fresh incremental screen of the output rules for one channel of one choice.

        ``source`` is OUTPUT, REASONING or TOOL_ARGUMENTS; any other raises KeyError.
        """
        automaton, reach = self._channels[source]
        return ChannelScreen(automaton, reach, source, blocking, mask(blocking))

    def _scan(self, segment: Segment, findings: list[Finding]) -> int:
        """Add the findings in ``segment`` and return how many matches were looked at."""
        text = segment.text
        folded = fold(text)
        octets = view(folded)
        raw = self._finder.raw(octets)
        if not raw and "%" not in text and "&" not in text and "@" not in text and "$" not in text:
            return 0
        found: set[str] = set()
        self._match(segment, folded, self._finder.hits(folded, octets, raw), None, found, findings)
        matches = len(raw)
        signs = self._finder.triggered(raw)
        for variant in variants(text, long_word=_LONG_WORD in signs, spaced=_SPACED in signs, leet=_LEET in signs):
            decoded = fold(variant.text)
            hits = self._finder.find(decoded)
            matches += len(hits)
            self._match(segment, decoded, hits, variant, found, findings)
        return matches

    def _match(
        self,
        segment: Segment,
        folded: str,
        hits: Sequence[tuple[int, int, int]],
        variant: Variant | None,
        found: set[str],
        findings: list[Finding],
    ) -> None:
        places: Offsets | None = None
        first = len(findings)
        for number, start, end in hits:
            literal, rule = self._anchors[number]
            if rule.id in found or segment.source not in rule.sources or not literal.bounded(folded, start):
                continue
            if not folded.startswith(literal.text, start) or not rule.holds(folded, start, end, literal):
                continue
            found.add(rule.id)
            if places is None:
                places = Offsets()
                places.extend(segment.text if variant is None else variant.text, len(folded), 0, 0, after_space=False)
            low, high = places.original(start), places.original(end - 1) + 1
            transform = None
            if variant is not None:
                (low, high), transform = variant.span(low, high), variant.transform
            findings.append(Finding(rule.id, rule.category, low, high, segment.source, segment.path, transform))
        findings[first:] = sorted(findings[first:], key=lambda finding: (finding.start, finding.end, finding.rule))


def _reach(rule: Rule) -> int:
    """Return how far around an anchor the rule looks, in folded characters."""
    contexts = (*rule.requires, *rule.forbids)
    phrases = max((len(exemption.phrase.text) for exemption in rule.exceptions), default=0)
    return 2 * max((context.within for context in contexts), default=0) + phrases
