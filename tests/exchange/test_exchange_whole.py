"""A whole answer is screened in one go, and the road of streams gives the same."""

import pytest
from exchange_world import WordRules, WordScreen, World
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange.screen_output import KeptOutputScreen, OutputScreen
from guard.exchange.snapshot import LearnedPolicy, Mode
from guard.screening.findings import Action
from guard.screening.learned.learned import default
from guard.screening.patterns import Pattern
from guard.screening.rules import Literal, Rule
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction

BOTH = frozenset(Direction)
EMAIL = Pattern.parse(r"\b[a-z]{1,20}@[a-z]{1,20}\.[a-z]{2,6}\b")
RULES = RuleSet([
    Rule("S7.email", "S7", patterns=(EMAIL,), directions=BOTH, action=Action.MASK, mask="[email]", acts=True),
    Rule("S9.plan", "S9", (Literal.parse("make a pipe bomb"),), directions=BOTH),
])  # fmt: skip
PIECES = ["make a ", "pipe ", "bomb", "p\u0456pe bomb", "bob@example.org", " ", "\n", "tea", '{"q":"', '"}', "\\u0062"]
CHANNELS = [(0, "content"), (0, "reasoning"), (1, "tool.0.arguments"), (1, "content")]
TEXTS = st.lists(
    st.tuples(st.sampled_from(CHANNELS), st.lists(st.sampled_from(PIECES), max_size=6).map("".join)),
    max_size=4,
    unique_by=lambda text: text[0],
)


def told(texts, whole, kept=False, **changes):
    """Everything that a caller of the screen, and whoever reads the exchange afterwards, can tell."""
    world = World(**changes)
    exchange = world.exchange()
    exchange.model = exchange.snapshot.default_model
    screen = KeptOutputScreen(exchange) if kept else OutputScreen(exchange)
    for channel, text in texts:
        if whole:
            screen.whole(channel, text)
        else:
            screen.feed(channel, text)
            screen.finish(channel)
    screen.close()
    each = [
        (screen.cleared(channel), screen.released(channel, text[: screen.cleared(channel)], 0))
        for channel, text in texts
    ]
    noted = (exchange.findings, exchange.unruled, exchange.shadowed, exchange.not_evaluated, exchange.answer)
    return each, screen.masked, [screen.blocked(choice) for choice in (0, 1)], exchange.refused, noted, world.failures


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sampled_from(list(Mode)), st.booleans())
def test_in_one_go_or_piece_by_piece_nobody_can_tell(texts, mode, kept):
    changes = {"rules": RULES, "mode": mode, "kept": kept}
    assert told(texts, whole=True, **changes) == told(texts, whole=False, **changes)


@settings(max_examples=25, deadline=None)
@given(TEXTS, st.sampled_from([Action.BLOCK, Action.FLAG]))
def test_the_learned_tier_reads_the_same_too(texts, most):
    changes = {"rules": RULES, "learned": LearnedPolicy(default(), Action.OFF, most)}
    assert told(texts, whole=True, **changes) == told(texts, whole=False, **changes)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_screen_that_breaks_is_told_and_cuts_as_it_does_in_a_stream(mode):
    texts = [((0, "content"), "FORBIDDEN tea"), ((1, "content"), "tea")]
    changes = {"rules": WordRules(broken=True), "mode": mode}
    whole = told(texts, whole=True, **changes)
    assert whole == told(texts, whole=False, **changes)
    assert whole[-1]
    assert "error" in whole[-2][3]


def test_the_rest_of_a_text_that_has_begun_is_its_continuation():
    exchange = World(rules=RULES).exchange()
    exchange.model = exchange.snapshot.default_model
    screen = OutputScreen(exchange)
    screen.feed((0, "content"), "make a pi")
    screen.whole((0, "content"), "pe bomb")
    assert screen.cleared((0, "content")) == 0
    assert screen.blocked(0).category == "S9"


def test_a_screen_that_breaks_over_the_whole_only_is_asked_again_from_the_beginning(monkeypatch):
    def broken(self, text):
        self.feed(text)
        raise RuntimeError

    monkeypatch.setattr(WordScreen, "whole", broken, raising=False)
    each, _, blocked, refused, noted, failures = told([((0, "content"), "some FORBIDDEN tea")], whole=True)
    assert each == [(5, "some ")]
    assert blocked[0] == refused
    assert len(noted[0]) == 1
    assert failures == []
