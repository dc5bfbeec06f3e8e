"""The tests beside rules: texts in which a rule has to fire, and texts in which it must not."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from guard.policy.document import Problem
from guard.policy.rules import RuleFiles
from guard.screening.findings import Finding
from guard.screening.rules import Rule
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Segment, Source


class Failure(NamedTuple):
    """One text in which a rule does what it must not."""

    rule: str
    at: tuple[str, str, int]
    """Where the text stands in the rule: ``tests``, ``hits`` or ``misses``, and its place."""
    found: str
    allowed: str


def failures(rules: RuleSet) -> Iterator[Failure]:
    """Yield every text beside ``rules``, which nobody else may be using, in which its rule is wrong."""
    for rule in rules.rules:
        for wanted, name, texts in ((True, "hits", rule.hits), (False, "misses", rule.misses)):
            for index, text in enumerate(texts):
                for direction, findings in read(rules, rule, text):
                    if any(finding.rule == rule.id for finding in findings) is not wanted:
                        found = f"the rule {'does not fire' if wanted else 'fires'} in this {direction}"
                        yield Failure(rule.id, ("tests", name, index), found, "a text in which it does" if wanted
                                      else "a text in which it does not")  # fmt: skip


def read(rules: RuleSet, rule: Rule, text: str) -> Iterator[tuple[Direction, list[Finding]]]:
    """Yield what ``rules`` find in ``text``, read as the prompt and as the answer that ``rule`` is about."""
    if Direction.PROMPT in rule.directions:
        source = next(
            (source for source in (Source.USER, *sorted(rule.sources)) if source in rule.sources), Source.USER
        )
        yield Direction.PROMPT, rules.scan([Segment(source, text)])
    if Direction.OUTPUT in rule.directions and Source.OUTPUT in rule.sources:
        yield Direction.OUTPUT, spoken(rules, text)


def spoken(rules: RuleSet, text: str) -> list[Finding]:
    """Return the findings in ``text`` as an answer."""
    screen = rules.open(Source.OUTPUT, frozenset())
    screen.feed(text)
    screen.finish()
    return screen.findings


def problems(read_files: RuleFiles, files: Iterable[str]) -> Iterator[Problem]:
    """Yield a problem for every test that fails of a rule in one of ``files``, at its line."""
    names = set(files)
    tested = [rule for rule in read_files.rules if read_files.places[rule.id][0].file in names]
    for failure in failures(RuleSet(tested)):
        document, at = read_files.places[failure.rule]
        yield document.problem((*at, *failure.at), failure.found, failure.allowed)
