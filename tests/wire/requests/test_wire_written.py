"""What came is written once, and sent as it was written if nothing changed it; else it is written anew."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.wire.body import decode, encode
from guard.wire.dialect import Malformed
from guard.wire.requests import everyday
from guard.wire.surfaces import SURFACES

JSON = "application/json"
CHAT, COMPLETIONS = SURFACES["/v1/chat/completions"], SURFACES["/v1/completions"]

scalars = (
    st.none() | st.booleans() | st.integers(-3, 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "narrator"])},
    optional={
        "content": st.text()
        | st.none()
        | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})),
        "name": st.text() | st.none(),
        "unheard_of": values,
        "tool_calls": st.just([{"id": "a", "function": {"name": "f", "arguments": "{}"}, "more": 1}]),
    },
)
fields = {
    "model": st.sampled_from(["tiny", "", None]),
    "user": st.text() | st.none(),
    "stream": st.sampled_from([True, False, "yes", 1, None]),
    "temperature": st.sampled_from([0, 0.5, "0.5", True, None]),
    "max_tokens": st.sampled_from([5, "5", 5.0, None]),
    "n": st.sampled_from([1, 2, "2"]),
    "stop": st.sampled_from(["a", ["a", "b"], None]),
    "stop_token_ids": st.sampled_from([[1], ["1"], [True]]),
    "logit_bias": st.sampled_from([{"1": 2}, {"1": "2"}, {}]),
    "stream_options": st.sampled_from([{"include_usage": True}, {"include_usage": "on", "more": 1}]),
    "tools": st.just([{"type": "function", "function": {"name": "f"}, "more": None}]),
    "response_format": st.just({"type": "json_object"}),
    "documents": st.just([{"text": "a"}]),
    "metadata": st.just({"user_id": "u"}),
    "litellm_metadata": st.just({"user": "u"}),
    "unheard_of": values,
}
said = st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant", "tool"]), "content": st.text()})
everyday_fields = {
    "user": st.text(),
    "stream": st.booleans(),
    "temperature": st.integers(-1, 2) | st.floats(0, 2),
    "seed": st.integers(-(2**64), 2**64),
    "max_completion_tokens": st.integers(-1, 9),
    "max_tokens": st.integers(0, 9),
}
chats = st.fixed_dictionaries({"messages": st.lists(messages, max_size=3)}, optional=fields) | st.fixed_dictionaries(
    {"messages": st.lists(said, max_size=3), "model": st.sampled_from(["tiny", ""])}, optional=everyday_fields
)
prompts = st.text() | st.lists(st.text(), min_size=1, max_size=2) | st.lists(st.integers(0, 9), min_size=1, max_size=3)
completions = st.fixed_dictionaries({"prompt": prompts}, optional=fields)


def outcome(act: Callable[[], Any]) -> Any:
    """What ``act`` returns, or what it says against the body."""
    try:
        return act()
    except Malformed as refused:
        return str(refused)


@settings(max_examples=300)
@given(st.data(), st.sampled_from([CHAT, COMPLETIONS]), st.sampled_from([None, 2]), st.booleans())
def test_what_is_sent_is_the_document_whatever_road_it_took(data, surface, indent, ascii_only):
    document = data.draw(chats if surface is CHAT else completions)
    raw = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    known, found = (
        outcome(lambda: surface.parse(decode(raw, JSON, max_depth=64))),
        outcome(lambda: surface.read(raw, JSON, max_depth=64)),
    )
    if isinstance(known, str) or isinstance(found, str):
        assert known == found
        return
    assert surface.write(found) == encode(known.document)
    assert replace(found, written=None) == known


EVERYDAY = {
    "model": "tiny",
    "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "\n: {é"}],
    "user": "u",
    "stream": True,
    "temperature": 1,
    "top_p": 0.5,
    "seed": -1,
    "max_tokens": 5,
}


@pytest.mark.parametrize("indent", [None, 1])
def test_a_request_of_every_day_is_written_once(indent):
    inquiry = CHAT.read(json.dumps(EVERYDAY, indent=indent).encode(), JSON, max_depth=64)
    assert inquiry.written == encode(EVERYDAY)
    assert CHAT.write(inquiry) is inquiry.written


@pytest.mark.parametrize(
    "change",
    [
        {"model": ""},
        {"user": None},
        {"user": ""},
        {"n": 1},
        {"temperature": "1"},
        {"max_tokens": -1},
        {"max_tokens": 5.0},
        {"seed": 2**63},
        {"temperature": 2**60},
        {"unheard_of": 1},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": "a", "name": "b"}]},
        {"messages": [{"role": "narrator", "content": "a"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
    ],
)
def test_any_other_request_is_left_to_the_long_road(change):
    assert everyday.read(json.dumps(EVERYDAY | change).encode()) is None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"a","model":"b","messages":[]}',
        b'{"model":"a","messages":[{"role":"user","content":"a","content":"b"}]}',
        b'{"model":"a","messages":[{"role":"user","content":"\\u003a","content":"b"}]}',
    ],
)
def test_a_key_that_is_there_twice_is_refused_by_either_road(raw):
    assert everyday.read(raw) is None
    with pytest.raises(Malformed, match="the key is there twice"):
        CHAT.read(raw, JSON, max_depth=64)


@pytest.mark.parametrize(("content_type", "depth"), [("text/plain", 64), (None, 64), (JSON, 2)])
def test_the_short_road_is_no_way_round_what_is_asked_of_every_body(content_type, depth):
    with pytest.raises(Malformed):
        CHAT.read(json.dumps(EVERYDAY).encode(), content_type, max_depth=depth)


def test_a_document_that_was_taken_to_change_it_is_written_anew():
    inquiry = CHAT.read(b'{"model":"tiny","messages":[],"max_tokens":9}', JSON, max_depth=64)
    inquiry.edit()["max_tokens"] = 3
    assert CHAT.write(inquiry) == b'{"model":"tiny","messages":[],"max_tokens":3}'


def test_what_is_sealed_is_never_sent_as_it_came():
    for path, raw in (("/v1/responses", b'{"input":"a"}'), ("/v1/messages", b'{"messages":[],"max_tokens":1}')):
        surface = SURFACES[path]
        inquiry = surface.read(raw, JSON, max_depth=64)
        expected = copy.deepcopy(inquiry.document)
        assert surface.write(inquiry) == surface.encode(expected)


@given(values, st.integers(1, 20))
def test_deep_and_shallow_bodies_are_read_alike(value, depth):
    raw = json.dumps({"a": value}).encode()
    for allowed in (7, 8, depth, 64):
        found = outcome(lambda allowed=allowed: decode(raw, JSON, max_depth=allowed))
        assert found == ({"a": value} if deep({"a": value}) <= allowed else too_deep(allowed))


def too_deep(allowed: int) -> str:
    return f"body: deeper nesting; allowed: {allowed} levels"


def deep(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(deep, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(deep, value), default=0)
    return 0


@pytest.mark.parametrize("levels", [7, 8, 9, 10])
def test_the_limit_of_depth_is_exact_around_what_is_shallow(levels):
    raw = b'{"a":' * levels + b"1" + b"}" * levels
    for allowed in (7, 8, 9, 10):
        if levels <= allowed:
            assert encode(decode(raw, JSON, max_depth=allowed)) == raw
        else:
            with pytest.raises(Malformed, match="deeper nesting"):
                decode(raw, JSON, max_depth=allowed)
