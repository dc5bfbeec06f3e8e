"""Rules in shadow: they find what they always find, and a stream is released as if they were not there."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.automaton import BITS
from guard.screening.rules import Context, Literal, Rule, Where
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Segment, Source

BOTH = frozenset(Direction)
BLOCKING = frozenset({"S9", "S1"})


def literals(*written):
    return tuple(Literal.parse(word) for word in written)


RULES = (
    Rule("S9.before", "S9", literals("sarin", "nerve agent"), (Context(literals("make", "brew*"), 12, Where.BEFORE),), directions=BOTH),
    Rule("S9.after", "S9", literals("sarin", "pipe bomb"), (Context(literals("mix it", "step 1:"), 14, Where.AFTER),), directions=BOTH),
    Rule("S9.guarded", "S9", literals("agent"), (Context(literals("mix it"), 16),), (Context(literals("treaty"), 12),), directions=BOTH),
    Rule("S1.phrase", "S1", literals("make a pipe bomb", "kill them now"), directions=BOTH),
    Rule("HR.flagged", "HR", literals("pipe bomb now"), directions=BOTH),
)  # fmt: skip
IDS = [rule.id for rule in RULES]
WORDS = ["sarin", "nerve agent", "agent", "pipe bomb", "make", "make a", "brewing", "mix it", "step 1:", "treaty", "kill them", "now", "the", "x", "sar", "ｓａｒｉｎ"]  # noqa: RUF001 - characters that look alike are screened alike  # fmt: skip
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", " ", "", ", ", "\n"])), max_size=12).map(
    lambda parts: "".join(word + gap for word, gap in parts)
)
SHADOWED = st.sets(st.sampled_from(IDS)).map(frozenset)
SETS = {}


def rules(shadowed, without=frozenset()):
    """Compiled once for each choice."""
    key = shadowed, without
    if key not in SETS:
        SETS[key] = RuleSet([rule for rule in RULES if rule.id not in without], shadowed)
    return SETS[key]


def released(compiled, parts):
    """What may be released after each part and at the end, and what ended it."""
    screen, track = compiled.open(Source.OUTPUT, BLOCKING), []
    for part in parts:
        screen.feed(part)
        track.append((screen.seen, screen.cleared))
    screen.finish()
    return [*track, (screen.seen, screen.cleared)], screen


def pieces(text, cuts):
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[low:high] for low, high in pairwise(at)]


@settings(max_examples=100)
@given(TEXTS, SHADOWED, st.lists(st.integers(0, 100), max_size=10))
def test_a_stream_is_released_as_if_the_shadowed_rules_were_not_there(text, shadowed, cuts):
    for parts in (list(text), [text], pieces(text, cuts)):
        track, screen = released(rules(shadowed), parts)
        expected, without = released(rules(frozenset(), shadowed), parts)
        assert track == expected
        assert screen.blocked == without.blocked


@settings(max_examples=80)
@given(TEXTS, SHADOWED, st.lists(st.integers(0, 100), max_size=10))
def test_however_a_text_is_split_the_outcome_is_the_same(text, shadowed, cuts):
    (*_, last), split = released(rules(shadowed), pieces(text, cuts))
    (*_, whole), once = released(rules(shadowed), [text])
    assert (last, split.blocked, split.findings) == (whole, once.blocked, once.findings)


@settings(max_examples=80)
@given(TEXTS, SHADOWED)
def test_nothing_that_a_shadowed_rule_finds_is_lost(text, shadowed):
    _, screen = released(rules(shadowed), [text])
    _, every = released(rules(frozenset(IDS)), [text])
    assert every.blocked is None
    if screen.blocked is None:
        assert screen.findings == every.findings
    else:
        assert screen.blocked.rule not in shadowed
        assert screen.blocked in every.findings
    segment = Segment(Source.USER, text, "messages[0].content")
    assert rules(shadowed).scan([segment]) == rules(frozenset()).scan([segment])


def test_nothing_waits_for_a_rule_in_shadow_and_what_it_found_is_told():
    alone, parts = RULES[:1], ["make ", "nerve", " ag", "ent", " at home"]
    track, screen = released(RuleSet(alone, frozenset({"S9.before"})), parts)
    assert all(seen == cleared for seen, cleared in track)
    assert [finding.rule for finding in screen.findings] == ["S9.before"]
    assert screen.blocked is None
    held, blocked = released(RuleSet(alone), parts)
    assert held[1] == (10, 5)
    assert blocked.blocked.rule == "S9.before"


def test_a_rule_in_shadow_neither_hides_nor_stops_one_that_blocks():
    """Both find the same words."""
    shadowed = rules(frozenset({"S9.before"}))
    _, screen = released(shadowed, list("make sarin, mix it"))
    assert screen.blocked.rule == "S9.after"
    assert [finding.rule for finding in screen.findings] == ["S9.before", "S9.after"]


def test_what_rules_find_is_the_same_in_shadow_and_their_digest_says_so():
    assert rules(frozenset(IDS)).digest == rules(frozenset()).digest
    assert rules(frozenset(), frozenset({"S9.before"})).digest != rules(frozenset()).digest
    assert [rule.shadowed for rule in rules(frozenset({"S9.after"})).rules] == [id_ == "S9.after" for id_ in IDS]


@pytest.mark.parametrize("shadowed", [True, False])
def test_a_rule_in_shadow_has_no_category_to_block_under(shadowed):
    (rule,) = RuleSet(RULES[:1], frozenset({"S9.before"} if shadowed else ())).rules
    assert rule.category == "S9"
    assert (rule.blocks in BITS) is not shadowed
