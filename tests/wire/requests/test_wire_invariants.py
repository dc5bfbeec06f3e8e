"""Invariants 4 and 5 over arbitrary requests: nothing reaches the model that no rule has read."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.wire import fields
from guard.wire.body import decode, encode
from guard.wire.dialect import Malformed
from guard.wire.requests import batch, chat, completions, messages, pooling, responses, tokens

PARSERS = {
    "chat": (chat.parse, fields.CHAT),
    "batch": (batch.parse, fields.BATCH),
    "completions": (completions.parse, fields.COMPLETIONS),
    "responses": (responses.parse, fields.RESPONSES),
    "messages": (messages.parse, fields.MESSAGES),
    "count_tokens": (messages.parse_count, fields.COUNT_TOKENS),
    "embeddings": (pooling.parse_embeddings, fields.EMBEDDINGS),
    "cohere": (pooling.parse_cohere, fields.COHERE_EMBED),
    "pooling": (pooling.parse_pooling, fields.POOLING),
    "classify": (pooling.parse_classify, fields.CLASSIFY),
    "score": (pooling.parse_score, fields.SCORE),
    "rerank": (pooling.parse_rerank, fields.RERANK),
    "tokenize": (tokens.parse_tokenize, fields.TOKENIZE),
    "detokenize": (tokens.parse_detokenize, fields.DETOKENIZE),
}

# One well-formed request of each kind with text in every place; "@" is text, "#" an id that no template prints.
TOOL = {
    "type": "function",
    "function": {"name": "@", "description": "@", "parameters": {"properties": {"p": {"enum": ["@"]}}}},
}
CONVERSATION = [
    {"role": "system", "content": "@", "name": "@"},
    {"role": "developer", "content": [{"type": "text", "text": "@"}], "tools": [TOOL]},
    {"role": "user", "content": [{"type": "text", "text": "@"}, {"type": "input_text", "text": "@"}]},
    {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "@"}, {"type": "refusal", "refusal": "@"}],
        "reasoning": "@",
        "tool_calls": [{"id": "@", "type": "function", "function": {"name": "@", "arguments": "@"}}],
    },
    {"role": "tool", "content": "@", "tool_call_id": "@"},
    {"role": "@", "content": "@", "reasoning_content": "@", "task": "@"},
]
TEMPLATE = {
    "chat_template": "@",
    "chat_template_kwargs": {"k": {"deep": ["@"]}},
    "mm_processor_kwargs": {"k": "@"},
    "media_io_kwargs": {"k": {"m": "@"}},
}
STEERING = {
    "stop": ["@"],
    "bad_words": ["@"],
    "structured_outputs": {"choice": ["@"]},
    "response_format": {"type": "json_schema", "json_schema": {"name": "@", "schema": {"k": "@"}}},
    "vllm_xargs": {"k": "@", "l": ["@"]},
    "kv_transfer_params": {"k": "@"},
    "user": "#",
    "request_id": "#",
    "session_id": "#",
    "cache_salt": "#",
}
BLOCKS = [
    {"type": "text", "text": "@"},
    {
        "type": "tool_result",
        "tool_use_id": "@",
        "content": [{"type": "text", "text": "@"}, {"type": "tool_reference", "tool_name": "@"}],
    },
]
ANTHROPIC = {
    "system": [{"type": "text", "text": "@"}, {"type": "text", "text": "@"}],
    "messages": [
        {"role": "user", "content": BLOCKS},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "@", "signature": "#"},
                {"type": "tool_use", "id": "@", "name": "@", "input": {"k": ["@"]}},
            ],
        },
        {"role": "system", "content": [{"type": "tool_removal", "tool": {"type": "tool_reference", "name": "@"}}]},
    ],
    "tools": [{"name": "@", "description": "@", "input_schema": {"k": "@"}}],
    "tool_choice": {"type": "tool", "name": "@"},
    "chat_template_kwargs": {"k": "@"},
}
SIDE = ["@", {"content": [{"type": "text", "text": "@"}]}]
RICH = {
    "chat": {"messages": CONVERSATION, "tools": [TOOL], "documents": [{"title": "@", "text": "@"}], **TEMPLATE, **STEERING},
    "batch": {"messages": [CONVERSATION, CONVERSATION], **TEMPLATE},
    "completions": {"prompt": ["@", "@"], "suffix": "@", **STEERING},
    "responses": {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "@"}]},
            {"type": "message", "role": "assistant", "id": "#", "content": [{"type": "output_text", "text": "@"}]},
            {"type": "function_call", "id": "#", "call_id": "@", "name": "@", "namespace": "@", "arguments": "@"},
            {"type": "function_call_output", "call_id": "@", "output": [{"type": "input_text", "text": "@"}]},
            {"type": "custom_tool_call", "call_id": "@", "name": "@", "input": "@"},
            {"type": "custom_tool_call_output", "call_id": "@", "output": "@"},
            {
                "type": "reasoning",
                "id": "#",
                "summary": [{"type": "summary_text", "text": "@"}],
                "content": [{"type": "reasoning_text", "text": "@"}],
            },
        ],
        "instructions": "@",
        "tools": [{"type": "function", "name": "@", "parameters": {"k": "@"}}, {"type": "mcp", "server_label": "@"}],
        "previous_input_messages": [{"author": {"role": "user"}, "content": [{"text": "@"}]}],
        "text": {"format": {"type": "json_schema", "name": "@", "schema": {"k": "@"}}},
        "reasoning": {"effort": "@"},
        "stop": "@",
    },
    "messages": {**ANTHROPIC, "stop_sequences": ["@"], "metadata": {"user_id": "#"}},
    "count_tokens": ANTHROPIC,
    "embeddings": {"input": "@", "messages": CONVERSATION, **TEMPLATE},
    "cohere": {"texts": ["@"], "inputs": [{"content": [{"type": "text", "text": "@"}]}], "input_type": "@"},
    "pooling": {"input": ["@", "@"], "messages": CONVERSATION},
    "classify": {"input": [[CONVERSATION[0]]], "messages": CONVERSATION},
    "score": {**dict.fromkeys(("queries", "documents", "items", "data_1", "data_2", "text_1", "text_2"), SIDE), "instruction": "@"},
    "rerank": {"query": SIDE[1], "documents": SIDE, "chat_template_kwargs": {"k": "@"}},
    "tokenize": {"prompt": "@", "messages": CONVERSATION, "tools": [TOOL], **TEMPLATE},
    "detokenize": {"tokens": [1, 2]},
}  # fmt: skip


class Marked:
    """A copy of a document in which every text has a number of its own, and the list of its objects."""

    def __init__(self, document):
        self.texts, self.ids, self.objects = [], [], []
        self.document = self._copy(copy.deepcopy(document))

    def _copy(self, value):
        if isinstance(value, dict):
            copied = {key: self._copy(item) for key, item in value.items()}
            self.objects.append(copied)
            return copied
        if isinstance(value, list):
            return [self._copy(item) for item in value]
        if value == "@":
            self.texts.append(f"text{len(self.texts)}.")
            return self.texts[-1]
        if value == "#":
            self.ids.append(f"id{len(self.ids)}.")
            return self.ids[-1]
        return value


@pytest.mark.parametrize("surface", RICH)
def test_every_text_of_a_request_is_in_a_segment_and_is_sent(surface):
    marked = Marked(RICH[surface])
    inquiry = PARSERS[surface][0](marked.document)
    read = "\n".join(segment.text for segment in inquiry.segments)
    sent = encode(inquiry.document).decode()
    assert [text for text in marked.texts if text not in read] == []
    assert [text for text in marked.texts if text not in sent] == []
    assert [name for name in marked.ids if name in read] == []
    assert all(segment.path for segment in inquiry.segments)


SMUGGLED = "smuggled."
NAMES = st.sampled_from(
    ["text", "content", "role", "name", "type", "reasoning", "thinking", "refusal", "image_url", "uuid", "author", "recipient",
     "channel", "tools", "tool_calls", "task", "input", "output", "arguments", "instructions", "system", "prompt", "data",
     "messages", "documents", "source", "title", "context", "annotations", "summary", "encrypted_content", "description"]
)  # fmt: skip
VALUES = st.sampled_from(
    [SMUGGLED, [SMUGGLED], {"text": SMUGGLED}, [{"type": "text", "text": SMUGGLED}], [{"role": "user", "content": SMUGGLED}],
     {"url": SMUGGLED}, {"role": SMUGGLED}, [[SMUGGLED]]]
)  # fmt: skip


@settings(max_examples=200)
@given(surface=st.sampled_from(sorted(RICH)), data=st.data())
def test_text_put_anywhere_is_refused_dropped_or_read(surface, data):
    marked = Marked(RICH[surface])
    target = data.draw(st.sampled_from(marked.objects))
    target[data.draw(NAMES)] = data.draw(VALUES)
    try:
        inquiry = PARSERS[surface][0](marked.document)
    except Malformed:
        return
    if SMUGGLED in encode(inquiry.document).decode():
        read = any(SMUGGLED in segment.text for segment in inquiry.segments)
        assert read or inquiry.unscannable


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(NAMES | st.text(max_size=3), values, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150)
@given(surface=st.sampled_from(sorted(PARSERS)), data=st.data())
def test_any_document_is_parsed_or_malformed_and_parsing_again_changes_nothing(surface, data):
    parse, table = PARSERS[surface]
    names = st.sampled_from(sorted(table)) | st.text(max_size=3)
    document = data.draw(st.dictionaries(names, JSON, max_size=3))
    essential = {"messages", "input", "prompt"} & table.keys()
    if essential and data.draw(st.booleans()):
        document.setdefault(min(essential), copy.deepcopy(RICH[surface][min(essential & RICH[surface].keys())]))
    try:
        first = parse(document)
    except Malformed:
        return
    assert document.keys() <= table.keys()
    assert None not in document.values()
    sent = encode(first.document)
    assert json.loads(sent) == first.document
    again = parse(decode(sent, "application/json", max_depth=64))
    assert encode(again.document) == sent
    assert (again.uses, again.segments, again.choices, again.stream) == (
        first.uses,
        first.segments,
        first.choices,
        first.stream,
    )
