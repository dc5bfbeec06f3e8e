"""Granite Guardian 3.0 to 3.3: one question per risk, and answers in the formats of their cards, whole and spoiled."""

import math

import pytest

from guard.screening.judge.families import FAMILIES
from guard.screening.judge.question import Answer, Conversation, Opinion, Position, Unreadable

BOTH = pytest.mark.parametrize("family", ["granite_guardian_3", "granite_guardian_3.3"])


def read(family, text, positions=()):
    judge = FAMILIES[family]
    (question,) = judge.ask(Conversation("Hello"), ("S9",))
    return judge.read(question, Answer(text, positions=positions))


@BOTH
@pytest.mark.parametrize(("text", "unsafe"), [
    ("No", False),
    ("no", False),
    (" No\n", False),
    ("No.", False),
    ("No\n<confidence> High </confidence>", False),
    ("No\n<confidence> Low </confidence>", False),
    ("<score> no </score>", False),
    ("<score>No</score>", False),
    ("<think>\n</think>\n<score> no </score>", False),
    ("Yes", True),
    ("\nYES", True),
    ("**Yes**", True),
    ("Yes\n<confidence> High </confidence>", True),
    ("<score> yes </score>", True),
    ("<SCORE>YES</SCORE>", True),
    ("<think> The user says no such thing, but </think>\n<score> yes </score>", True),
    ("<score> yes </score>\n<score> yes </score>", True),
])  # fmt: skip
def test_answers_in_the_cards_formats_are_read(family, text, unsafe):
    assert read(family, text) == ((Opinion("S9"),) if unsafe else ())


@BOTH
def test_a_judge_that_is_not_sure_says_so(family):
    assert read(family, "Yes\n<confidence> Low </confidence>") == (Opinion("S9", None, sure=False),)


@BOTH
@pytest.mark.parametrize("text", [
    "",
    "\n \n",
    "Maybe",
    "Failed",
    "<score> maybe </score>",
    "<score> yes",
    "<score></score>",
    "<score> yes </score> <score> no </score>",
    "<think> yes </think>",
    "<think> no, it is not",
    "I'm sorry, but I can't help with that.",
    "Nope",
    "0",
    "<confidence> High </confidence>",
])  # fmt: skip
def test_anything_else_is_no_answer_and_never_a_pass(family, text):
    with pytest.raises(Unreadable):
        read(family, text)


def test_the_score_is_that_of_the_token_that_answers():
    yes = Position(" yes", {" yes": math.log(0.8), " no": math.log(0.2)})
    no = Position("no", {"no": 0.0})
    opening = (Position("<score", {}), Position(">", {}))
    assert read("granite_guardian_3.3", "<think>no</think><score> yes </score>", (no, *opening, yes)) == (
        Opinion("S9", pytest.approx(0.8)),
    )
    assert read("granite_guardian_3", "Yes", (yes, no)) == (Opinion("S9", pytest.approx(0.8)),)
    assert read("granite_guardian_3", "Yes", (Position("Y", {"Y": 0.0}),)) == (Opinion("S9"),)


def test_every_risk_is_a_question_of_its_own():
    old, new = FAMILIES["granite_guardian_3"], FAMILIES["granite_guardian_3.3"]
    violence, weapons = old.ask(Conversation("How?"), ("S1", "S9"))
    assert violence.body["chat_template_kwargs"] == {"guardian_config": {"risk_name": "violence"}}
    config = weapons.body["chat_template_kwargs"]["guardian_config"]
    assert config["risk_name"] == "s9"
    assert config["risk_definition"].startswith("User message enables")
    assert (violence.categories, weapons.categories) == (("S1",), ("S9",))
    violence, weapons = new.ask(Conversation("How?", "So."), ("S1", "S9"))
    assert violence.body["chat_template_kwargs"] == {"guardian_config": {"criteria_id": "violence"}, "think": False}
    criteria = weapons.body["chat_template_kwargs"]["guardian_config"]["custom_criteria"]
    assert criteria.startswith("Assistant message enables")
    assert [message["role"] for message in weapons.body["messages"]] == ["user", "assistant"]
    assert "D1" not in old.categories
