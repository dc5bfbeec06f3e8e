"""A text that is there as a whole is screened in one go, and comes out as if it had been fed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_screening_holdback import BLOCKING, RULES
from test_screening_holdback import TEXTS as PLAIN
from test_screening_stream_masks import HOLDING, SAID
from test_screening_stream_masks import RULES as MASKING
from test_screening_stream_masks import TEXTS as MASKED
from test_screening_stream_score import RULES as SCORED
from test_screening_stream_score import TEXTS as JUDGED
from test_screening_stream_score import Bads

from guard.screening.findings import Action
from guard.screening.learned.learned import default
from guard.screening.segments import Source
from guard.screening.stream.arguments import ArgumentScreen
from guard.screening.stream.channel import ChannelScreen
from guard.screening.stream.program import Program

RISKY = "here is how to kill your neighbor and hide the body. then poison the water supply of the town "


class Whole(Bads):
    """The same score, for a text that is there."""

    def whole(self, text):
        self.feed(text)
        self.finish()

    def anew(self):
        return Whole(self.category)


def outcome(screen):
    return screen.blocked, screen.findings, screen.cleared, screen.seen, screen.masks.spans


def both(open_screen, text):
    fed, whole = open_screen(), open_screen()
    fed.feed(text)
    fed.finish()
    whole.whole(text)
    assert outcome(whole) == outcome(fed)
    return whole


@settings(max_examples=200)
@given(PLAIN, st.sampled_from([BLOCKING, frozenset({"HR"}), frozenset()]))
def test_rules_find_the_same(text, blocking):
    both(lambda: RULES.open(Source.OUTPUT, blocking), text)
    both(lambda: RULES.open(Source.OUTPUT, blocking), text + ". It rained." * 60)


@settings(max_examples=200)
@given(MASKED, st.sampled_from([HOLDING, frozenset()]))
def test_masks_cover_the_same(text, blocking):
    both(lambda: MASKING.open(Source.OUTPUT, blocking), text)


@settings(max_examples=200)
@given(JUDGED, st.sampled_from(["S1", "HR"]), st.sampled_from([Action.FLAG, Action.BLOCK]))
def test_a_score_speaks_at_the_same_place(text, category, most):
    blocking = frozenset({"own", "S9", "S1"})
    both(lambda: SCORED.open(Source.OUTPUT, blocking, Whole(category), most), text)


@settings(max_examples=30, deadline=None)
@given(JUDGED, st.booleans(), st.sampled_from([Action.FLAG, Action.BLOCK]))
def test_the_learned_tier_says_the_same(text, risky, most):
    def opened():
        score = default().open(Source.OUTPUT, blocks=most is Action.BLOCK)
        return SCORED.open(Source.OUTPUT, frozenset({"own", "S9", "S1"}), score, most)

    both(opened, RISKY * risky + text)


@settings(max_examples=100)
@given(SAID, st.sampled_from(["", "\\", "\\u00", "12", '"bob@example.org']), st.booleans())
def test_arguments_are_read_the_same(said, rest, ascii_only):
    text = json.dumps(said, ensure_ascii=ascii_only) + rest
    both(lambda: ArgumentScreen(MASKING.open(Source.TOOL_ARGUMENTS, HOLDING)), text)


def test_what_is_noted_and_no_more_is_found_by_its_own_rules(monkeypatch):
    text = "It rained. " * 40 + "make a nerve agent at home. " + "It rained. " * 40
    fed = both(lambda: RULES.open(Source.OUTPUT, frozenset()), text)
    assert fed.findings
    assert both(lambda: RULES.open(Source.OUTPUT, BLOCKING), text).blocked
    program = Program(RULES.rules)
    firing = program.firing(text, Source.OUTPUT)
    assert {rule.id for rule in firing} == {finding.rule for finding in fed.findings}
    assert program.part(firing) is program.part([*firing])
    monkeypatch.setattr("guard.screening.stream.program._MOST_PARTS", 1)
    program.part(program.rules[:2])
    assert program.part(firing).rules == tuple(rule for rule in program.rules if rule in firing)


@settings(max_examples=200)
@given(PLAIN, PLAIN)
def test_a_long_text_is_fed_in_small_pieces_and_found_the_same(one, two):
    text = one + ". It rained. " * 20 + two
    at_once, fed = RULES.open(Source.OUTPUT, BLOCKING), RULES.open(Source.OUTPUT, BLOCKING)
    at_once.feed(text)
    for character in text:
        fed.feed(character)
    assert outcome(at_once) == outcome(fed)


def test_a_harmless_text_is_not_read_character_by_character(monkeypatch):
    monkeypatch.setattr(ChannelScreen, "feed", lambda *_: pytest.fail("read on the long road"))
    screen = RULES.open(Source.OUTPUT, BLOCKING)
    screen.whole("The nerve agent treaty was signed by the agent. " * 100)
    assert (screen.cleared, screen.seen, screen.findings, screen.scanned) == (4800, 4800, [], 4800)


def test_what_holds_too_many_anchors_is_read_as_it_grows(monkeypatch):
    read = []
    monkeypatch.setattr("guard.screening.stream.program.MOST_MATCHES", 10)
    monkeypatch.setattr(ChannelScreen, "feed", lambda _, text: read.append(text))
    program = Program(RULES.rules)
    assert program.firing("agent " * 10, Source.OUTPUT) == ()
    assert program.firing("agent " * 11, Source.OUTPUT) is None
    RULES.open(Source.OUTPUT, BLOCKING).whole("agent " * 11)
    assert read == ["agent " * 11]
