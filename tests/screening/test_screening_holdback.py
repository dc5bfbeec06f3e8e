# ruff: noqa: RUF001 - characters that look alike are what is tested
"""The promises of a stream: the text decides, not its pieces; nothing of a blocked span is out; the work is linear."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.normalize import fold
from guard.screening.rules import Context, Exemption, Literal, Rule, Where
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Segment, Source

BOTH = frozenset(Direction)


def literals(*written):
    return tuple(Literal.parse(word) for word in written)


RULES = RuleSet([
    Rule("S9.before", "S9", literals("sarin", "nerve agent", "nerve agents"), (Context(literals("make", "brew*"), 12, Where.BEFORE),), directions=BOTH),
    Rule("S9.after", "S9", literals("sarin", "pipe bomb"), (Context(literals("mix it", "step 1:", "heat*"), 14, Where.AFTER),), directions=BOTH),
    Rule("S9.guarded", "S9", literals("ricin", "agent"), (Context(literals("make", "mix it"), 16),), (Context(literals("treaty", "not"), 12),), directions=BOTH),
    Rule("S1.exempt", "S1", literals("kill them"), (Context(literals("step 1:", "now"), 20),), exceptions=(
        Exemption(literals("do kill them all")[0], "o", date(2040, 1, 1)), Exemption(literals("kill them with")[0], "o", date(2040, 1, 1))), directions=BOTH),
    Rule("S1.phrase", "S1", literals("make a pipe bomb", "bomb a school"), directions=BOTH),
    Rule("S2.free", "S2", literals("meth*", "*caine"), (Context(literals("cook*"), 15),), directions=BOTH),
    Rule("HR.flagged", "HR", literals("you pathetic"), (Context(literals("loser"), 10, Where.AFTER),), directions=BOTH),
])  # fmt: skip
BLOCKING = frozenset({"S9", "S1", "S2"})
WORDS = ["sarin", "nerve agent", "agents", "nerve", "agent", "pipe bomb", "ricin", "kill them", "do kill them", "all", "with", "now", "make", "brewing",
         "mix it", "mix", "step 1:", "step", "heated", "treaty", "not", "make a", "a school", "bomb", "method", "cocaine", "cook", "you pathetic", "loser",
         "sar", "SARIN", "s\u200barin", "ｓａｒｉｎ", "nerve\u00a0 agent", "**ricin**", "kíll thém", "the", "x", "é", "ﬁ", "7", "日本"]  # fmt: skip
GAPS = ["", " ", " ", " ", "  ", "\n\n", ", ", "-", "\u200b", "_", "."]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=14).map(
    lambda parts: "".join(word + gap for word, gap in parts)
)
CUTS = st.lists(st.integers(0, 200), max_size=12)


def pieces(text, cuts):
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[low:high] for low, high in pairwise(at)]


def screened(parts, blocking=BLOCKING, rules=RULES):
    """The screen after ``parts`` and, for every prefix that was fed, what was cleared."""
    screen, track = rules.open(Source.OUTPUT, blocking), []
    for part in parts:
        screen.feed(part)
        track.append((screen.seen, screen.cleared))
    screen.finish()
    return screen, track


def outcome(screen):
    return screen.blocked, screen.findings, screen.cleared, screen.seen


def matches(text):
    """Every match by the plain definition of a rule on the complete text: (rule, folded start)."""
    folded = fold(text)
    return {
        (rule.id, at)
        for rule in RULES.rules
        for anchor in rule.anchors
        for at in range(len(folded))
        if folded.startswith(anchor.text, at)
        and anchor.bounded(folded, at)
        and rule.holds(folded, at, at + len(anchor.text))
    }


@settings(max_examples=100)
@given(TEXTS, CUTS)
def test_however_a_text_is_split_the_outcome_is_the_same(text, cuts):
    by_character, track = screened(list(text))
    assert outcome(screened([text])[0]) == outcome(by_character)
    split, other = screened(pieces(text, cuts))
    assert outcome(split) == outcome(by_character)
    cleared = dict(track)
    assert all(cleared.get(seen, 0) == released for seen, released in other if seen)


@settings(max_examples=80)
@given(TEXTS)
def test_what_was_released_never_holds_any_of_a_blocked_span(text):
    screen, track = screened(list(text))
    released = [cleared for _, cleared in track]
    assert released == sorted(released)
    assert all(cleared <= seen for seen, cleared in track)
    if screen.blocked is None:
        assert screen.cleared == len(text)
    else:
        assert screen.cleared <= screen.blocked.start < screen.blocked.end <= len(text)
        assert max(released, default=0) <= screen.cleared


@settings(max_examples=80)
@given(TEXTS)
def test_a_stream_blocks_exactly_the_texts_the_rules_describe(text):
    screen, _ = screened(list(text))
    expected = {rule for rule, _ in matches(text) if not rule.startswith("HR")}
    assert (screen.blocked is not None) == bool(expected)
    if screen.blocked:
        assert screen.blocked.rule in expected


@settings(max_examples=80)
@given(TEXTS)
def test_without_blocking_rules_nothing_is_held_and_everything_is_found(text):
    screen, track = screened(list(text), frozenset())
    assert all(cleared == seen for seen, cleared in track)
    assert screen.blocked is None
    assert {finding.rule for finding in screen.findings} == {rule for rule, _ in matches(text)}


@settings(max_examples=50)
@given(TEXTS)
def test_a_prompt_is_judged_by_the_same_rules(text):
    found = {finding.rule for finding in RULES.scan([Segment(Source.USER, text)]) if finding.transform is None}
    assert found == {rule for rule, _ in matches(text)}


def test_first_decision_wins_and_the_hold_is_that_of_its_moment():
    screen, _ = screened(list("sarin, then make ricin. mix it"))
    assert (screen.blocked.rule, screen.blocked.start) == ("S9.guarded", 17)
    screen, _ = screened(list("pipe bomb: make sarin now"))
    assert (screen.blocked.rule, screen.blocked.start) == ("S9.before", 16)
    assert screen.cleared == 0  # the pipe bomb's own context was still open when the sarin was decided


def test_a_word_counts_only_when_it_is_seen_to_end():
    rules = RuleSet(
        [
            Rule(
                "S9.two",
                "S9",
                literals("ricin"),
                (Context(literals("heat"), 20, Where.AFTER),),
                (Context(literals("not"), 7, Where.AFTER),),
                directions=BOTH,
            )
        ]
    )
    for text, blocked in [
        ("ricin 12 heated, yes", False),
        ("ricin 12 heat, yes", True),
        ("ricin not heat", False),
        ("ricin 123456 heat", True),
    ]:
        for parts in ([text], list(text), [text[:12], text[12:]], [text[:13], text[13:]]):
            assert (screened(parts, rules=rules)[0].blocked is not None) is blocked, (text, parts)


def test_a_match_is_decided_as_soon_as_nothing_can_change_it():
    for text, decided in [
        ("sarin: mix it, now", 14),
        ("make sarin, now", 11),
        ("cook methods", 9),
        ("you should kill them now, please", 25),
        ("ricin: treaty. make", None),
    ]:
        screen, found = RULES.open(Source.OUTPUT, BLOCKING), None
        for count, character in enumerate(text, 1):
            screen.feed(character)
            if screen.blocked and found is None:
                found = count
        assert (text, found) == (text, decided)


def test_an_open_match_outlasts_a_long_plain_feed():
    rules = RuleSet(
        [Rule("S9.far", "S9", literals("ricin"), (Context(literals("heat"), 300, Where.AFTER),), directions=BOTH)]
    )
    plain = "and then some words about the weather " * 6
    screen, _ = screened(["ricin ", plain, plain[:38] + "heat " + plain], rules=rules)
    assert screen.blocked.start == 0


def test_one_letter_holds_only_what_it_may_become():
    screen = RULES.open(Source.OUTPUT, BLOCKING)
    for text, cleared in [
        ("The s", 4),
        ("ar", 4),
        ("i ", 9),
        ("nerve ag", 9),
        ("e ", 19),
        ("sarin", 19),
        ("s ", 26),
        ("sarin ", 26),
        ("is old histor", 26),
        ("y", 46),
    ]:
        screen.feed(text)
        assert (text, screen.cleared) == (text, cleared)


def test_ordinary_text_is_never_held_longer_than_the_longest_anchor():
    text = (
        "The habit of heating a pipe is old; some make a pipe by hand, kill the mood, and never agree on names. " * 20
    )
    longest = max(len(anchor.text) for rule in RULES.rules for anchor in rule.anchors)
    screen, track = screened(list(text))
    assert screen.blocked is None
    assert max(seen - cleared for seen, cleared in track) <= longest


def test_after_a_block_nothing_moves():
    screen = RULES.open(Source.OUTPUT, BLOCKING)
    screen.feed("make sarin now")
    state = screen.blocked, screen.cleared, list(screen.findings)
    screen.feed(" and make a pipe bomb today")
    screen.finish()
    assert (screen.blocked, screen.cleared, screen.findings) == state
    assert screen.seen == 41


def test_the_end_of_the_text_is_a_boundary_and_closes_every_window():
    for text, rule in [("make sarin", "S9.before"), ("make ricin", "S9.guarded"), ("now kill them", "S1.exempt")]:
        screen = RULES.open(Source.OUTPUT, BLOCKING)
        screen.feed(text)
        assert screen.blocked is None
        assert screen.cleared < len(text)
        screen.finish()
        assert screen.blocked.rule == rule
        assert text[: screen.cleared] + text[screen.blocked.start :] == text


def test_a_finding_points_at_the_original_characters():
    text = "so  make\u200b some **S\u200bÁRIN**, please"
    screen, _ = screened([text])
    assert text[screen.blocked.start : screen.blocked.end] == "S\u200bÁRIN"


def test_a_rule_reports_once_per_channel():
    screen, _ = screened(["cook meth. " * 50], frozenset())
    assert [finding.rule for finding in screen.findings] == ["S2.free"]


@pytest.mark.parametrize("unit", [
    "plain words that say nothing at all. ", "sarin ", "kill them ", "pipe bomb ricin ", "nerve nerve nerve ", "do kill them ", "ricin_", "aaaaaaaaaaaaaaaa",
])  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_work_is_linear_in_the_output(unit, size):
    def work(length):
        text = (unit * length)[:length]
        screen, _ = screened([text[at : at + size] for at in range(0, length, size)], frozenset())
        return screen.scanned

    small, large = work(2_000), work(8_000)
    assert large <= 4 * small + 2_000
    assert large <= 200 * 8_000
    if unit.startswith("plain"):
        assert large <= 1.5 * 8_000


def test_memory_is_bounded():
    screen = RULES.open(Source.OUTPUT, BLOCKING)
    for _ in range(2_000):
        screen.feed("some words,  then\n\nmore: sarins and so on. ")
    assert len(screen._tail.text) < 2_000
    assert len(screen._tail._offsets._starts) + len(screen._tail._offsets._pending) < 2_000


def test_long_feeds_are_skipped_only_where_nothing_is():
    filler = "a perfectly ordinary sentence about gardens and trains; " * 40
    for at in (0, 500, 511, 512, 513, 1024, 2000):
        text = filler[:at] + " make sarin " + filler
        assert screened([text])[0].blocked == screened(list(text))[0].blocked is not None
