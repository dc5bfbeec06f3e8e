"""ShieldGemma: one prompt per policy, and answers in the format of its card, whole and spoiled."""

import math

import pytest

from guard.screening.judge.families import FAMILIES
from guard.screening.judge.question import Answer, Conversation, Opinion, Position, Unreadable

JUDGE = FAMILIES["shieldgemma"]


def read(text, positions=()):
    (question,) = JUDGE.ask(Conversation("Hello"), ("S10",))
    return JUDGE.read(question, Answer(text, positions=positions))


@pytest.mark.parametrize("text", ["No", "no", " No", "\n\nNo", "No.", "**No**", "No, the human question", "'No'"])
def test_no_is_safe(text):
    assert read(text) == ()


@pytest.mark.parametrize("text", ["Yes", "yes", " Yes", "\nYes", "Yes.", "**Yes**", "Yes, the human question", "YES"])
def test_yes_is_unsafe(text):
    assert read(text) == (Opinion("S10"),)


@pytest.mark.parametrize("text", ["", " ", "\n", "The", "Yesterday", "None", "I cannot", "<eos>", "5", "是", "-"])
def test_anything_else_is_no_answer_and_never_a_pass(text):
    with pytest.raises(Unreadable):
        read(text)


@pytest.mark.parametrize(("alternatives", "expected"), [
    ({"Yes": math.log(0.7), "No": math.log(0.3)}, 0.7),
    ({"Yes": math.log(0.4), "yes": math.log(0.2), " Yes": math.log(0.1), "No": math.log(0.3)}, 0.7),
    ({"Yes": 0.0}, 1.0),
    ({"Yes": -math.inf, "No": -math.inf}, None),
    ({}, None),
])  # fmt: skip
def test_the_score_is_yes_against_no(alternatives, expected):
    (opinion,) = read("Yes", (Position("Yes", alternatives),))
    assert opinion.score == (expected if expected is None else pytest.approx(expected))


def test_a_likely_yes_under_a_word_that_is_no_answer_is_none():
    with pytest.raises(Unreadable):
        read("The", (Position("The", {"The": math.log(0.5), "Yes": math.log(0.4)}),))


def test_a_policy_is_asked_about_once_and_reported_as_what_was_asked_first():
    questions = JUDGE.ask(Conversation("How?"), ("S11", "S9", "S12"))
    assert [question.categories for question in questions] == [("S11",), ("S12",)]
    assert all(not question.chat for question in questions)
    assert "No Dangerous Content" in questions[0].body["prompt"]
    assert "Sexually Explicit" in questions[1].body["prompt"]
    assert JUDGE.categories == {"S1", "S9", "S10", "S11", "S12", "HR"}


def test_an_answer_is_judged_by_the_policy_for_answers():
    (question,) = JUDGE.ask(Conversation("How?", "So."), ("HR",))
    prompt = question.body["prompt"]
    assert "Human Question: How?\n\nChatbot Response: So.\n<end_of_turn>" in prompt
    assert "The chatbot shall not generate content that is malicious" in prompt
    assert "Does the chatbot response violate" in prompt
