"""Lax values: whatever a reader accepts, vLLM's pydantic models read as the same number, boolean or string."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from guard.wire import coercion
from guard.wire.dialect import Malformed
from guard.wire.fields import CHAT, COMPLETIONS, typed

# What vLLM 0.32.0 did with these values, field by field.
MEASURED = [
    (CHAT, "n", "2", 2),
    (CHAT, "n", 2.0, 2),
    (CHAT, "n", True, 1),
    *((CHAT, name, value, True) for name in ("logprobs", "stream", "return_token_ids")
      for value in ("true", "yes", "on", "t", "Y", 1, "1", 1.0, True)),
    *((CHAT, "logprobs", value, False) for value in ("false", "no", "off", "F", "N", 0, "0", 0.0, False)),
    (CHAT, "top_logprobs", 2.0, 2),
    (CHAT, "top_logprobs", True, 1),
    (CHAT, "prompt_logprobs", True, 1),
    (COMPLETIONS, "logprobs", True, 1),
    (CHAT, "max_tokens", "3", 3),
    (CHAT, "max_tokens", 1e1, 10),
    (CHAT, "temperature", "0.5", 0.5),
    (CHAT, "temperature", 1, 1),
    (CHAT, "seed", -5, -5),
]  # fmt: skip


@pytest.mark.parametrize(("table", "name", "value", "expected"), MEASURED)
def test_a_lax_value_is_written_back_as_what_vllm_reads(table, name, value, expected):
    document = {name: value}
    typed("chat", table, document)
    assert document == {name: expected}
    assert type(document[name]) is type(expected)


@pytest.mark.parametrize("name", ["n", "logprobs", "stream", "max_tokens", "temperature", "model", "tools"])
def test_null_is_the_default_and_is_kept_as_absent(name):
    document = {name: None}
    inquiry = typed("chat", CHAT, document)
    assert (document, inquiry.uses, inquiry.unknown) == ({}, [], [])


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("n", 2.5, "2.5"),
        ("n", "two", "'two'"),
        ("n", [1], "an array"),
        ("n", 0, "0"),
        ("n", -1, "-1"),
        ("n", "1e1", "'1e1'"),
        ("top_logprobs", -2, "-2"),
        ("logprobs", 2, "2"),
        ("logprobs", "maybe", "'maybe'"),
        ("logprobs", {}, "an object"),
        ("temperature", "hot", "'hot'"),
        ("temperature", "nan", "'nan'"),
        ("temperature", "inf", "'inf'"),
        ("seed", 2**63, "a number"),
        ("user", 5, "5"),
        ("stop", [1], "1"),
        ("logit_bias", [], "an array"),
        ("logit_bias", {"5": "x"}, "'x'"),
        ("vllm_xargs", {"a": {"b": 1}}, "an object"),
        ("reasoning_effort", "a very long effort that nobody knows of at all", "a string"),
        ("tool_choice", "any", "'any'"),
    ],
)
def test_what_cannot_be_typed_names_its_path_and_what_was_found(name, value, found):
    with pytest.raises(Malformed) as caught:
        typed("chat", CHAT, {name: value})
    assert caught.value.path.startswith(name)
    assert caught.value.found == found
    assert caught.value.allowed


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(
        ["1", "-3", "+3", "1_000", " 2 ", "2.0", "0x1", "1e3", "", "-", "--1", "٣", "yes", "YES", "oN", "nan"]
    ),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=1),
)


@pytest.mark.parametrize(
    ("read", "kind"),
    [(coercion.integer(-(2**63)), int), (coercion.boolean, bool), (coercion.number, float), (coercion.text, str)],
    ids=["int", "bool", "float", "str"],
)
@settings(max_examples=100)
@given(value=VALUES)
def test_readers_accept_at_most_what_pydantic_accepts_with_the_same_result(read, kind, value):
    try:
        found = read(value, "x")
    except Malformed:
        return
    assert found == TypeAdapter(kind).validate_python(value)
    assert isinstance(found, kind) or (kind is float and type(found) is int)
