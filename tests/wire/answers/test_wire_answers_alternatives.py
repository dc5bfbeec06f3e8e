"""Alternatives in logprobs are text too: what they spell rank by rank is screened, streamed or not."""

import json

import pytest
from wire_toy_gate import ToyGate

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import chat, completions

INQUIRY = Inquiry("any", {}, "tiny")
LETTERS = ["ri", "ci", "n"]


def entry(alternative):
    other = {"token": alternative, "logprob": -2.0, "bytes": list(alternative.encode())}
    sampled = {"token": "a", "logprob": -0.1, "bytes": [97]}
    return {**sampled, "top_logprobs": [sampled, other]}


def chat_chunk(alternative):
    choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}
    return {"object": "chat.completion.chunk", "choices": [{**choice, "logprobs": {"content": [entry(alternative)]}}]}


def completion_chunk(alternative):
    columns = {
        "tokens": ["a"],
        "token_logprobs": [-0.1],
        "text_offset": [0],
        "top_logprobs": [{"a": -0.1, alternative: -2}],
    }
    choice = {"index": 0, "text": "a", "logprobs": columns, "finish_reason": None}
    return {"object": "text_completion", "choices": [choice]}


@pytest.mark.parametrize(("dialect", "chunk"), [(chat, chat_chunk), (completions, completion_chunk)])
def test_a_word_that_the_alternatives_spell_ends_a_stream(dialect, chunk):
    stream = dialect.open_stream(INQUIRY, ToyGate("ricin"))
    out = b"".join(stream.feed(b"data: " + json.dumps(chunk(letter)).encode() + b"\n\n") for letter in LETTERS)
    assert stream.closed
    assert b"content_filter" in out
    assert '"ri"' not in out.decode()


def test_a_word_that_the_alternatives_spell_ends_a_whole_answer():
    logprobs = {"content": [entry(letter) for letter in LETTERS]}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "aaa"},
        "logprobs": logprobs,
        "finish_reason": "stop",
    }
    answer = {"object": "chat.completion", "choices": [choice]}
    [ended] = chat.screen_answer(INQUIRY, answer, ToyGate("ricin"))["choices"]
    assert ended["finish_reason"] == "content_filter"
    assert ended["logprobs"] is None


def test_harmless_alternatives_leave_with_their_event():
    stream = chat.open_stream(INQUIRY, ToyGate("ricin"))
    event = b"data: " + json.dumps(chat_chunk("b")).encode() + b"\n\n"
    assert stream.feed(event) == event
