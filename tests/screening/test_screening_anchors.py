"""The compiled search for anchors and its twin fire alike, whatever the text, and as the definition of a rule says."""

import sys
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening import anchors_twin
from guard.screening.anchors import BITS, anchors
from guard.screening.findings import Action
from guard.screening.normalize import fold
from guard.screening.rules import Context, Exemption, Literal, Rule, Where, one_by_one
from guard.screening.segments import Source

compiled = pytest.importorskip("guard.screening._kernel", reason="installed where there was no compiler")

EVERY = sum(BITS.values())
MANY = 10**6


def literals(*written):
    return tuple(Literal.parse(word) for word in written)


def exempt(*written):
    return tuple(Exemption(phrase, "o", date(2040, 1, 1)) for phrase in literals(*written))


RULES = [
    Rule("S9.before", "S9", literals("sarin", "nerve agent", "nerve agents"), (Context(literals("make", "brew*"), 12, Where.BEFORE),)),
    Rule("S9.after", "S9", literals("sarin", "*bomb"), (Context(literals("mix it", "step 1:", "heat*"), 14, Where.AFTER),)),
    Rule("S9.guarded", "S9", literals("ricin", "agent"), (Context(literals("make", "mix it"), 16), Context(literals("now", "*it"), 30)), (Context(literals("treaty", "not"), 12),)),
    Rule("S1.exempt", "S1", literals("kill them"), (Context(literals("step 1:", "now"), 20),), exceptions=exempt("do kill them all", "kill them with")),
    Rule("S1.phrase", "S1", literals("make a pipe bomb", "pipe bomb now it"), sources=frozenset({Source.USER})),
    Rule("S2.signs", "S2", literals("'s now", "c++", "c-.", "*it!"), (Context(literals("make", "'s"), 15),)),
    Rule("S2.letters", "S2", literals("\u65e5\u672c", "\u65e5", "n\u00f8*", "\u0436\u0443"), (Context(literals("\u672c", "\u0436*", "x"), 15),)),
    Rule("S7.mask", "S7", literals("bomb", "agent*"), (Context(literals("make", "nerve", "pipe"), 20),), action=Action.MASK),
]  # fmt: skip
PAIRS = [(literal, rule) for rule in RULES for literal in rule.anchors]
WORDS = ["sarin", "nerve agent", "agents", "nerve", "agent", "pipe bomb", "ricin", "kill them", "do kill them", "all", "with", "now", "make", "brewing", "mix it", "mix", "it",
         "step 1:", "heated", "treaty", "not", "make a", "bomb", "'s", "'s now", "c++", "c--", "it!", "sar", "SARIN", "\u65e5\u672c", "\u65e5", "\u672c", "n\u00f8n", "\u0436\u0443", "x", "\U00020000", "7", "_"]  # fmt: skip
GAPS = ["", " ", " ", " ", ", ", "-", "\u200b", "_", ".", "!"]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=16).map(
    lambda parts: fold("".join(word + gap for word, gap in parts))
)


def defined(text, sources):
    """The rules that fire by the plain definition, and every place where one does whose matches all count."""
    places = {
        (number, at, at + len(literal.text))
        for number, (literal, rule) in enumerate(PAIRS)
        for at in range(len(text))
        if any(BITS[source] & sources for source in rule.sources)
        and text.startswith(literal.text, at)
        and literal.bounded(text, at)
        and rule.holds(text, at, at + len(literal.text))
    }
    masks = {place for place in places if PAIRS[place[0]][1].action is Action.MASK}
    return {PAIRS[number][1].id for number, _, _ in places}, masks


@settings(max_examples=300)
@given(TEXTS, st.sampled_from([EVERY, BITS[Source.USER], BITS[Source.OUTPUT], 0]), st.sampled_from([MANY, 3]))
def test_both_fire_alike_and_as_the_definition_says(text, sources, most):
    one, two = anchors(PAIRS), anchors_twin.Anchors(PAIRS)
    assert isinstance(one, compiled.Anchors)
    count, fired = one.fire(text, sources, most)
    if count > most:
        assert fired == []
        assert two.fire(text, sources, most)[0] > most
        return
    assert two.fire(text, sources, most) == (count, fired)
    rules, masks = defined(text, sources)
    assert {PAIRS[number][1].id for number, _, _ in fired} == rules
    assert {place for place in fired if PAIRS[place[0]][1].action is Action.MASK} == masks


@settings(max_examples=100)
@given(TEXTS)
def test_one_object_reads_many_texts_and_keeps_nothing_of_them(text):
    one = anchors(PAIRS)
    known = one.fire(text, EVERY, MANY)
    one.fire("make sarin now, a pipe bomb now it " * 50, EVERY, MANY)
    assert one.fire(text, EVERY, MANY) == known


def test_a_long_text_is_searched_to_its_end():
    text = "a pipe bomb in the river " * 5_000 + "kill them now"
    one, two = anchors(PAIRS), anchors_twin.Anchors(PAIRS)
    assert one.fire(text, EVERY, MANY) == two.fire(text, EVERY, MANY)
    assert [PAIRS[number][1].id for number, _, _ in one.fire(text, EVERY, MANY)[1]][-1] == "S1.exempt"


@settings(max_examples=100)
@given(TEXTS, st.integers(0, 60), st.integers(0, 60))
def test_words_are_found_within_their_bounds_and_judged_in_the_whole_text(text, low, length):
    wanted = literals("make", "*it", "it*", "'s", "mix it", "c++", "\u65e5", "n\u00f8*", "step 1:", "*agent*")
    together = compiled.Anchors([*wanted], [], [], [])
    high = low + length
    assert together.occur(text, low, high) == one_by_one(wanted)(text, low, high)


def test_nothing_to_look_for_is_found_nowhere():
    assert anchors([]).fire("anything", EVERY, MANY) == (0, [])
    assert anchors_twin.Anchors([]).fire("anything", EVERY, MANY) == (0, [])
    assert not compiled.Anchors([], [], [], []).occur("anything", 0, 8)


def test_what_makes_no_sense_is_refused():
    rule = (1, False, [], [])
    for tables in (
        ([("", True, True)], [], [], []),
        ([("a", True, True)], [(1, 0)], [], [rule]),
        ([("a", True, True)], [(0, 1)], [], [rule]),
        ([("a", True, True)], [], [[-1]], []),
        ([("a", True, True)], [(0, 0)], [[0]], [(1, False, [(1, 5, 0, True)], [])]),
        ([("a", True, True)], [(0, 0)], [], [(1, False, [], [7])]),
    ):
        with pytest.raises(ValueError, match=r"that is none|without a character"):
            compiled.Anchors(*tables)
    with pytest.raises(TypeError):
        compiled.Anchors([b"a"], [], [], [])
    one = anchors(PAIRS)
    with pytest.raises(TypeError):
        one.fire(b"text", EVERY, MANY)
    with pytest.raises(TypeError):
        one.occur("text", 0)
    with pytest.raises(TypeError, match="once"):
        one.__init__([], [], [], [])
    with pytest.raises(TypeError):
        compiled.Anchors.__new__(compiled.Anchors).fire("text", EVERY, MANY)


def test_without_a_compiler_the_twin_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "guard.screening._kernel", None)
    assert isinstance(anchors(PAIRS), anchors_twin.Anchors)
