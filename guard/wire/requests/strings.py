"""Text outside of messages: structures whose every string counts, and fields that steer or template the output."""

from collections.abc import Sequence
from typing import Any

from guard.exchange.inquiry import FieldUse, Inquiry
from guard.screening.segments import Segment, Source
from guard.wire.coercion import show
from guard.wire.dialect import Malformed

_SOURCES = {
    "chat_template": Source.SYSTEM,
    "chat_template_kwargs": Source.USER,
    "instruction": Source.SYSTEM,
    "input_type": Source.SYSTEM,
    "instructions": Source.SYSTEM,
    "media_io_kwargs": Source.USER,
    "mm_processor_kwargs": Source.USER,
    "suffix": Source.USER,
    "bad_words": Source.TOOL_DEFINITION,
    "guided_decoding_backend": Source.TOOL_DEFINITION,
    "kv_transfer_params": Source.TOOL_DEFINITION,
    "ec_transfer_params": Source.TOOL_DEFINITION,
    "output_config": Source.TOOL_DEFINITION,
    "reasoning": Source.TOOL_DEFINITION,
    "response_format": Source.TOOL_DEFINITION,
    "stop": Source.TOOL_DEFINITION,
    "stop_sequences": Source.TOOL_DEFINITION,
    "structured_outputs": Source.TOOL_DEFINITION,
    "text": Source.TOOL_DEFINITION,
    "thinking": Source.TOOL_DEFINITION,
    "tool_choice": Source.TOOL_DEFINITION,
    "vllm_xargs": Source.TOOL_DEFINITION,
}
"""Top-level fields whose strings a template may print or a decoder may force, and the source they count as."""

_NAMES = frozenset(_SOURCES)


def steer(inquiry: Inquiry) -> None:
    """Add a segment for each top-level field, messages, prompts and tools aside, that carries text to the model.

    Token ids of a whole prompt in ``kv_transfer_params`` become a token prompt.
    """
    document = inquiry.document
    if _NAMES.isdisjoint(document):
        return
    for name in document:
        source = _SOURCES.get(name)
        if source is None:
            continue
        found = strings(document[name])
        if found:
            inquiry.segments.append(Segment(source, found, name))
    transfer = document.get("kv_transfer_params")
    if transfer is not None and transfer.get("prompt_token_ids") is not None:
        inquiry.token_prompts.append(token_ids(transfer["prompt_token_ids"], "kv_transfer_params.prompt_token_ids"))


def samples(inquiry: Inquiry, n: int) -> None:
    """Add the uses of several answers to a prompt.

    ``n`` is worth all answers of the request, beam search the ``n`` sequences of its width.
    """
    if n > 1:
        inquiry.uses.append(FieldUse("samples", "n", inquiry.choices))
    if inquiry.document.get("use_beam_search"):
        inquiry.uses.append(FieldUse("samples", "use_beam_search", n))


def strings(value: Any) -> str:
    """Return every string in a JSON value, keys included, in order, a line each."""
    if type(value) is str:
        return value
    found: list[str] = []
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if type(item) is str:
            found.append(item)
        elif type(item) is dict:
            for key, member in reversed(item.items()):
                pending.append(member)
                pending.append(key)
        elif type(item) is list:
            pending.extend(reversed(item))
    return "\n".join(found)


def tools(value: list[Any], path: str, inquiry: Inquiry, kinds: Sequence[str]) -> None:
    """Add one segment with every string of these tool definitions.

    Raises Malformed for a type that is not in ``kinds``; the first of them is the type of a tool that names none.
    """
    for index, tool in enumerate(value):
        if type(tool) is not dict:
            raise Malformed(f"{path}[{index}]", show(tool), "an object")
        kind = tool.get("type", kinds[0])
        if type(kind) is not str or kind not in kinds:
            raise Malformed(f"{path}[{index}].type", show(kind), ", ".join(kinds))
    if value:
        inquiry.segments.append(Segment(Source.TOOL_DEFINITION, strings(value), path))


def token_ids(value: Any, path: str) -> list[int]:
    """Return a prompt of token ids. Raises Malformed if it is empty or not all non-negative integers."""
    if type(value) is not list or not value:
        raise Malformed(path, show(value), "a non-empty array of token ids")
    for index, token in enumerate(value):
        if type(token) is not int or token < 0:
            raise Malformed(f"{path}[{index}]", show(token), "a token id")
    return value


def prompts(value: Any, path: str, inquiry: Inquiry) -> int:
    """Add a segment or a token prompt for each prompt of ``value`` and return how many there are.

    The four shapes are a string, an array of strings, token ids, and an array of token id arrays. Raises Malformed for
    any other, mixed ones included.
    """
    if type(value) is str:
        inquiry.segments.append(Segment(Source.USER, value, path))
        return 1
    if type(value) is not list or not value:
        raise Malformed(path, show(value), "a string, strings, token ids, or arrays of token ids")
    first = type(value[0])
    if first is str:
        for index, prompt in enumerate(value):
            if type(prompt) is not str:
                raise Malformed(f"{path}[{index}]", show(prompt), "a string")
            inquiry.segments.append(Segment(Source.USER, prompt, f"{path}[{index}]"))
        return len(value)
    if first is list:
        inquiry.token_prompts.extend(token_ids(prompt, f"{path}[{index}]") for index, prompt in enumerate(value))
        return len(value)
    inquiry.token_prompts.append(token_ids(value, path))
    return 1
