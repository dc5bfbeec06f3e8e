"""Answers that are not streamed: the same verdicts, the same text, the dialect's own ending."""

import copy
from typing import Any

import pytest
from wire_toy_gate import ToyGate

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import chat, completions, messages, plain, responses
from guard.wire.dialect import GarbledAnswer

FACTS = {"reference": "ref-1", "license": "llama-3.1", "clause": "2.b", "category": "S9"}
INQUIRY = Inquiry("any", {}, "tiny")


def chat_answer(*replies: dict[str, Any], **more: Any) -> dict[str, Any]:
    choices = [
        {"index": index, "message": {"role": "assistant", "content": None, **reply}, "logprobs": None}
        | {"finish_reason": "stop", "stop_reason": None, "token_ids": None}
        for index, reply in enumerate(replies)
    ]
    usage = {"prompt_tokens": 13, "total_tokens": 17, "completion_tokens": 4}
    return {"id": "chatcmpl-9d688d84f6b047b7", "object": "chat.completion", "choices": choices, "usage": usage, **more}


def screened(module: Any, answer: dict[str, Any], *words: str) -> dict[str, Any]:
    return module.screen_answer(INQUIRY, copy.deepcopy(answer), ToyGate(*words))


@pytest.mark.parametrize(
    "reply",
    [
        {"content": "take ricin now"},
        {"reasoning": "take ricin now"},
        {"reasoning_content": "take ricin now"},
        {"reasoning": "fine", "reasoning_content": "take ricin now"},
        {"refusal": "take ricin now"},
        {"function_call": {"name": "f", "arguments": "take ricin now"}},
        {"tool_calls": [{"id": "call_0d9bce11e14450b1", "type": "function", "function": {"name": "ricin"}}]},
        {"tool_calls": [{"id": "functions.ricin:0", "type": "function", "function": {"name": "f"}}]},
        {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"arguments": "ricin"}}]},
        {"content": "hear", "audio": {"id": "audio_1", "data": "UklGRg==", "transcript": "take ricin now"}},
        {"content": "see", "annotations": [{"type": "url_citation", "url_citation": {"title": "ricin", "url": "u"}}]},
    ],
)
def test_a_blocked_word_anywhere_in_a_message_ends_the_choice(reply):
    other = {"content": "harmless"}
    answer = screened(chat, chat_answer(reply, other), "ricin")
    blocked, free = answer["choices"]
    assert "ricin" not in str(answer)
    assert (blocked["finish_reason"], blocked["guard"]) == ("content_filter", FACTS)
    assert blocked["message"]["role"] == "assistant"
    assert (free["message"]["content"], free["finish_reason"]) == ("harmless", "stop")


def test_a_blocked_choice_keeps_its_beginning_and_loses_what_came_after():
    reply = {"reasoning": "so", "content": "Take ricin", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    [choice] = screened(chat, chat_answer(reply), "ricin")["choices"]
    assert choice["message"] == {"content": "Take ", "role": "assistant", "reasoning": "so"}


def test_logprobs_that_spell_a_word_are_removed_with_the_choice():
    answer = chat_answer({"content": "r"})
    answer["choices"][0]["logprobs"] = {"content": [{"token": "ri", "bytes": None}, {"token": "cin", "bytes": None}]}
    [choice] = screened(chat, answer, "ricin")["choices"]
    assert (choice["finish_reason"], choice["logprobs"]) == ("content_filter", None)


def test_logprob_bytes_that_spell_something_else_are_taken_out():
    answer = chat_answer({"content": "r"})
    entry = {"token": "r", "logprob": -1.0, "bytes": list(b"ricin"), "top_logprobs": [], "note": "ricin"}
    answer["choices"][0]["logprobs"] = {"content": [entry]}
    [choice] = screened(chat, answer)["choices"]
    assert choice["logprobs"]["content"] == [{"token": "r", "logprob": -1.0, "bytes": None, "top_logprobs": []}]


def test_a_token_given_as_an_id_is_read_by_its_bytes():
    answer = chat_answer({"content": "x"})
    entries = [{"token": f"token_id:{n}", "bytes": list(text)} for n, text in enumerate((b"ri", b"cin"))]
    answer["choices"][0]["logprobs"] = {"content": entries}
    [choice] = screened(chat, answer, "ricin")["choices"]
    assert choice["finish_reason"] == "content_filter"


def test_a_stop_string_is_screened():
    answer = chat_answer({"content": "x"})
    answer["choices"][0]["stop_reason"] = "ricin"
    assert screened(chat, answer, "ricin")["choices"][0]["finish_reason"] == "content_filter"


def test_keys_that_no_reader_knows_do_not_pass():
    answer = chat_answer({"content": "x", "thoughts": "ricin"}, whisper={"a": "ricin"})
    answer["choices"][0]["side"] = ["ricin"]
    assert "ricin" not in str(screened(chat, answer))


@pytest.mark.parametrize(
    ("module", "answer"),
    [
        (chat, {}),
        (chat, {"choices": None}),
        (chat, {"choices": [{"index": 0, "message": {"content": ["text"]}}]}),
        (chat, {"choices": [{"index": 0, "message": "text"}]}),
        (chat, {"choices": [{"index": 0, "message": {}, "logprobs": {"content": "text"}}]}),
        (completions, {"choices": [{"index": 0}]}),
        (completions, {"choices": [{"index": 0, "text": "a", "logprobs": {"tokens": [1]}}]}),
        (responses, {"output": "text"}),
        (responses, {"output": [{"type": "message", "content": "text"}]}),
        (responses, {"output": [{"type": "function_call", "arguments": {"a": "text"}}]}),
        (messages, {"content": "text"}),
        (messages, {"content": [{"type": "text", "text": ["text"]}]}),
    ],
)
def test_an_answer_of_another_shape_is_garbled(module, answer):
    with pytest.raises(GarbledAnswer):
        module.screen_answer(INQUIRY, answer, ToyGate())


def test_a_completion_is_cut_like_a_chat():
    logprobs = {"tokens": ["Take"], "token_logprobs": [None], "top_logprobs": [None], "text_offset": [0]}
    blocked = {"index": 0, "text": "Take ricin", "logprobs": logprobs, "finish_reason": "stop"}
    free = {"index": 1, "text": "no", "finish_reason": "length"}
    answer = screened(completions, {"choices": [blocked, free]}, "ricin")
    assert answer["choices"] == [
        {"index": 0, "text": "Take ", "logprobs": None, "finish_reason": "content_filter", "guard": FACTS},
        free,
    ]


def test_a_response_keeps_the_items_before_the_hit():
    text = {"type": "output_text", "text": "Take ricin", "annotations": [], "logprobs": None}
    output = [
        {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "so"}]},
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]},
        {"id": "fc_1", "type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1"},
    ]
    answer = screened(responses, {"id": "resp_1", "status": "completed", "output": output, "usage": None}, "ricin")
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})
    assert answer["guard"] == FACTS
    assert answer["output"][0] == output[0]
    assert answer["output"][1]["content"] == [{"type": "output_text", "text": "Take ", "annotations": []}]
    assert len(answer["output"]) == 2
    [told] = responses.answered(answer)
    assert (told.texts, told.finish_reason) == (("so", "Take "), "content_filter")


@pytest.mark.parametrize(
    "item",
    [
        {"type": "function_call", "name": "ricin", "arguments": "{}"},
        {"type": "custom_tool_call", "name": "f", "input": "ricin"},
        {"type": "mcp_call", "name": "f", "arguments": "{}", "output": "ricin"},
        {"type": "web_search_call", "action": {"type": "search", "query": "ricin"}},
        {"type": "code_interpreter_call", "code": "x = 1", "outputs": [{"type": "logs", "logs": "ricin"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "ricin"}]},
        {"type": "message", "content": [{"type": "refusal", "refusal": "ricin"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "ok", "annotations": [{"title": "ricin"}]}]},
        {"type": "message", "content": [{"type": "output_text", "text": "ok", "logprobs": [{"token": "ricin"}]}]},
        {"type": "of tomorrow", "ricin": 1},
    ],
)
def test_every_kind_of_item_is_read(item):
    answer = screened(responses, {"output": [item]}, "ricin")
    assert answer["status"] == "incomplete"
    assert "ricin" not in str(answer["output"])


def test_what_enable_response_messages_repeats_is_read_too():
    answer = screened(responses, {"output": [], "output_messages": [{"message": "ricin", "tokens": [1]}]}, "ricin")
    assert "output_messages" not in answer


def test_a_message_keeps_the_blocks_before_the_hit():
    blocks = [
        {"type": "thinking", "thinking": "so", "signature": "9999cbf857624f6fa9fa1a30a37e16ae"},
        {"type": "text", "text": "Take ricin"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {}},
    ]
    body = {"type": "message", "content": blocks, "stop_reason": "tool_use", "usage": {"output_tokens": 7}}
    answer = screened(messages, body, "ricin")
    assert answer["content"] == [blocks[0], {"type": "text", "text": "Take "}]
    assert (answer["stop_reason"], answer["guard"]) == ("refusal", FACTS)
    [told] = messages.answered(answer)
    assert (told.texts, told.finish_reason, told.completion_tokens) == (("so", "Take "), "refusal", 7)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "call_1", "name": "ricin", "input": {}},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"deep": [{"ricin": 1}]}},
        {"type": "thinking", "thinking": "ricin"},
        {"type": "redacted_thinking", "data": "ricin"},
        {"type": "text", "text": "ok", "citations": [{"cited_text": "ricin"}]},
        {"type": "of tomorrow", "content": "ricin"},
    ],
)
def test_every_kind_of_block_is_read(block):
    answer = screened(messages, {"content": [block], "stop_reason": "end_turn"}, "ricin")
    assert answer["stop_reason"] == "refusal"
    assert "ricin" not in str(answer["content"])


def test_one_count_of_tokens_is_not_given_to_several_choices():
    told = chat.answered(screened(chat, chat_answer({"content": "a"}, {"content": "b"})))
    assert [(choice.texts, choice.prompt_tokens, choice.completion_tokens) for choice in told] == [
        (("a",), 13, None),
        (("b",), 13, None),
    ]


@pytest.mark.parametrize(
    ("answer", "emptied"),
    [
        ({"prompt": "take ricin"}, {"prompt": ""}),
        ({"tokens": [1, 2], "token_strs": ["ric", "in"]}, {"tokens": [], "token_strs": ["", ""]}),
        ({"results": [{"index": 0, "document": {"text": "ricin"}, "relevance_score": 0.5}]}, None),
        ({"data": [{"label": "ricin", "probs": [0.1, 0.9]}]}, {"data": [{"label": "", "probs": [0.1, 0.9]}]}),
    ],
)
def test_an_answer_without_generation_loses_its_text_and_keeps_its_numbers(answer, emptied):
    found = screened(plain, answer, "ricin")
    assert "ricin" not in str(found)
    assert found["guard"] == FACTS
    if emptied is None:
        emptied = {"results": [{"index": 0, "document": {"text": ""}, "relevance_score": 0.5}]}
    assert found == {**emptied, "guard": FACTS}
    assert screened(plain, answer, "other") == answer


def test_vectors_are_no_text():
    answer = {"data": [{"index": 0, "embedding": "cmljaW4gcmljaW4gcmljaW4="}, {"embedding": [0.5, 1.5]}], "model": "m"}
    gate = ToyGate("cm")
    assert plain.screen_answer(INQUIRY, copy.deepcopy(answer), gate) == answer
    assert not gate.texts


def test_plain_surfaces_do_not_stream():
    with pytest.raises(GarbledAnswer):
        plain.open_stream(INQUIRY, ToyGate())


@pytest.mark.parametrize("asked", [{}, {"routed_experts_prompt_start": 0}], ids=["unasked", "asked"])
def test_the_experts_of_every_token_leave_only_where_they_were_asked_for(asked):
    """vLLM tells them to everybody if it was started to; to ask is what a policy rules on."""
    inquiry = Inquiry("any", asked, "tiny")
    chatted = chat_answer({"content": "hello"})
    chatted["choices"][0]["routed_experts"] = "k05VTVBZ"
    completed = {"id": "cmpl-1", "choices": [{"index": 0, "text": "hello", "routed_experts": "k05VTVBZ"}]}
    for module, answer in ((chat, chatted), (completions, completed)):
        [choice] = module.screen_answer(inquiry, answer, ToyGate())["choices"]
        assert ("routed_experts" in choice) == bool(asked)
