"""When text leaves that a rule has not passed yet: each rule says, and the slowest one in a channel decides."""

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.findings import Action
from guard.screening.patterns import Pattern
from guard.screening.rules import Context, Literal, Release, Rule, Where
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Source

OUTPUT = frozenset({Direction.OUTPUT})
HOLDING = frozenset({"S9", "S1"})
LATE = (Context((Literal.parse("heat it"),), 60, Where.AFTER),)


def rule(id_, anchor, requires=LATE, **more):
    return Rule(id_, id_.partition(".")[0], (Literal.parse(anchor),), requires, directions=OUTPUT, **more)


SCANNED = rule("S9.scanned", "ricin")
WINDOW = rule("S9.window", "sarin", release=Release.WINDOW, window=8)
WIDER = rule("S1.wider", "sarin", release=Release.WINDOW, window=20)
IMMEDIATE = rule("S1.immediate", "ricin", action=Action.FLAG, release=Release.IMMEDIATE)
DIGITS = Rule("S1.digits", "S1", patterns=(Pattern.parse(r"\b[0-9]{6,40}\b"),), directions=OUTPUT, release=Release.WINDOW, window=8)  # fmt: skip


@cache
def compiled(*rules):
    return RuleSet(rules)


def streamed(rules, parts, blocking=HOLDING):
    screen, track = compiled(*rules).open(Source.OUTPUT, blocking), []
    for part in parts:
        screen.feed(part)
        track.append((screen.seen, screen.cleared))
    screen.finish()
    return screen, track


def held(rules, text):
    """How many characters wait after each of ``text``, until a rule ends it."""
    screen, waiting = compiled(*rules).open(Source.OUTPUT, HOLDING), []
    for character in text:
        screen.feed(character)
        if screen.blocked is None:
            waiting.append(screen.seen - screen.cleared)
    return waiting


def test_a_window_bounds_what_waits_and_the_text_may_have_left_when_the_rule_speaks():
    text = "sarin is what some would heat it for, "
    assert max(held([WINDOW], text[:24])) == 8
    assert max(held([WIDER], text[:24])) == 20
    for window, cleared in ((WINDOW, 24), (WIDER, 12)):
        screen, _ = streamed([window], list(text))
        assert (screen.blocked.rule, screen.blocked.start, screen.cleared) == (window.id, 0, cleared)


def test_a_rule_whose_window_is_wide_enough_leaks_nothing():
    screen, track = streamed([WIDER], list("now sarin heat it, quickly"))
    assert screen.blocked.start == 4
    assert screen.cleared == max(cleared for _, cleared in track) == 4


def test_the_slowest_rule_decides_for_its_channel():
    text = "ricin and sarin and"
    assert held([WINDOW, SCANNED], text)[-1] == len(text)
    assert held([WINDOW], text)[-1] == 8
    assert held([WINDOW, WIDER], text)[-1] == 9
    assert held([WIDER, SCANNED, IMMEDIATE], "x ricin")[-1] == 5


def test_what_is_immediate_waits_for_nothing_and_finds_the_same():
    screen, track = streamed([IMMEDIATE], list("ricin: heat it now"))
    assert all(seen == cleared for seen, cleared in track)
    assert screen.blocked is None
    assert [(finding.rule, finding.most) for finding in screen.findings] == [("S1.immediate", Action.FLAG)]


def test_a_window_bounds_a_pattern_too():
    assert max(held([DIGITS], "call 0123456789012345678901 or ")) == 8
    screen, _ = streamed([DIGITS], ["call 012345678", "9012 now"])
    assert (screen.blocked.start, screen.cleared) == (5, 10)


ALL = [SCANNED, WINDOW, WIDER, IMMEDIATE, DIGITS]
TEXTS = st.lists(
    st.sampled_from(["ricin", "sarin", "sar", "heat it", "heat", "1234567", "12", " ", " ", ", ", "*", "\u200b", "of a", "ﬁ"]),
    max_size=16,
).map("".join)  # fmt: skip


@settings(max_examples=100)
@given(TEXTS, st.lists(st.integers(0, 90), max_size=10), st.sampled_from([ALL, [WINDOW], [DIGITS, WINDOW], ALL[:2]]))
def test_however_a_text_is_split_the_outcome_is_the_same(text, cuts, rules):
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    by_character, track = streamed(rules, list(text))
    split, other = streamed(rules, [text[low:high] for low, high in pairwise(at)])
    for screen in (split, streamed(rules, [text])[0]):
        assert (screen.blocked, screen.cleared, screen.findings) == (
            by_character.blocked, by_character.cleared, by_character.findings
        )  # fmt: skip
    cleared = dict(track)
    assert all(cleared.get(seen, 0) == released for seen, released in other)
    assert [released for _, released in track] == sorted(released for _, released in track)


@pytest.mark.parametrize("rules", [[WINDOW], [IMMEDIATE], [WINDOW, IMMEDIATE, DIGITS]])
@given(text=TEXTS)
@settings(max_examples=40)
def test_nothing_waits_longer_than_the_widest_window(rules, text):
    assert max(held(rules, text), default=0) <= 8
