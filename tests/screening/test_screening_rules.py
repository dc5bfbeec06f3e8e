from datetime import date

import pytest

from guard.screening.normalize import fold
from guard.screening.rules import Context, Exemption, Literal, Rule, Where


def literals(*written):
    return tuple(Literal.parse(word) for word in written)


def fires(rule, text):
    folded = fold(text)
    for anchor in rule.anchors:
        at = folded.find(anchor.text)
        while at >= 0:
            if anchor.bounded(folded, at) and rule.holds(folded, at, at + len(anchor.text)):
                return True
            at = folded.find(anchor.text, at + 1)
    return False


@pytest.mark.parametrize(("written", "text", "expected"), [
    ("rat", "a rat!", True), ("rat", "generation", False), ("rat", "rats", False), ("rat*", "rats", True), ("rat*", "brats", False),
    ("*rat", "brat", True), ("*rat*", "generation", True), ("kill", "kill_all", False), ("Nerve-Agent", "the nerve agent", True),
    ("c++", "in c++17", True), ("1.", "1. mix", True),
])  # fmt: skip
def test_literals_match_whole_words_unless_a_star_says_otherwise(written, text, expected):
    folded = fold(text)
    assert Literal.parse(written).occurs(folded, 0, len(folded)) is expected


@pytest.mark.parametrize("written", ["", "*", " - ", "\u200b", "x" * 81])
def test_a_literal_holds_text_of_a_sane_length(written):
    with pytest.raises(ValueError, match=r"holds no text|longer than"):
        Literal.parse(written)


@pytest.mark.parametrize(
    ("where", "before", "after"), [(Where.BEFORE, True, False), (Where.AFTER, False, True), (Where.NEAR, True, True)]
)
def test_context_stands_on_its_side(where, before, after):
    rule = Rule("S9.x", "S9", literals("sarin"), requires=(Context(literals("make"), 20, where),))
    assert fires(rule, "make the sarin") is before
    assert fires(rule, "sarin to make") is after


def test_context_stands_within_its_distance():
    rule = Rule("S9.x", "S9", literals("sarin"), requires=(Context(literals("make"), 10, Where.AFTER),))
    assert fires(rule, "sarin 45678 make"[:15].replace("8", "")) is False
    assert fires(rule, "sarin 234 make")
    assert fires(rule, "sarin 2345 make")
    assert not fires(rule, "sarin 23456 make")


def test_every_group_is_required_and_any_forbidden_one_cancels():
    rule = Rule(
        "S9.x",
        "S9",
        literals("sarin"),
        (Context(literals("make")), Context(literals("how to"))),
        (Context(literals("treaty")),),
    )
    assert fires(rule, "how to make sarin")
    assert not fires(rule, "make sarin")
    assert not fires(rule, "how to make sarin, says the treaty")


def test_an_exempt_phrase_is_no_match_and_its_words_elsewhere_are():
    exemption = Exemption(Literal.parse("nerve agent antidote"), "safety@example.org", date(2030, 1, 1))
    rule = Rule("S9.x", "S9", literals("nerve agent"), (Context(literals("make")),), exceptions=(exemption,))
    assert not fires(rule, "make a nerve agent antidote")
    assert fires(rule, "make a nerve agent antidotes")
    assert fires(rule, "make a nerve agent, no antidote")


@pytest.mark.parametrize(("fields", "message"), [
    ({"anchors": literals("bomb")}, "fewer than three words"),
    ({"anchors": literals("pipe bomb")}, "fewer than three words"),
    ({"anchors": literals("make a bomb", "pipe bomb")}, "fewer than three words"),
    ({"anchors": literals("bomb . !")}, "fewer than three words"),
    ({"anchors": ()}, "no anchors"), ({"anchors": literals("make a bomb", ":(){")}, "without a word"),
    ({"category": "S15"}, "unknown category 'S15'"),
    ({"score": 0.0}, "score"), ({"score": 1.5}, "score"),
    ({"requires": (Context((), 10),)}, "a context needs"),
    ({"requires": (Context(literals("x"), 0),)}, "a context needs"),
    ({"forbids": (Context(literals("x"), 401),)}, "a context needs"),
])  # fmt: skip
def test_a_rule_that_could_fire_on_one_word_or_is_broken_cannot_be_made(fields, message):
    with pytest.raises(ValueError, match=message):
        Rule(**{"id": "S9.x", "category": "S9", "anchors": literals("make a bomb"), **fields})
