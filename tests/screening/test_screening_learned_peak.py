"""The short road of tier 2: a text that stays below every threshold is summed by two heads, any other is walked."""

import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learned_world import BIAS, HARMLESS, ZAP, Counting, rough, weights, zapping

from guard.screening.learned.learned import Learned
from guard.screening.learned.peak import peak
from guard.screening.learned.reading import BLOCK, Scale
from guard.screening.learned.scorer import scorer
from guard.screening.learned.twin import BITS, HEADS, Twin
from guard.screening.learned.walk import Walk
from guard.screening.segments import Segment, Source

kernel = pytest.importorskip("guard.screening.learned._kernel", reason="installed where there was no compiler")

MADE = weights(scale=0.02, table=random.Random(7).randbytes(HEADS << BITS))
SCALE = Scale(MADE)
COMPILED = kernel.Kernel(MADE.table)
KNOWN = [
    "kill",
    "Process",
    "1",
    "12",
    "123",
    "?",
    "漢",
    "かな",
    "straße",
    "naïve",
    "x" * 23,
    "x" * 24,
    "x" * 25,
    "x" * 40,
]
KNOWN += [
    "é" * 12,
    "é" * 13,
    "é" * 25,
    "snake_case",
    "1st",
    "a1b22c333",
    "٣٤",
    "한국어",
    "\U0001f600",
    "\ud800",
    "\0",
    "don't",
]
GAPS = [" ", " ", " ", "", "\n", "-", "_", ".", "?", "  ", "7"]
texts = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(max_codepoint=127), max_size=60),
    st.lists(st.tuples(st.sampled_from([*KNOWN, *HARMLESS]), st.sampled_from(GAPS)), max_size=150).map(
        lambda parts: "".join(word + gap for word, gap in parts)
    ),
)
FLAGS = [weights(ZAP, flag=flag, block=max(flag, 6.0)) for flag in (-100.0, BIAS + 20.0, 5.0)]
"""Under which everything, much, and nothing but the worst is found."""
PAIRS = [(Learned(each), Learned(each, Counting(scorer(each.table)))) for each in FLAGS]
ROUGH = Learned(rough())


def walked(text, step, inner=COMPILED):
    walk = Walk(inner, SCALE, step)
    walk.read(text, 0)
    walk.finish()
    return walk.highest, walk.highest_d1


@settings(max_examples=200, deadline=None)
@given(texts, st.sampled_from([1, 8, BLOCK]))
def test_it_is_as_high_as_a_walk_comes_to_the_last_bit(text, step):
    assert peak(COMPILED, SCALE, step)(text) == walked(text, step)


@settings(max_examples=20, deadline=None)
@given(texts)
def test_it_is_as_high_as_the_twin_says(text):
    assert peak(COMPILED, SCALE)(text) == walked(text, BLOCK, Twin(MADE.table))


def test_a_word_is_the_same_wherever_the_text_ends():
    for length in range(1, 60):
        text = ("abcdefghijklmnopqrstuvwxyz" * 3)[:length]
        for said in (text, f"so {text}", f"{text} so", f"{text}_{text}", f"{text}7"):
            assert peak(COMPILED, SCALE)(said) == walked(said, BLOCK), said


def test_words_that_share_a_place_are_told_apart():
    chance = random.Random(3)
    lots = ["".join(chance.choices("abcdefgh", k=chance.randint(1, 24))) for _ in range(20_000)]
    for _ in range(2):
        for at in range(0, len(lots), 500):
            said = " ".join(lots[at : at + 500])
            assert peak(COMPILED, SCALE, 8)(said) == walked(said, 8)


def test_without_a_compiler_there_is_none():
    assert peak(Twin(MADE.table), SCALE) is None
    assert peak(Counting(scorer(MADE.table)), SCALE) is None


def test_it_keeps_to_what_it_is_given():
    units = SCALE.units
    for step in (0, -8, 5, 64):
        with pytest.raises(ValueError, match="a step divides a block"):
            COMPILED.peak("text", step, units)
    with pytest.raises(ValueError, match="two rows of units"):
        COMPILED.peak("text", 8, array("d", units[:-1]))
    with pytest.raises(TypeError):
        COMPILED.peak(b"text", 8, units)
    with pytest.raises(TypeError):
        COMPILED.peak("text", "8", units)
    with pytest.raises(TypeError):
        COMPILED.peak("text", 8)


ODD = [
    "zap",
    "zip",
    "zoo",
    "`zap`",
    "```\nzap\n```",
    "~~~",
    "z a p",
    "%7a%61%70",
    "&#122;ap",
    "\n\n",
    "emFwIHphcCB6YXAgemFwIHphcA==",
]
prompts = st.lists(st.tuples(st.sampled_from([*ODD, *HARMLESS, *HARMLESS]), st.sampled_from(GAPS)), max_size=80).map(
    lambda parts: "".join(word + gap for word, gap in parts)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Source), prompts), max_size=3), st.sampled_from(PAIRS))
def test_what_is_found_in_a_prompt_is_what_an_assessment_finds(parts, pair):
    short, long = pair
    segments = [Segment(source, text) for source, text in parts]
    assert short.scan(segments) == long.scan(segments)


@pytest.mark.parametrize("blocks", [True, False])
@settings(max_examples=100, deadline=None)
@given(text=st.one_of(prompts, texts), rare=st.booleans())
def test_a_whole_text_is_scored_as_one_that_is_fed(blocks, text, rare):
    model = zapping() if rare else ROUGH
    one, other = (model.open(Source.OUTPUT, blocks=blocks) for _ in range(2))
    one.whole(text)
    other.feed(text)
    other.finish()
    for name in ("findings", "blocked", "scored", "seen"):
        assert getattr(one, name) == getattr(other, name)


def test_what_is_calm_is_read_once_and_not_walked(monkeypatch):
    model = zapping()
    monkeypatch.setattr(Walk, "read", None)
    assert model.scan([Segment(Source.USER, "read the `old` books")]).findings == []
    score = model.open(Source.OUTPUT, blocks=True)
    score.whole("read the old books")
    assert (score.findings, score.scored) == ([], 18)
