import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.automaton import Automaton, Finder, Sieve, mask
from guard.screening.normalize import fold
from guard.screening.rules import Context, Literal, Rule

ANCHORS = ["she", "he", "hers", "her s", "he s", "s*", "*ers", "c++", "1. he", "é"]
LITERALS = [Literal.parse(written) for written in ANCHORS]
TEXTS = (
    st.lists(
        st.sampled_from(["s", "h", "e", "r", " ", " ", "c", "+", "1", ".", "é", "日", "he", "hers", "she s"]),
        max_size=30,
    )
    .map("".join)
    .map(fold)
)


def places(literals, text):
    return {
        (number, at, at + len(literal.text))
        for number, literal in enumerate(literals)
        for at in range(len(text))
        if text.startswith(literal.text, at) and literal.bounded(text, at)
    }


def automaton(written=ANCHORS, category="S1"):
    context = (Context((Literal.parse("x"),)),)
    return Automaton(
        [Rule(f"{category}.{index}", category, (Literal.parse(word),), context) for index, word in enumerate(written)]
    )


@settings(max_examples=80)
@given(TEXTS)
def test_the_finder_misses_nothing(text):
    hits = Finder(LITERALS).find(text)
    confirmed = {
        tuple(hit)
        for hit in hits
        if text.startswith(LITERALS[hit.literal].text, hit.start) and LITERALS[hit.literal].bounded(text, hit.start)
    }
    assert confirmed == places(LITERALS, text)
    assert [hit.end for hit in hits] == sorted(hit.end for hit in hits)


@settings(max_examples=80)
@given(TEXTS)
def test_the_walk_finds_what_the_definition_says(text):
    node, found = automaton().start, set()
    for end, character in enumerate(text, 1):
        node = node[character]
        for literal, rule in node.ends:
            start = end - len(literal.text)
            if literal.bounded(text, start):
                found.add((int(rule.id.split(".")[1]), start, end))
    assert found == places(LITERALS, text)


@settings(max_examples=80)
@given(TEXTS)
def test_the_state_is_the_earliest_start_that_may_still_become_an_anchor(text):
    node = automaton().start
    for end, character in enumerate(text, 1):
        node = node[character]
        live = [
            start
            for start in range(end)
            for literal in LITERALS
            if literal.text.startswith(text[start:end]) and (not literal.left or not start or not (text[start - 1].isalnum() or text[start - 1] == "_"))
            and (end - start < len(literal.text) or literal.right)
        ]  # fmt: skip
        state = node
        while state.depth and not state.live:
            state = state.fail
        assert end - state.depth == min(live, default=end)


@settings(max_examples=80)
@given(TEXTS, st.integers(0, 30))
def test_settling_reaches_the_state_of_the_whole_walk(text, known):
    machine = automaton()
    node = machine.start
    for character in text:
        node = node[character]
    tail = text[-max(machine.longest + 1, known) :]
    assert machine.settle(tail) is node


def test_a_state_is_live_for_the_categories_of_what_it_may_become():
    one, two = Literal.parse("pipe bomb"), Literal.parse("pipe dream")
    context = (Context((Literal.parse("x"),)),)
    machine = Automaton([Rule("S9.a", "S9", (one,), context), Rule("HR.a", "HR", (two,), context)])
    assert machine.settle("a pipe ").live == mask(frozenset({"S9", "HR"}))
    assert machine.settle("a pipe b").live == mask(frozenset({"S9"}))
    assert machine.settle("a pipe bomb").live == mask(frozenset({"S9"}))
    assert machine.settle("a pipe bomb.").depth == 0
    assert machine.settle("bagpipe ").depth == 0


def test_clients_cannot_grow_the_machine_with_characters_of_their_choice():
    machine = automaton()
    node = machine.start
    for point in range(0x3400, 0x4400):
        node = node[chr(point)]
    assert len(machine.start) < 200


def test_a_sieve_tells_which_expressions_occur():
    sieve = Sieve((rb"[a-z]{8,}", rb"\d", rb"zz"))
    assert sieve.sift(b"something 1 2 longlonglong") == [0, 1]
    assert Sieve(()).sift(b"anything") == []


@pytest.mark.parametrize("text", ["", " ", "日本"])
def test_no_literals_match_nothing(text):
    assert Finder([]).find(text) == []
    assert Automaton([]).settle(text).depth == 0
