"""The request fields of vLLM 0.32.0, by surface: type, bounds, and the capability a policy rules on.

Names and types are those of vLLM's own request models; ``tests/contract`` fails when the two differ. A field that is
not here does not reach vLLM.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from guard.exchange.inquiry import FieldUse, Inquiry
from guard.wire.coercion import (
    INT32_MAX,
    INT64_MAX,
    INT64_MIN,
    Reader,
    array,
    boolean,
    choice,
    either,
    integer,
    listed,
    mapping,
    members,
    number,
    record,
    text,
    unsupported,
)

WHOLE_VOCABULARY = INT32_MAX
"""What a use of ``top_logprobs: -1`` (every token of the vocabulary) is worth to a clamp."""

CLAIMS = ("user", "safety_identifier")
"""Top-level strings in which a client names its end user."""

NESTED = (("litellm_metadata", "user"), ("metadata", "user_id"))
"""Members of objects in which gateways and coding agents do."""


class Field(NamedTuple):
    """One top-level field: how it is read and, if a policy may rule on it, when that is a use.

    ``use`` takes the typed value and returns the value of the FieldUse, or None where the field is at its default.
    """

    read: Reader
    capability: str | None = None
    use: Callable[[Any], Any] | None = None
    plain: type | None = None
    """The type of which ``read`` returns every value as it is."""


Table = Mapping[str, Field]


def typed(surface: str, table: Table, document: dict[str, Any]) -> Inquiry:
    """Return an inquiry whose document has only fields of ``table``, typed in place.

    Nulls mean the default and are removed. Names that are not in ``table`` are removed and listed as unknown, except
    those that only claim an identity. Raises Malformed for a value that cannot be typed.
    """
    inquiry = Inquiry(surface, document, None, False, [], [], {}, [], [], [])
    if not _CLAIMING.isdisjoint(document):
        inquiry.claimed = _claims(document)
    removed: list[str] = []
    for name, value in document.items():
        field = table.get(name)
        if field is None:
            removed.append(name)
            if name not in _CLAIMING:
                inquiry.unknown.append(name)
        elif value is None:
            removed.append(name)
        elif type(value) is not field.plain:
            read, capability, use, _ = field
            found = read(value, name)
            if found is not value:
                document[name] = found
            if use is not None:
                worth = use(found)
                if worth is not None:
                    inquiry.uses.append(FieldUse(capability or "", name, worth))
    for name in removed:
        del document[name]
    inquiry.model = document.get("model") or None
    if inquiry.model is None:
        document.pop("model", None)  # vLLM serves its default model for an empty name too
    inquiry.stream = document.get("stream", False)
    return inquiry


def _claims(document: dict[str, Any]) -> dict[str, str]:
    claimed: dict[str, str] = {}
    for name in CLAIMS:
        value = document.get(name)
        if type(value) is str and value:
            claimed[name] = value
    for outer, inner in NESTED:
        members_ = document.get(outer)
        if type(members_) is dict:
            value = members_.get(inner)
            if type(value) is str and value:
                claimed[f"{outer}.{inner}"] = value
    return claimed


_CLAIMING = frozenset({*CLAIMS, *(outer for outer, _ in NESTED)})


# When a value is a use. None: at its default.


def _present(value: Any) -> Any:
    return True if value else None


def _refused(value: Any) -> Any:
    return True if value is False else None


def _above(default: int) -> Callable[[Any], Any]:
    return lambda value: value if value != default else None


def _tokens(value: Any) -> Any:
    return WHOLE_VOCABULARY if value < 0 else value


def _top(value: Any) -> Any:
    return _tokens(value) if value else None


def _length(value: Any) -> Any:
    return value


def _format(value: Any) -> Any:
    return True if value.get("type") != "text" else None


def _nested_format(value: Any) -> Any:
    form = value.get("format")
    return True if type(form) is dict and form.get("type") != "text" else None


def _logprobs_included(value: Any) -> Any:
    return True if "message.output_text.logprobs" in value else None


def _forced(value: Any) -> Any:
    """A tool choice that makes the answer a call: all but ``auto`` and ``none`` in the three dialects' forms."""
    if type(value) is dict:
        return True if value.get("type") not in {"auto", "none"} and value.get("mode") != "auto" else None
    return True if value == "required" else None


def _stated(value: Any) -> Any:  # noqa: ARG001 - whatever it is: the default is to be told nothing
    return True


HARMLESS_KWARGS = frozenset({"enable_thinking", "thinking", "reasoning_effort"})
"""Keys of ``chat_template_kwargs`` that only switch reasoning; any other is a use of ``chat_template``."""


def _template_kwargs(value: Any) -> Any:
    return True if value.keys() - HARMLESS_KWARGS else None


# Types.

_STRING = Field(text, plain=str)
_FLAG = Field(boolean, plain=bool)
_NUMBER = Field(number)
_INTEGER = Field(integer())
_ANY_OBJECT = Field(mapping, plain=dict)
_ARRAY = Field(array, plain=list)
_STRINGS = Field(listed(text, "an array of strings"))
_TOKEN_IDS = listed(integer(0), "an array of token ids")
_BIASES = members(number, "an object of numbers")
_XARGS = members(
    either(
        list,
        listed(either(str, text, number), "an array of strings or numbers"),
        either(str, text, number),
    ),
    "an object of strings, numbers or arrays of them",
)
_STOP = Field(either(str, text, listed(text, "a string or an array of strings")))
_SEED = Field(integer(INT64_MIN, INT64_MAX))
_TRUNCATE = Field(integer(-1, INT64_MAX))
_SIDE = Field(choice("left", "right"))
_RESPONSE_FORMAT = Field(mapping, "guided", _format)
_TOOL_CHOICE = Field(either(dict, mapping, choice("none", "auto", "required")), "guided", _forced)
_IGNORE_EOS = Field(boolean, "length", _present)

# Fields that several surfaces share.

_CALLER: dict[str, Field] = {
    "request_id": Field(text, "caller_ids", _present),
    "cache_salt": Field(text, "caller_ids", _present),
    "priority": Field(integer(INT64_MIN, INT64_MAX), "caller_ids", _above(0)),
}
_SESSION: dict[str, Field] = {"session_id": Field(text, "caller_ids", _present)}
_TRANSFER: dict[str, Field] = {
    "kv_transfer_params": Field(mapping, "kv_transfer", _present),
    "ec_transfer_params": Field(mapping, "kv_transfer", _present),
    "vllm_xargs": Field(_XARGS, "extra_args", _present),
}
_RENDERED: dict[str, Field] = {
    "mm_payload": Field(choice("tensors", "none")),
    "return_mm_kwargs": _FLAG,
}
_TEMPLATE: dict[str, Field] = {
    "chat_template": Field(text, "chat_template", _present),
    "chat_template_kwargs": Field(mapping, "chat_template", _template_kwargs),
    "media_io_kwargs": Field(mapping, "chat_template", _present),
    "mm_processor_kwargs": Field(mapping, "chat_template", _present),
}
_PREFILL: dict[str, Field] = {
    "add_generation_prompt": Field(boolean, "prefill", _refused),
    "continue_final_message": Field(boolean, "prefill", _present),
}
_SAMPLING: dict[str, Field] = {
    "model": _STRING,
    "user": _STRING,
    "frequency_penalty": _NUMBER,
    "presence_penalty": _NUMBER,
    "repetition_penalty": _NUMBER,
    "length_penalty": _NUMBER,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": _INTEGER,
    "min_p": _NUMBER,
    "seed": _SEED,
    "stop": _STOP,
    "include_stop_str_in_output": _FLAG,
    "max_tokens": Field(integer(0), "length", _length),
    "n": Field(integer(1), "samples"),  # worth prompts times n: the parser adds the use
    "use_beam_search": Field(boolean, "samples"),  # worth n, likewise
    "logit_bias": Field(_BIASES, "logit_bias", _present),
    "logprob_token_ids": Field(_TOKEN_IDS, "logprob_token_ids", _present),
    "structured_outputs": Field(mapping, "guided", _present),
    "response_format": _RESPONSE_FORMAT,
    "watermarking": Field(boolean, "watermark_opt_out", _refused),
    "return_token_ids": Field(boolean, "token_ids", _present),
    "return_tokens_as_token_ids": Field(boolean, "token_ids", _present),
    **_CALLER,
}
_GENERATION: dict[str, Field] = {
    **_SAMPLING,
    **_SESSION,
    **_TRANSFER,
    **_RENDERED,
    "stream": _FLAG,
    "stream_options": Field(record(include_usage=boolean, continuous_usage_stats=boolean)),
    "stream_interval": Field(integer(1)),
    "stop_token_ids": Field(_TOKEN_IDS),
    "ignore_eos": _IGNORE_EOS,
    "min_tokens": Field(integer(0), "length", _above(0)),
    "skip_special_tokens": _FLAG,
    "spaces_between_special_tokens": _FLAG,
    "add_special_tokens": _FLAG,
    "truncate_prompt_tokens": _TRUNCATE,
    "truncation_side": _SIDE,
    "prompt_logprobs": Field(integer(-1), "prompt_logprobs", _tokens),
    "allowed_token_ids": Field(_TOKEN_IDS, "logit_bias", _present),
    "bad_words": Field(_STRINGS.read, "logit_bias", _present),
    "routed_experts_prompt_start": Field(integer(0), "routed_experts", _stated),
    "return_token_offsets": _FLAG,
    "repetition_detection": Field(
        record(max_pattern_size=integer(), min_pattern_size=integer(), min_count=integer()),
    ),
    "thinking_token_budget": Field(integer(-1)),
}
_TOP_LOGPROBS = Field(integer(-1), "logprobs", _top)

# The surfaces.

CHAT: Table = {
    **_GENERATION,
    **_TEMPLATE,
    **_PREFILL,
    "messages": _ARRAY,
    "documents": Field(listed(members(text, "an object of strings"), "an array of objects")),
    "tools": _ARRAY,
    "tool_choice": _TOOL_CHOICE,
    "parallel_tool_calls": _FLAG,
    "max_completion_tokens": Field(integer(0), "length", _length),
    "logprobs": Field(boolean, "logprobs", _present),
    "top_logprobs": _TOP_LOGPROBS,
    "reasoning_effort": Field(choice("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    "include_reasoning": _FLAG,
    "echo": Field(boolean, "prompt_logprobs", _present),
    "return_prompt_text": Field(boolean, "token_ids", _present),
}

COMPLETIONS: Table = {
    **_GENERATION,
    "prompt": Field(either(str, text, array)),
    "prompt_embeds": Field(
        either(str, text, listed(text, "a base64 string or an array of them")), "prompt_embeds", _present
    ),
    "suffix": _STRING,
    "logprobs": Field(integer(-1), "logprobs", _tokens),
    "echo": Field(boolean, "echo", _present),
}

BATCH: Table = {
    **_SAMPLING,
    **_TEMPLATE,
    **_PREFILL,
    "messages": _ARRAY,
    "max_completion_tokens": Field(integer(0), "length", _length),
    "logprobs": Field(boolean, "logprobs", _present),
    "top_logprobs": _TOP_LOGPROBS,
    "tool_choice": Field(choice("none")),
    "include_reasoning": _FLAG,
    "best_of": Field(integer(1), "samples", _above(1)),
    "early_stopping": _FLAG,
    "guided_decoding_backend": Field(text, "guided", _present),
    "echo": Field(boolean, "prompt_logprobs", _present),
}

_INCLUDE = choice(
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
)

RESPONSES: Table = {
    **_CALLER,
    **_SESSION,
    **_TRANSFER,
    **_RENDERED,
    "model": _STRING,
    "user": _STRING,
    "input": Field(either(str, text, array)),
    "instructions": _STRING,
    "prompt": Field(unsupported("nothing: vLLM has no prompt templates")),
    "previous_input_messages": Field(array, "stored", _present),
    "previous_response_id": Field(text, "stored", _present),
    "background": Field(boolean, "stored", _present),
    "store": Field(boolean, "stored", _present),
    "include": Field(listed(_INCLUDE, "an array of strings"), "logprobs", _logprobs_included),
    "top_logprobs": _TOP_LOGPROBS,
    "enable_response_messages": Field(boolean, "token_ids", _present),
    "logit_bias": Field(_BIASES, "logit_bias", _present),
    "max_output_tokens": Field(integer(0), "length", _length),
    "max_tool_calls": _INTEGER,
    "metadata": Field(members(text, "an object of strings")),
    "parallel_tool_calls": _FLAG,
    "prompt_cache_key": Field(text, "caller_ids", _present),
    "reasoning": _ANY_OBJECT,
    "include_reasoning": _FLAG,
    "service_tier": Field(choice("auto", "default", "flex", "scale", "priority")),
    "stream": _FLAG,
    "text": Field(mapping, "guided", _nested_format),
    "structured_outputs": Field(mapping, "guided", _present),
    "tools": _ARRAY,
    "tool_choice": _TOOL_CHOICE,
    "truncation": Field(choice("auto", "disabled")),
    "watermarking": Field(boolean, "watermark_opt_out", _refused),
    "chat_template_kwargs": _TEMPLATE["chat_template_kwargs"],
    "media_io_kwargs": _TEMPLATE["media_io_kwargs"],
    "mm_processor_kwargs": _TEMPLATE["mm_processor_kwargs"],
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": _INTEGER,
    "min_p": _NUMBER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "repetition_penalty": _NUMBER,
    "seed": _SEED,
    "stop": _STOP,
    "stop_token_ids": Field(_TOKEN_IDS),
    "ignore_eos": _IGNORE_EOS,
    "skip_special_tokens": _FLAG,
    "include_stop_str_in_output": _FLAG,
}

COUNT_TOKENS: Table = {
    "model": _STRING,
    "messages": _ARRAY,
    "system": Field(either(str, text, array)),
    "tools": _ARRAY,
    "tool_choice": Field(mapping, "guided", _forced),
    "thinking": _ANY_OBJECT,
    "output_config": Field(mapping, "guided", _nested_format),
    "chat_template_kwargs": _TEMPLATE["chat_template_kwargs"],
}

MESSAGES: Table = {
    **COUNT_TOKENS,
    **_TRANSFER,
    **_RENDERED,
    "max_tokens": Field(integer(1), "length", _length),
    "metadata": Field(record(user_id=text)),
    "stop_sequences": _STRINGS,
    "stream": _FLAG,
    "temperature": _NUMBER,
    "top_k": _INTEGER,
    "top_p": _NUMBER,
    "cache_salt": _CALLER["cache_salt"],
    "watermarking": Field(boolean, "watermark_opt_out", _refused),
}

# Pooling surfaces: several request models behind one path, so the table is their union.

_POOLED: dict[str, Field] = {
    **_CALLER,
    "model": _STRING,
    "user": _STRING,
    "truncate_prompt_tokens": _TRUNCATE,
    "truncation_side": _SIDE,
    "padding": Field(choice("max_length", "do_not_pad")),
    "mm_processor_kwargs": _TEMPLATE["mm_processor_kwargs"],
}
_POOLED_INPUT: dict[str, Field] = {
    **_POOLED,
    **_TEMPLATE,
    "input": Field(either(str, text, array)),
    "messages": _ARRAY,
    "add_special_tokens": _FLAG,
    "add_generation_prompt": _FLAG,  # off by default here: true is no prefill
    "continue_final_message": _PREFILL["continue_final_message"],
    "use_activation": _FLAG,
}
_ENCODED: dict[str, Field] = {
    "encoding_format": Field(
        choice("float", "base64")
    ),  # the two binary formats are no JSON: Guard reads no such answer
    "embed_dtype": Field(choice("float32", "float16", "bfloat16", "fp8_e4m3", "fp8_e5m2")),
    "endianness": Field(choice("native", "big", "little")),
    "dimensions": Field(integer(1)),
}

EMBEDDINGS: Table = {**_POOLED_INPUT, **_ENCODED}

POOLING: Table = {
    **_POOLED_INPUT,
    **_ENCODED,
    "task": Field(choice("embed", "classify", "token_embed", "token_classify", "embed&token_classify")),
    "data": Field(unsupported("nothing: input of plugins has no known text")),
}

CLASSIFY: Table = _POOLED_INPUT

COHERE_EMBED: Table = {
    "model": _STRING,
    "input_type": _STRING,
    "texts": _STRINGS,
    "images": _STRINGS,
    "inputs": _ARRAY,
    "output_dimension": Field(integer(1)),
    "embedding_types": Field(listed(choice("float", "binary", "ubinary", "base64"), "an array of strings")),
    "truncate": Field(choice("NONE", "START", "END")),
    "max_tokens": Field(integer(0), "length", _length),
    "priority": _CALLER["priority"],
}

_SCORED: dict[str, Field] = {
    **_POOLED,
    "use_activation": _FLAG,
    "max_tokens_per_query": Field(integer(0)),
    "max_tokens_per_doc": Field(integer(0)),
    "instruction": _STRING,
    "chat_template_kwargs": _TEMPLATE["chat_template_kwargs"],
}
_SIDES = Field(either(str, text, either(dict, mapping, array)))

SCORE: Table = {
    **_SCORED,
    **dict.fromkeys(("queries", "documents", "items", "data_1", "data_2", "text_1", "text_2"), _SIDES),
}

RERANK: Table = {**_SCORED, "query": _SIDES, "documents": _SIDES, "top_n": Field(integer(0))}

TOKENIZE: Table = {
    **_TEMPLATE,
    **_PREFILL,
    "model": _STRING,
    "prompt": _STRING,
    "messages": _ARRAY,
    "tools": _ARRAY,
    "add_special_tokens": _FLAG,
    "return_token_strs": _FLAG,
}

DETOKENIZE: Table = {"model": _STRING, "tokens": Field(_TOKEN_IDS)}
