"""A verdict in words for whoever runs the service: what was found, why, and what more would have taken.

It shows parts of the text, which verdicts never do.
"""

from collections.abc import Iterator, Mapping, Sequence

from guard.cli.screening.lines import Line
from guard.cli.screening.tiers import Reading
from guard.cli.screening.verdict import Rulings, Verdict, named
from guard.cli.screening.words import Words
from guard.exchange.snapshot import Ruling
from guard.screening.categories import CATEGORIES
from guard.screening.fences import prose
from guard.screening.findings import Action, Finding
from guard.screening.learned.learned import default
from guard.screening.learned.operating import PREFIX
from guard.screening.learned.reading import Window
from guard.screening.learned.walk import Walk
from guard.screening.learned.weights import Thresholds, Weights
from guard.screening.neural.calibration import Levels
from guard.screening.neural.screen import RULE
from guard.screening.normalize import fold
from guard.screening.plain import plain
from guard.screening.rules import Context, Literal, Rule
from guard.screening.segments import Source

WORDS = 8
"""How many words are shown of those that weighed most."""
LONGEST = 100
"""Characters of a text that are quoted."""
_NAMED = 4
"""Literals of a context that are named."""


class Explanation:
    """Explains readings by one set of rules and one model of the learned tier; ``levels`` are the neural tier's."""

    def __init__(self, rules: Sequence[Rule], rulings: Rulings, weights: Weights, levels: Levels | None) -> None:
        self._rules: Mapping[str, Rule] = {rule.id: rule for rule in rules}
        self._rulings = rulings
        self._weights = weights
        self._words = Words(weights)
        self._levels = levels

    def lines(self, place: str, line: Line, reading: Reading, verdict: Verdict) -> Iterator[str]:
        """Yield the lines of one block. ``place`` is where ``line`` stood."""
        yield f"{place}: {verdict.action}, score {verdict.score:.4f}, {line.role} {quoted(line.text)}"
        if verdict.not_evaluated is not None:
            yield f"  not evaluated by the rules: {verdict.not_evaluated}; a gateway refuses what it cannot check"
        for finding in reading.findings:
            yield from self._finding(line.text, finding)
        if reading.walk is not None:
            yield from self._learned(line, reading.walk, decides=reading.mixed is None)
        if reading.mixed is not None and self._levels is not None:
            flag, block = self._levels
            levels = f"flags from {flag:.4f}, blocks from {block:.4f}"
            yield f"  neural tier, with the learned one: risk {reading.mixed:.4f}; {levels}"
        if verdict.categories:
            likely = sorted(verdict.categories.items(), key=lambda item: -item[1])
            yield "  categories: " + ", ".join(f"{code} {CATEGORIES[code]} {score:.2f}" for code, score in likely)

    def _finding(self, text: str, finding: Finding) -> Iterator[str]:
        ruling = self._rulings.ruling(finding)
        by = " ".join(filter(None, (ruling.license, ruling.clause)))
        name = f"{finding.category} {CATEGORIES[finding.category]}"
        yield f"  {finding.rule}: {name}: {named(ruling.action)}{f' by {by}' if by else ''}"
        seen = f", read as {finding.transform}" if finding.transform is not None else ""
        yield f"    covers {finding.start}-{finding.end} {quoted(text[finding.start : finding.end])}{seen}"
        rule = self._rules.get(finding.rule)
        if rule is not None:
            yield from _contexts(rule, text, finding)
        wanting = self._wanting(finding, ruling)
        if wanting is not None:
            yield f"    {wanting}"

    def _wanting(self, finding: Finding, ruling: Ruling) -> str | None:
        """Say what kept the finding from being blocked."""
        if ruling.action >= min(Action.MASK, finding.most) and finding.most >= Action.MASK:
            return None
        if ruling.action < finding.most:
            return f"to {named(finding.most)}: a license or a setting that does so about {finding.category} here"
        if finding.rule.startswith((PREFIX, RULE)):
            if finding.source is Source.OUTPUT:
                return "to block: a risk that blocks, and screening.learned.outputs: block"
            return "to block: a risk that blocks, in a user's words and not in code"
        return f"to block: action: block in the rule, which says {named(finding.most)}"

    def _learned(self, line: Line, walk: Walk, *, decides: bool) -> Iterator[str]:
        weights = self._weights
        if walk.highest_d1 >= weights.d1.flag:
            yield f"  learned tier, {CATEGORIES['D1']}: {_distance(walk.highest_d1, weights.d1, decides=decides)}"
        yield f"  learned tier: {_distance(walk.highest, weights.unsafe, decides=decides)}"
        words = self._words.of(*_read_again(line, walk))
        if words:
            shown = ", ".join(
                f"{word.text}{f' ({word.times}x)' if word.times > 1 else ''} {word.weight:+.2f}"
                for word in words[:WORDS]
            )
            yield f"    {self._words.bias:+.2f} without words; weighed most: {shown}"


def _read_again(line: Line, walk: Walk) -> tuple[str, Window]:
    """Return the folded text that ``walk`` went through, and its riskiest window: prose, or what a disguise hides."""
    spans = [(0, len(line.text))] if line.source is Source.OUTPUT else prose(line.text)
    said = fold("\n".join(line.text[start:end] for start, end in spans))
    again = default().read(said)
    hidden = None if again.highest == walk.highest else plain(line.text)
    return (said, again.unsafe) if hidden is None else (hidden, default().read(hidden).unsafe)


def _distance(logit: float, thresholds: Thresholds, *, decides: bool) -> str:
    said = f"logit {logit:+.2f}"
    if not decides:
        return f"{said}, part of the neural tier's risk"
    flag, block = f"{thresholds.flag:+.2f}", f"{thresholds.block:+.2f}"
    if logit >= thresholds.block:
        return f"{said}; blocks from {block}"
    wanting = f"{thresholds.block - logit:.2f} more to block ({block})"
    if logit >= thresholds.flag:
        return f"{said}; flags from {flag}, {wanting}"
    return f"{said}; {thresholds.flag - logit:.2f} more to flag ({flag}), {wanting}"


def _contexts(rule: Rule, text: str, finding: Finding) -> Iterator[str]:
    """Yield the contexts that the rule wants and forbids, and what of them stands there, if it was read as it is."""
    place: tuple[str, int, int] | None = None
    if finding.transform is None:
        start = len(fold(text[: finding.start]))
        place = fold(text), start, start + len(fold(text[finding.start : finding.end]))
    for context in rule.requires:
        there = "" if place is None else _there(context, *place)
        yield f"    required {_side(context)}: {_some(context.literals)}{there}"
    for context in rule.forbids:
        yield f"    forbidden {_side(context)}: {_some(context.literals)}"


def _there(context: Context, folded: str, start: int, end: int) -> str:
    found = [
        literal
        for literal in context.literals
        if Context((literal,), context.within, context.where).around(folded, start, end)
    ]
    return f"; there: {_some(found)}" if found else ""


def _side(context: Context) -> str:
    return f"{context.where} it within {context.within} characters"


def _some(literals: Sequence[Literal]) -> str:
    shown = ", ".join(quoted(literal.text) for literal in literals[:_NAMED])
    return f"{shown} and {len(literals) - _NAMED} more" if len(literals) > _NAMED else shown


def quoted(text: str) -> str:
    """Return ``text`` in quotes, cut at LONGEST characters, with an escape for everything that is not printable."""
    cut = text[:LONGEST]
    shown = "".join(
        character if character.isprintable() and character not in '"\\' else _escaped(character) for character in cut
    )
    return f'"{shown}"' + ("..." if len(text) > LONGEST else "")


def _escaped(character: str) -> str:
    return f"\\{character}" if character in '"\\' else f"\\u{{{ord(character):x}}}"
