"""A text made to be slow is not checked, and says so; it is never passed."""

import pytest

from guard.screening import decode, ruleset, spelling
from guard.screening.automaton import MOST_MATCHES, MOST_RUNS, TooManyMatches
from guard.screening.checksums import CHECKS
from guard.screening.decode import variants
from guard.screening.patterns import Pattern
from guard.screening.plain import plain
from guard.screening.rules import Literal, Rule
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Segment, Source


@pytest.fixture
def rules():
    return RuleSet(
        [
            Rule(
                id="S1.many",
                category="S1",
                directions=frozenset({Direction.PROMPT}),
                anchors=(Literal.parse("one two three"),),
            )
        ]
    )


def text(matches):
    return Segment(Source.USER, "one two three " * matches)


def test_a_text_of_as_many_matches_as_prose_could_hold_is_checked(rules):
    assert len(rules.scan([text(MOST_MATCHES - 1)])) == 1


def test_beyond_that_it_is_not_checked_in_one_segment_or_many(rules):
    with pytest.raises(TooManyMatches):
        rules.scan([text(MOST_MATCHES + 1)])
    with pytest.raises(TooManyMatches):
        rules.scan([text(MOST_MATCHES // 4 + 1)] * 4)


def test_patterns_are_searched_for_no_longer_than_their_matches_are_looked_at(monkeypatch):
    passed = []
    monkeypatch.setitem(CHECKS, "noted", lambda text: passed.append(text) or True)
    pattern = Pattern.parse(r"\bx\d\b", "noted")
    rules = RuleSet([Rule("S7.x", "S7", directions=frozenset({Direction.PROMPT}), patterns=(pattern,))])
    assert len(rules.scan([Segment(Source.USER, "x1 " * MOST_MATCHES)])) == 1
    passed.clear()
    with pytest.raises(TooManyMatches):
        rules.scan([Segment(Source.USER, "x1 " * 3 * MOST_MATCHES)])
    assert len(passed) == MOST_MATCHES + 1
    passed.clear()
    with pytest.raises(TooManyMatches):
        rules.scan([Segment(Source.USER, "x1 " * (MOST_MATCHES - 5)), Segment(Source.USER, "x1 " * 100)])
    assert len(passed) == MOST_MATCHES + 1


HIDDEN = ["%62 ", "&lt; ", "\\u0062 ", "\\n a", "61 62 63 64. ", "a b c d. ", "a b c d e f g h i j k l m n o p "]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_text_that_hides_more_than_can_be_undone_is_not_checked(hidden, rules, monkeypatch):
    for module in (decode, spelling, ruleset):
        monkeypatch.setattr(module, "MOST_RUNS", 100)
    few, many = "[" + hidden * 20, "[" + hidden * 120
    assert len(list(variants(few))) >= 1
    assert rules.scan([Segment(Source.USER, few)]) == []
    for check in (lambda: list(variants(many)), lambda: plain(many), lambda: rules.scan([Segment(Source.USER, many)])):
        with pytest.raises(TooManyMatches):
            check()
    with pytest.raises(TooManyMatches):
        rules.scan([Segment(Source.USER, few)] * 20)


def test_no_more_runs_are_undone_than_are_allowed(monkeypatch):
    undone = []
    monkeypatch.setattr(decode.urllib.parse, "unquote", lambda run, **_: undone.append(run) or "b")
    with pytest.raises(TooManyMatches):
        list(variants("%62 " * 3 * MOST_RUNS))
    assert len(undone) == MOST_RUNS


def test_data_with_many_escapes_are_read(rules):
    rows = "[" + '{\\"name\\": \\"Jo\\", \\"said\\": \\"a line of text\\\\n\\"},' * 2000 + "]"
    assert len(rules.scan([Segment(Source.USER, rows + " one two three")])) == 1
