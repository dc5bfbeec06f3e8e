"""Servers' answers: the first choice of a completion, or none at all."""

import pytest

from guard.screening.judge.question import Answer, Position, Unreadable
from guard.screening.judge.reading import answer_of, first_word


def chat(**message):
    return {"choices": [{"message": {"role": "assistant", **message}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("document", [
    None, [], "safe", 5, {}, {"choices": None}, {"choices": []}, {"choices": [None]}, {"choices": [{}]},
    {"choices": [{"message": None}]}, {"choices": [{"text": "safe"}]}, {"error": {"message": "no such model"}},
    chat(), chat(content=None), chat(content=["safe"]), chat(content="safe", refusal="I cannot."),
])  # fmt: skip
def test_what_is_no_completion_is_no_answer(document):
    with pytest.raises(Unreadable):
        answer_of(document, chat=True)


def test_a_completion_is_read_by_its_own_shape():
    assert answer_of({"choices": [{"text": "Yes", "finish_reason": "length"}]}, chat=False) == Answer("Yes", cut=True)
    with pytest.raises(Unreadable):
        answer_of(chat(content="safe"), chat=False)


def test_log_probabilities_of_a_chat():
    told = {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": [{"token": "No", "logprob": -2.5}, None]}]}
    document = chat(content="Yes")
    document["choices"][0]["logprobs"] = told
    assert answer_of(document, chat=True).positions == (Position("Yes", {"No": -2.5, "Yes": -0.1}),)


def test_log_probabilities_of_a_completion():
    told = {"tokens": ["Yes", "."], "token_logprobs": [-0.1, None], "top_logprobs": [{"Yes": -0.1, "No": -2.5}, None]}
    document = {"choices": [{"text": "Yes.", "logprobs": told}]}
    assert answer_of(document, chat=False).positions == (Position("Yes", {"Yes": -0.1, "No": -2.5}), Position(".", {}))


@pytest.mark.parametrize("told", [
    None, [], {}, {"content": 5}, {"content": [5]}, {"content": [{"token": 5}]},
    {"content": [{"token": "safe", "logprob": "x", "top_logprobs": "y"}]},
    {"content": [{"token": "safe", "logprob": float("nan"), "top_logprobs": [{"token": "a", "logprob": None}]}]},
])  # fmt: skip
def test_log_probabilities_out_of_shape_are_none(told):
    document = chat(content="safe")
    document["choices"][0]["logprobs"] = told
    assert all(not position.alternatives for position in answer_of(document, chat=True).positions)


@pytest.mark.parametrize(("text", "word"), [
    ("Yes", "yes"), ("  \n**No**, it", "no"), ("'yes'", "yes"), ("Straße", "strasse"), ("", ""), ("…", ""), ("a-b", "a"),
])  # fmt: skip
def test_the_first_word(text, word):
    assert first_word(text) == word
