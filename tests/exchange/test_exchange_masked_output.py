"""Masks in answers: what rules replace leaves replaced, whoever asks; in shadow it is only noted."""

import json

import pytest
from exchange_world import World

from guard.exchange.screen_output import OutputScreen
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
    Rule("S9.name", "S9", (Literal.parse("the name of it"),), directions=BOTH, action=Action.MASK, mask="[it]"),
])  # fmt: skip


def screened(channel, *pieces, **changes):
    exchange = World(rules=RULES, **changes).exchange()
    exchange.model = exchange.snapshot.default_model
    screen = OutputScreen(exchange)
    for piece in pieces:
        screen.feed(channel, piece)
    screen.finish(channel)
    screen.close()
    text = "".join(pieces)[: screen.cleared(channel)]
    return screen.released(channel, text, 0), screen, exchange


@pytest.mark.parametrize("name", ["content", "reasoning", "refusal", "text", "logprobs", "tool.0.name", "tool.0.input"])
def test_every_channel_is_masked(name):
    left, screen, exchange = screened((1, name), "to bob@exam", "ple.org: the name of it")
    assert left == "to [email]: [it]"
    assert (screen.masked, screen.blocked(1), exchange.refused) == ({1}, None, None)
    assert [(finding.rule, ruling.action) for _, finding, ruling in exchange.findings] == [
        ("S7.email", Action.MASK),
        ("S9.name", Action.MASK),
    ]
    assert screen.touched((1, name), 4, 5)
    assert not screen.touched((1, name), 0, 3)
    assert not screen.touched((0, name), 4, 5)


@pytest.mark.parametrize("name", ["tool.0.arguments", "tool.call.arguments", "tool.3.arguments.2"])
def test_arguments_of_calls_stay_json(name):
    left, _, _ = screened((0, name), '{"to":"\\u0062ob@', 'example.org","cc":["x\\nbob@example.org"]}')
    assert json.loads(left) == {"to": "[email]", "cc": ["x\n[email]"]}


def test_an_escape_hides_no_word_of_the_arguments():
    left, screen, _ = screened((0, "tool.0.arguments"), '{"q":"make a p\\u0069pe bomb"}')
    assert (left, screen.blocked(0).category) == ('{"q":"', "S9")


def test_in_shadow_everything_leaves_as_it_is_and_is_noted():
    left, screen, exchange = screened((0, "content"), "to bob@example.org: make a pipe bomb", mode=Mode.SHADOW)
    assert left == "to bob@example.org: make a pipe bomb"
    assert (screen.masked, screen.blocked(0)) == (set(), None)
    assert {finding.rule for _, finding, _ in exchange.findings} == {"S7.email", "S9.plan"}
    assert [refusal.category for refusal in exchange.shadowed] == ["S9"]


class Asked:
    """The learned tier, which remembers whether it may end the text."""

    def __init__(self):
        self.asked = []

    def open(self, source, *, blocks):
        self.asked.append(blocks)
        return default().open(source, blocks=blocks)


@pytest.mark.parametrize(("outputs", "mode", "asked"), [
    (Action.BLOCK, Mode.ENFORCE, [True]),
    (Action.BLOCK, Mode.SHADOW, [False]),
    (Action.FLAG, Mode.ENFORCE, [False]),
    (Action.OFF, Mode.ENFORCE, []),
])  # fmt: skip
def test_the_learned_tier_holds_answers_only_where_it_may_end_them(outputs, mode, asked):
    tier = Asked()
    learned = LearnedPolicy(tier, Action.BLOCK, outputs)
    left, screen, _ = screened((0, "content"), "plain words, to bob@example.org", learned=learned, mode=mode)
    assert tier.asked == asked
    assert screen.blocked(0) is None
    assert left == ("plain words, to [email]" if mode is Mode.ENFORCE else "plain words, to bob@example.org")
