"""Uses: which fields a policy rules on, what they are worth, and which are at their default."""

import pytest

from guard.exchange.inquiry import FieldUse
from guard.exchange.unscanned import PartKind
from guard.wire.fields import WHOLE_VOCABULARY
from guard.wire.requests import batch, chat, completions, messages, pooling, responses

HELLO = [{"role": "user", "content": "hello"}]


def of_chat(**fields):
    return chat.parse({"messages": [dict(HELLO[0])], **fields})


def of_completions(**fields):
    return completions.parse({"prompt": "hello", **fields})


def of_responses(**fields):
    return responses.parse({"input": "hello", **fields})


def of_messages(**fields):
    return messages.parse({"messages": [dict(HELLO[0])], **fields})


CHAT_USES = [
    ({"logprobs": True}, [("logprobs", "logprobs", True)]),
    ({"logprobs": "yes", "top_logprobs": 5.0}, [("logprobs", "logprobs", True), ("logprobs", "top_logprobs", 5)]),
    ({"top_logprobs": -1}, [("logprobs", "top_logprobs", WHOLE_VOCABULARY)]),
    ({"prompt_logprobs": 0}, [("prompt_logprobs", "prompt_logprobs", 0)]),
    ({"prompt_logprobs": -1}, [("prompt_logprobs", "prompt_logprobs", WHOLE_VOCABULARY)]),
    ({"echo": True}, [("prompt_logprobs", "echo", True)]),
    ({"logprob_token_ids": [1, 2]}, [("logprob_token_ids", "logprob_token_ids", True)]),
    ({"return_token_ids": 1}, [("token_ids", "return_token_ids", True)]),
    ({"return_tokens_as_token_ids": True}, [("token_ids", "return_tokens_as_token_ids", True)]),
    ({"return_prompt_text": True}, [("token_ids", "return_prompt_text", True)]),
    ({"n": "4"}, [("samples", "n", 4)]),
    ({"n": 3, "use_beam_search": True}, [("samples", "n", 3), ("samples", "use_beam_search", 3)]),
    ({"use_beam_search": True}, [("samples", "use_beam_search", 1)]),
    ({"logit_bias": {"5": 1}}, [("logit_bias", "logit_bias", True)]),
    ({"allowed_token_ids": [5]}, [("logit_bias", "allowed_token_ids", True)]),
    ({"bad_words": ["no"]}, [("logit_bias", "bad_words", True)]),
    ({"structured_outputs": {"choice": ["a"]}}, [("guided", "structured_outputs", True)]),
    ({"response_format": {"type": "json_object"}}, [("guided", "response_format", True)]),
    ({"kv_transfer_params": {"a": 1}}, [("kv_transfer", "kv_transfer_params", True)]),
    ({"ec_transfer_params": {"a": 1}}, [("kv_transfer", "ec_transfer_params", True)]),
    ({"routed_experts_prompt_start": 3}, [("routed_experts", "routed_experts_prompt_start", True)]),
    ({"routed_experts_prompt_start": 0}, [("routed_experts", "routed_experts_prompt_start", True)]),
    ({"tool_choice": "required"}, [("guided", "tool_choice", True)]),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, [("guided", "tool_choice", True)]),
    ({"min_tokens": 9, "ignore_eos": "1"}, [("length", "min_tokens", 9), ("length", "ignore_eos", True)]),
    ({"chat_template": "{{x}}"}, [("chat_template", "chat_template", True)]),
    ({"chat_template_kwargs": {"tools": []}}, [("chat_template", "chat_template_kwargs", True)]),
    ({"mm_processor_kwargs": {"a": 1}}, [("chat_template", "mm_processor_kwargs", True)]),
    ({"media_io_kwargs": {"a": {}}}, [("chat_template", "media_io_kwargs", True)]),
    ({"vllm_xargs": {"a": "b"}}, [("extra_args", "vllm_xargs", True)]),
    ({"watermarking": False}, [("watermark_opt_out", "watermarking", True)]),
    ({"continue_final_message": True}, [("prefill", "continue_final_message", True)]),
    ({"add_generation_prompt": "off"}, [("prefill", "add_generation_prompt", True)]),
    ({"max_tokens": 5}, [("length", "max_tokens", 5)]),
    ({"max_completion_tokens": 7}, [("length", "max_completion_tokens", 7)]),
    ({"request_id": "x"}, [("caller_ids", "request_id", True)]),
    ({"cache_salt": "x"}, [("caller_ids", "cache_salt", True)]),
    ({"session_id": "x"}, [("caller_ids", "session_id", True)]),
    ({"priority": -1}, [("caller_ids", "priority", -1)]),
]


@pytest.mark.parametrize(("fields", "uses"), CHAT_USES, ids=[next(iter(fields)) for fields, _ in CHAT_USES])
def test_a_field_off_its_default_is_a_use(fields, uses):
    assert of_chat(**fields).uses == [FieldUse(*use) for use in uses]


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "logprobs": False, "top_logprobs": 0, "use_beam_search": "no", "echo": 0, "priority": 0},
        {"watermarking": True, "add_generation_prompt": True, "continue_final_message": False},
        {"tool_choice": "auto", "tools": []},
        {"tool_choice": "none"},
        {"response_format": {"type": "text"}, "bad_words": [], "logit_bias": {}, "kv_transfer_params": {}},
        {"chat_template_kwargs": {"enable_thinking": False, "thinking": True, "reasoning_effort": "low"}},
        {"temperature": 0, "seed": 5, "top_k": 1, "min_tokens": 0, "ignore_eos": False, "stop": ["\n"]},
    ],
)
def test_a_field_at_its_default_or_without_a_capability_is_no_use(fields):
    assert of_chat(**fields).uses == []


def test_completions_multiply_prompts_with_n():
    many = of_completions(prompt=["a", "b", "c"], n=2)
    assert many.choices == 6
    assert many.uses == [FieldUse("samples", "n", 6), FieldUse("samples", "prompt", 3)]
    assert of_completions(prompt=["a"], n=1).uses == []


def test_completions_echo_with_logprobs_scores_the_prompt():
    assert of_completions(echo=True).uses == [FieldUse("echo", "echo", True)]
    assert set(of_completions(echo=True, logprobs=0).uses) == {
        FieldUse("echo", "echo", True),
        FieldUse("logprobs", "logprobs", 0),
        FieldUse("prompt_logprobs", "echo", True),
    }


def test_prompt_embeds_are_a_use_and_cannot_be_scanned():
    inquiry = completions.parse({"prompt_embeds": ["AAAA", "BBBB"]})
    assert FieldUse("prompt_embeds", "prompt_embeds", True) in inquiry.uses
    assert (inquiry.unscannable, inquiry.choices) == ([(PartKind.PROMPT_EMBEDS, "prompt_embeds")], 2)
    part = chat.parse({"messages": [{"role": "user", "content": [{"type": "prompt_embeds", "data": "AAAA"}]}]})
    assert part.uses == [FieldUse("prompt_embeds", "messages", True)]
    assert part.unscannable == [(PartKind.PROMPT_EMBEDS, "messages[0].content[0]")]


def test_a_batch_is_worth_its_conversations():
    inquiry = batch.parse({"messages": [[dict(HELLO[0])], [dict(HELLO[0])]], "stream": True})
    assert (inquiry.choices, inquiry.stream) == (2, False)
    assert inquiry.uses == [FieldUse("samples", "messages", 2)]
    assert inquiry.unknown == ["stream"]


def test_responses_are_not_stored_unless_asked_for():
    document = {"input": "hello"}
    assert responses.parse(document).uses == []
    assert document["store"] is False
    assert of_responses(store=None).document["store"] is False
    assert of_responses(store=True).uses == [FieldUse("stored", "store", True)]
    assert [use.field for use in of_responses(background=True, previous_response_id="resp_1").uses] == [
        "background",
        "previous_response_id",
    ]


def test_responses_have_their_own_ways_to_ask():
    included = of_responses(include=["message.output_text.logprobs"], top_logprobs=3)
    assert included.uses == [FieldUse("logprobs", "include", True), FieldUse("logprobs", "top_logprobs", 3)]
    assert of_responses(include=["reasoning.encrypted_content"]).uses == []
    assert of_responses(enable_response_messages=True).uses == [FieldUse("token_ids", "enable_response_messages", True)]
    assert of_responses(prompt_cache_key="k").uses == [FieldUse("caller_ids", "prompt_cache_key", True)]
    assert of_responses(text={"format": {"type": "json_schema", "name": "n", "schema": {}}}).uses == [
        FieldUse("guided", "text", True)
    ]
    assert of_responses(text={"format": {"type": "text"}, "verbosity": "low"}).uses == []
    partial = [{"type": "message", "role": "assistant", "status": "incomplete", "content": "Sure, "}]
    assert responses.parse({"input": partial}).uses == [FieldUse("prefill", "input", True)]


def test_messages_have_length_and_output_format():
    inquiry = of_messages(max_tokens=5, output_config={"format": {"type": "json_schema", "schema": {}}})
    assert set(inquiry.uses) == {FieldUse("length", "max_tokens", 5), FieldUse("guided", "output_config", True)}


def test_a_generation_prompt_in_front_of_an_embedding_is_no_prefill():
    assert pooling.parse_embeddings({"messages": [dict(HELLO[0])], "add_generation_prompt": True}).uses == []


def test_claims_of_an_identity_are_read_before_unknown_fields_are_dropped():
    document = {
        "messages": [dict(HELLO[0])],
        "user": "u-1",
        "safety_identifier": "s-1",
        "metadata": {"user_id": "m-1"},
        "prompt_cache_key": "not an identity",
        "best_of": 4,
        "guided_json": {},
    }
    inquiry = chat.parse(document)
    assert inquiry.claimed == {"user": "u-1", "safety_identifier": "s-1", "metadata.user_id": "m-1"}
    assert inquiry.unknown == ["prompt_cache_key", "best_of", "guided_json"]
    assert document.keys() == {"messages", "user"}


@pytest.mark.parametrize("model", [None, ""])
def test_no_model_is_no_key(model):
    inquiry = of_chat(model=model)
    assert inquiry.model is None
    assert "model" not in inquiry.document
