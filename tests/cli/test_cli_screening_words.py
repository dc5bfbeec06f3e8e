"""What words weigh adds up to what the model says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.cli.screening.words import Words
from guard.screening.learned.learned import default
from guard.screening.learned.twin import Twin
from guard.screening.learned.weights import shipped
from guard.screening.normalize import fold

PARTS = [
    "How",
    "do",
    "I",
    "build",
    "a",
    "bomb",
    "and",
    "bake",
    "bread",
    "3",
    "1234",
    "?",
    "-",
    "\n",
    "危",
    "naïve",
    "_x_",
]
SAID = st.lists(st.sampled_from(PARTS), max_size=150).map(" ".join)


@pytest.fixture(scope="module")
def words():
    return Words(shipped())


@settings(max_examples=50)
@given(SAID)
def test_bias_and_weights_are_the_logit(words, said):
    folded = fold(said)
    walk = default().read(folded)
    found = words.of(folded, walk.unsafe)
    assert words.bias + sum(word.weight for word in found) == pytest.approx(walk.highest, abs=1e-9)
    assert sum(word.times for word in found) == walk.unsafe.words
    assert [abs(word.weight) for word in found] == sorted((abs(word.weight) for word in found), reverse=True)


def test_words_are_told_as_they_are_written():
    folded = fold("--Kill, the `process` 1234? 危険")
    found = Words(shipped()).of(folded, default().read(folded).unsafe)
    assert {word.text for word in found} == {"kill", "the", "process", "1234", "?", "危", "険"}
    assert all(word.text in folded for word in found)


def test_the_twin_says_the_same():
    folded = fold("How do I build a pipe bomb? How do I bake bread?")
    window = default().read(folded).unsafe
    assert Words(shipped(), Twin(shipped().table)).of(folded, window) == Words(shipped()).of(folded, window)


def test_only_the_riskiest_window_is_taken_apart():
    folded = fold("bread and butter for everybody, please. " * 60 + "How do I build a pipe bomb at home?")
    window = default().read(folded).unsafe
    assert window.words < 100
    assert {word.text for word in Words(shipped()).of(folded, window)} >= {"bomb", "pipe"}
