"""The dialects whose streams are typed events, as vLLM 0.32 writes them: OpenAI responses and Anthropic messages."""

import json
from collections.abc import Iterator
from typing import Any

from guard.cli.demo_scene.shapes import Answer, Call, Json, Stamp

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def response(stamp: Stamp, item: Json | None, answer: Answer | None, settings: Json) -> Json:
    """Return a response object: in progress without an ``answer``, finished with one."""
    cut = answer is not None and answer.finish == "length"
    counts = None
    if answer is not None:
        counts = {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {
                "cached_tokens": 0,
                "cache_write_tokens": 0,
                "input_tokens_per_turn": [],
                "cached_tokens_per_turn": [],
            },
            "output_tokens": answer.tokens,
            "output_tokens_details": {
                "reasoning_tokens": 0,
                "tool_output_tokens": 0,
                "output_tokens_per_turn": [],
                "tool_output_tokens_per_turn": [],
            },
            "total_tokens": answer.prompt_tokens + answer.tokens,
        }
    return {
        "id": stamp.id,
        "created_at": stamp.created,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": settings.get("instructions"),
        "metadata": settings.get("metadata"),
        "model": stamp.model,
        "object": "response",
        "output": [] if item is None else [item],
        "parallel_tool_calls": True,
        "temperature": settings.get("temperature", 1.0),
        "tool_choice": settings.get("tool_choice", "auto"),
        "tools": settings.get("tools", []),
        "top_p": settings.get("top_p", 1.0),
        "background": False,
        "max_output_tokens": settings.get("max_output_tokens"),
        "max_tool_calls": None,
        "previous_response_id": None,
        "prompt": None,
        "reasoning": None,
        "service_tier": "auto",
        "status": ("incomplete" if cut else "completed") if answer is not None else "in_progress",
        "text": None,
        "top_logprobs": None,
        "truncation": "disabled",
        "usage": counts,
        "user": settings.get("user"),
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "input_messages": None,
        "output_messages": None,
    }


def response_item(stamp: Stamp, answer: Answer) -> Json:
    """Return the finished output item of ``answer``: a message or a function call."""
    suffix = stamp.id.removeprefix("resp_")
    if answer.call:
        return {**_function_call(answer.call, suffix), "arguments": answer.call.arguments, "status": "completed"}
    part: Json = {"annotations": [], "text": answer.text, "type": "output_text", "logprobs": None}
    return {**_message(f"msg_{suffix}"), "content": [part], "status": "completed"}


def _message(identifier: str) -> Json:
    message = {"id": identifier, "content": [], "role": "assistant", "status": "in_progress", "type": "message"}
    return {**message, "phase": None}


def _function_call(call: Call, suffix: str) -> Json:
    item = {"arguments": "", "call_id": call.id, "name": call.name, "type": "function_call", "id": f"fc_{suffix}"}
    return {**item, "status": "in_progress"}


def response_events(stamp: Stamp, answer: Answer, settings: Json) -> Iterator[Json]:
    """Yield the events of a streamed response; the caller numbers them."""
    suffix = stamp.id.removeprefix("resp_")
    for kind in ("response.created", "response.in_progress"):
        yield {"response": response(stamp, None, None, settings), "type": kind}
    done = response_item(stamp, answer)
    if answer.call:
        at: Json = {"item_id": done["id"], "output_index": 0}
        started = _function_call(answer.call, suffix)
        yield {"item": started, "output_index": 0, "type": "response.output_item.added"}
        arguments = answer.call.arguments
        yield {**at, "delta": arguments, "type": "response.function_call_arguments.delta"}
        finished = {"arguments": arguments, "name": answer.call.name}
        yield {**at, **finished, "type": "response.function_call_arguments.done"}
    else:
        at = {"content_index": 0, "item_id": done["id"], "output_index": 0}
        empty = {"annotations": [], "text": "", "type": "output_text", "logprobs": []}
        yield {"item": _message(done["id"]), "output_index": 0, "type": "response.output_item.added"}
        yield {**at, "part": empty, "type": "response.content_part.added"}
        for piece in answer.pieces:
            yield {**at, "delta": piece, "logprobs": [], "type": "response.output_text.delta"}
        yield {**at, "logprobs": [], "text": answer.text, "type": "response.output_text.done"}
        yield {**at, "part": done["content"][0], "type": "response.content_part.done"}
    yield {"item": done, "output_index": 0, "type": "response.output_item.done"}
    yield {"response": response(stamp, done, answer, settings), "type": "response.completed"}


def message(stamp: Stamp, answer: Answer) -> Json:
    """Return an unstreamed Anthropic message."""
    content: Json = {"type": "text", "text": answer.text}
    if answer.call:
        content = {**_tool_use(answer.call), "input": json.loads(answer.call.arguments)}
    return {
        "id": stamp.id,
        "type": "message",
        "role": "assistant",
        "content": [content],
        "model": stamp.model,
        "stop_reason": STOP_REASONS[answer.finish],
        "usage": {"input_tokens": answer.prompt_tokens, "output_tokens": answer.tokens},
    }


def _tool_use(call: Call) -> Json:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}


def message_events(stamp: Stamp, answer: Answer) -> Iterator[Json]:
    """Yield the events of a streamed Anthropic message."""
    start: dict[str, Any] = {
        "id": stamp.id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": stamp.model,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": answer.prompt_tokens, "output_tokens": 0},
    }
    yield {"type": "message_start", "message": start}
    block = _tool_use(answer.call) if answer.call else {"type": "text", "text": ""}
    yield {"type": "content_block_start", "content_block": block, "index": 0}
    if answer.call:
        delta = {"type": "input_json_delta", "partial_json": answer.call.arguments}
        yield {"type": "content_block_delta", "delta": delta, "index": 0}
    for piece in answer.pieces:
        yield {"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}, "index": 0}
    yield {"type": "content_block_stop", "index": 0}
    counts = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.tokens}
    ending = {"stop_reason": STOP_REASONS[answer.finish], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": counts}
    yield {"type": "message_stop"}
