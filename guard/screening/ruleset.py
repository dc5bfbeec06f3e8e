"""Compiled tier 1 rules."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import accumulate

from guard.screening.anchors import BITS, anchors
from guard.screening.automaton import MOST_MATCHES, MOST_RUNS, Sieve, TooManyMatches
from guard.screening.categories import OWN
from guard.screening.decode import Variant, variants
from guard.screening.findings import Action, Finding
from guard.screening.normalize import Offsets, fold, folded, view
from guard.screening.patterns import Pattern
from guard.screening.rules import Literal, Rule
from guard.screening.segments import Direction, Segment, Source
from guard.screening.signs import Sign, signs
from guard.screening.stream.channel import ChannelScreen, Score
from guard.screening.stream.program import Program
from guard.screening.stream.scored import ScoredScreen

_SIGNS = {Sign.SPACED: rb"(?: [a-z0-9]){4} ", Sign.LEET: rb"[a-z][013457]{1,2}[a-z]"}
"""As they show in the view of a folded text."""
_SEEN = tuple(_SIGNS)
_OUTPUT_SOURCES = (Source.OUTPUT, Source.REASONING, Source.TOOL_ARGUMENTS)


class RuleSet:
    """Rules compiled once per snapshot to a multi-pattern automaton; immutable, shared by every request.

    Use it from one thread: the requests of one event loop, or one command.
    """

    def __init__(self, rules: Sequence[Rule], shadowed: frozenset[str] = frozenset()) -> None:
        """Compile ``rules``; those that are ``shadowed`` find as always, but block, mask and hold nothing.

        ``shadowed`` has ids of rules, and categories whose rules of an operator's own do not act.
        """
        if shadowed:
            rules = [
                replace(rule, shadowed=rule.id in shadowed or (rule.acts and rule.category in shadowed))
                for rule in rules
            ]
        self.rules = tuple(rules)
        self.own_actions: Mapping[str, Action] = {rule.id: rule.action for rule in rules if rule.acts}
        """By id, what rules do by themselves, whatever is done about their categories."""
        self.masks: Mapping[str, str | None] = {rule.id: rule.mask for rule in rules if rule.mask is not None}
        """By id, what their matches become."""
        self.acting = frozenset(rule.id for rule in rules if OWN in {rule.blocks, rule.masks})
        """Ids of those that block or mask by themselves and are not shadowed."""
        self.digest = sha256("\n".join(sorted(rule.content for rule in rules)).encode()).hexdigest()
        """Of what the rules find, whatever is done about it: two sets with the same find the same in every text."""
        self._items = {rule.id: rule.items for rule in rules if rule.items}
        prompt = [rule for rule in rules if Direction.PROMPT in rule.directions]
        self._prompt_sources = frozenset(source for rule in prompt for source in rule.sources)
        self.anchors: tuple[tuple[Literal, Rule], ...] = tuple(
            (literal, rule) for rule in prompt for literal in rule.anchors
        )
        self._signs = Sieve([*_SIGNS.values()])
        self.patterns: tuple[tuple[Pattern, Rule], ...] = tuple(
            (pattern, rule) for rule in prompt for pattern in rule.patterns
        )
        self._anchors = anchors(self.anchors, [pattern for pattern, _ in self.patterns])
        self._sieve = Sieve([pattern.expression for pattern, _ in self.patterns])
        programs: dict[tuple[str, ...], Program] = {}
        self._channels: dict[Source, Program] = {}
        for source in _OUTPUT_SOURCES:
            read = [rule for rule in rules if Direction.OUTPUT in rule.directions and source in rule.sources]
            ids = tuple(rule.id for rule in read)
            if ids not in programs:
                programs[ids] = Program(read)
            self._channels[source] = programs[ids]

    def scan(self, segments: Iterable[Segment]) -> list[Finding]:
        """Return the findings of the prompt rules in ``segments``, in order.

        They are a rule's first match in each segment, and every match of one whose action is to mask. One found only
        after decoding carries ``Finding.transform``; its span is that of the encoded text. Raises TooManyMatches if the
        segments together hold more than MOST_MATCHES anchors and matches of patterns, or hide more than MOST_RUNS runs.
        """
        findings: list[Finding] = []
        matches = runs = 0
        for segment in segments:
            if segment.source in self._prompt_sources:
                looked, undone = self._scan(segment, findings, MOST_MATCHES - matches)
                matches += looked
                runs += undone
                if runs > MOST_RUNS:
                    raise TooManyMatches
        return findings

    def items_of(self, rule: str) -> tuple[str, ...]:
        """Return the items that a match of the rule with that id is evidence of; none for a rule that is not there."""
        return self._items.get(rule, ())

    def open(
        self,
        source: Source,
        blocking: frozenset[str],
        score: Score | None = None,
        score_most: Action = Action.FLAG,
    ) -> ChannelScreen | ScoredScreen:
        """Return a fresh incremental screen of the output rules for one channel of one choice.

        ``blocking``: categories under which rules block, or mask. ``score`` reads along, and at most ``score_most`` is
        done about what it finds: where that is BLOCK, text waits for it. ``source`` is OUTPUT, REASONING or
        TOOL_ARGUMENTS; any other raises KeyError.
        """
        program = self._channels[source]
        if score is not None and score_most is Action.BLOCK and blocking:
            return ScoredScreen(ChannelScreen(program, source, blocking), score, blocking)
        return ChannelScreen(program, source, blocking, score, score_most)

    def _scan(self, segment: Segment, findings: list[Finding], most: int) -> tuple[int, int]:
        """Add the findings in ``segment``; return how many matches were looked at and how many hidden runs undone.

        Raises TooManyMatches where there are more than ``most``.
        """
        text, read_as = segment.text, BITS[segment.source]
        matches = self._anchors.quiet(text, read_as, most, self._disguised)
        if matches >= 0:
            return matches, 0
        said = folded(text)
        matches, fired = self._anchors.fire(said, read_as, most)
        if matches > most:
            raise TooManyMatches
        sifted = self._sieve.sift(said.encode()) if self.patterns else ()
        look: _Look | None = None
        if fired or sifted:
            look = _Look(self, segment, findings)
            matches += look.at(said, fired, sifted, None, most - matches)
        seen = self._seen(text, said)
        if not seen and not signs(text):
            return matches, 0
        undone = 0
        for variant in variants(text, seen):
            undone = max(undone, variant.runs)
            decoded = fold(variant.text)
            looked, fired = self._anchors.fire(decoded, read_as, most - matches)
            matches += looked
            if matches > most:
                raise TooManyMatches
            sifted = self._sieve.sift(decoded.encode()) if self.patterns else ()
            if fired or sifted:
                look = look or _Look(self, segment, findings)
                matches += look.at(decoded, fired, sifted, variant, most - matches)
        return matches, undone

    def _seen(self, text: str, said: str) -> Sequence[Sign]:
        """Return the signs that ``text`` has as ``said``, folded. In ASCII what is disguised shows as it is."""
        return () if text.isascii() else [_SEEN[place] for place in self._signs.sift(view(said))]

    def _disguised(self, text: str, said: str) -> bool:
        return bool(self._seen(text, said) or signs(text))


class _Look:
    """One look at a segment and its variants: which rules have been found, and what is masked already."""

    __slots__ = ("_findings", "_found", "_masked", "_rules", "_segment")

    def __init__(self, rules: RuleSet, segment: Segment, findings: list[Finding]) -> None:
        self._rules = rules
        self._segment = segment
        self._findings = findings
        self._found: set[str] = set()
        self._masked: dict[str, list[tuple[int, int]]] = {}
        """By rule, in order: where its matches begin, and how far those that begin there or before reach."""

    def at(
        self,
        folded: str,
        anchored: Sequence[tuple[int, int, int]],
        sifted: Iterable[int],
        variant: Variant | None,
        most: int,
    ) -> int:
        """Add what fires in ``folded``, the segment or a variant of it; return how many patterns' matches there were.

        ``anchored`` are the anchors that do, ``sifted`` the places of patterns that may match. Raises TooManyMatches
        where patterns match more than ``most`` times; no more than one beyond that is searched for.
        """
        source, found, matches = self._segment.source, self._found, 0
        fired: list[tuple[int, int, Rule]] = []
        for number, start, end in anchored:
            _, rule = self._rules.anchors[number]
            if rule.id not in found:
                if rule.action is not Action.MASK:
                    found.add(rule.id)
                fired.append((start, end, rule))
        for number in sifted:
            pattern, rule = self._rules.patterns[number]
            if rule.id in found or source not in rule.sources:
                continue
            spans = pattern.findall(folded, most - matches + 1)
            matches += len(spans)
            if matches > most:
                raise TooManyMatches
            for start, end in spans:
                if rule.holds(folded, start, end):
                    fired.append((start, end, rule))
                    if rule.action is not Action.MASK:
                        found.add(rule.id)
                        break
        if fired:
            self._add(folded, fired, variant)
        return matches

    def _add(self, folded: str, fired: Iterable[tuple[int, int, Rule]], variant: Variant | None) -> None:
        segment = self._segment
        places = Offsets()
        text = segment.text if variant is None else variant.text
        places.extend(text, len(folded), 0, 0, after_space=False)
        found: list[Finding] = []
        for start, end, rule in fired:
            low, high = places.original(start), places.original(end - 1) + 1
            transform = None
            if variant is not None:
                (low, high), transform = variant.span(low, high), variant.transform
            found.append(
                Finding(rule.id, rule.category, low, high, segment.source, segment.path, transform, rule.action)
            )
        found.sort(key=_place)
        if any(finding.most is Action.MASK for finding in found):
            found = self._uncovered(found)
        self._findings += found

    def _uncovered(self, found: Sequence[Finding]) -> list[Finding]:
        """Return ``found``, in order, without what is masked by the same rule already.

        Two patterns may match the same, and a variant holds what is not encoded, too.
        """
        kept = []
        fresh: dict[str, int] = {}
        for finding in found:
            if finding.most is Action.MASK:
                covered = self._masked.setdefault(finding.rule, [])
                at = bisect_right(covered, finding.start, key=_start) - 1
                if finding.end <= max(fresh.get(finding.rule, 0), covered[at][1] if at >= 0 else 0):
                    continue
                fresh[finding.rule] = max(fresh.get(finding.rule, 0), finding.end)
            kept.append(finding)
        for rule in fresh:
            spans = sorted([*self._masked[rule], *((one.start, one.end) for one in kept if one.rule == rule)])
            ends = accumulate((end for _, end in spans), max)
            self._masked[rule] = [(start, end) for (start, _), end in zip(spans, ends, strict=True)]
        return kept


def _place(finding: Finding) -> tuple[int, int, str]:
    return finding.start, finding.end, finding.rule


def _start(span: tuple[int, int]) -> int:
    return span[0]
