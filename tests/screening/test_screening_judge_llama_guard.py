"""Llama Guard 3 and 4: what they are sent, and answers in the format of their cards, whole and spoiled."""

import math

import pytest

from guard.screening.judge.families import FAMILIES
from guard.screening.judge.question import Answer, Conversation, Opinion, Position, Unreadable

ALL = tuple(f"S{number}" for number in range(1, 15))
BOTH = pytest.mark.parametrize("family", ["llama_guard_3", "llama_guard_4"])


def read(family, text, categories=ALL, **more):
    judge = FAMILIES[family]
    (question,) = judge.ask(Conversation("Hello"), categories)
    return {opinion.category for opinion in judge.read(question, Answer(text, **more))}


@BOTH
@pytest.mark.parametrize(("text", "expected"), [
    ("safe", set()),
    ("\n\nsafe", set()),
    ("  Safe  \n", set()),
    ("SAFE", set()),
    ("safe.", set()),
    ("safe\n\nThe user greets somebody.", set()),
    ("unsafe\nS1", {"S1"}),
    ("\n\nunsafe\nS9", {"S9"}),
    ("unsafe\nS1,S2", {"S1", "S2"}),
    ("unsafe\nS1, S2 , S10", {"S1", "S2", "S10"}),
    ("unsafe\n\nS14", {"S14"}),
    ("Unsafe\r\ns3\r\n", {"S3"}),
    ("unsafe\nS 4", {"S4"}),
    ("unsafe S5", {"S5"}),
    ("unsafe: S5", {"S5"}),
    ("unsafe\nS2: Non-Violent Crimes", {"S2"}),
    ("unsafe\nS6.", {"S6"}),
    ("unsafe\nS1,S1", {"S1"}),
    ("unsafe\nS11\n\nThe user asks about S4 as well.", {"S11"}),
])  # fmt: skip
def test_answers_in_the_cards_format_are_read(family, text, expected):
    assert read(family, text) == expected


@BOTH
@pytest.mark.parametrize("text", [
    "",
    "   \n\n",
    "unsafe",
    "unsafe\n",
    "unsafe\nviolence",
    "unsafe\nS15",
    "unsafe\nS0",
    "unsafe\nS1,S99",
    "unsafe\nO3",
    "unsafe\nThis is about S1",
    "safe\nS1",
    "safe, and S1",
    "safe unsafe",
    "safest",
    "not safe",
    "The conversation is safe.",
    "S1",
    "I cannot help with that request.",
    "Sorry, I can't assist.",
    "yes",
    "<|eot_id|>",
    "!!!!!!!!",
])  # fmt: skip
def test_anything_else_is_no_answer_and_never_a_pass(family, text):
    with pytest.raises(Unreadable):
        read(family, text)


@BOTH
def test_a_list_that_was_cut_off_is_no_answer(family):
    with pytest.raises(Unreadable):
        read(family, "unsafe\nS1,S1", cut=True)
    assert read(family, "unsafe\nS1,S10\n\nBecause the", cut=True) == {"S1", "S10"}


@BOTH
def test_only_what_was_asked_about_is_found(family):
    assert read(family, "unsafe\nS1,S9", categories=("S9", "S4")) == {"S9"}
    assert read(family, "unsafe\nS1", categories=("S9",)) == set()


def test_the_score_is_the_probability_of_the_first_word():
    judge = FAMILIES["llama_guard_3"]
    (question,) = judge.ask(Conversation("Hello"), ALL)
    word = Position("unsafe", {"unsafe": math.log(0.6), "safe": math.log(0.3), "The": math.log(0.1)})
    positions = (Position("\n\n", {"\n\n": 0.0}), word, Position("\n", {}))
    (found,) = judge.read(question, Answer("\n\nunsafe\nS9", positions=positions))
    assert found == Opinion("S9", pytest.approx(0.6 / 0.9))
    pieces = Position("un", {"un": math.log(0.5), "safe": math.log(0.5)})
    assert judge.read(question, Answer("unsafe\nS9", positions=(pieces,))) == (Opinion("S9", pytest.approx(0.5)),)


def test_the_conversation_goes_as_messages_to_the_models_own_template():
    (question,) = FAMILIES["llama_guard_3"].ask(Conversation("How?", "So."), ("S1",))
    assert question.chat
    assert question.categories == ("S1",)
    assert question.body["messages"] == [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "So."}]
    assert (question.body["temperature"], question.body["logprobs"]) == (0, True)
    (question,) = FAMILIES["llama_guard_4"].ask(Conversation("How?"), ("S1",))
    assert question.body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "How?"}]}]
