"""Events as vLLM 0.32 writes them, for stories that are told in many ways."""

import json
from collections.abc import Iterator
from typing import Any

DONE = b"data: [DONE]\n\n"
HEAD = {"id": "chatcmpl-bd42f76667697cfd", "object": "chat.completion.chunk", "created": 1795300540, "model": "tiny"}
RESPONSE = {"id": "resp_bc32c4bba8e6dc7e", "model": "tiny", "object": "response", "output": [], "status": "in_progress"}


def _dump(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def untyped(document: dict[str, Any]) -> bytes:
    return f"data: {_dump(document)}\n\n".encode()


def typed(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {_dump({**fields, 'type': kind})}\n\n".encode()


def chunk(choice: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    stop = {"stop_reason": None} if finish else {}
    whole = {
        "index": choice,
        "delta": delta,
        "logprobs": None,
        "finish_reason": finish,
        **stop,
        "token_ids": None,
        **more,
    }
    return untyped({**HEAD, "choices": [whole]})


def delta(name: str, piece: str) -> dict[str, Any]:
    """A delta that brings ``piece`` of the text called ``name``."""
    if not name.startswith("tool."):
        return {name: piece}
    _, index, key = name.split(".")
    return {"content": None, "tool_calls": [{"index": int(index), "function": {key: piece}}]}


def tokens(*texts: str) -> dict[str, Any]:
    return {"content": [{"token": t, "logprob": -0.5, "bytes": [*t.encode()], "top_logprobs": []} for t in texts]}


def message(blocks: list[tuple[str, list[str]]]) -> Iterator[bytes]:
    """A messages stream; a block is its kind and the pieces of its text."""
    start = {"id": "chatcmpl-9d4f46c44b99ed8b", "type": "message", "role": "assistant", "content": [], "model": "tiny"}
    yield typed("message_start", message={**start, "usage": {"input_tokens": 11, "output_tokens": 0}})
    for index, (kind, pieces) in enumerate(blocks):
        if kind == "tool_use":
            block: dict[str, Any] = {"type": kind, "id": "call_0d9bce11e14450b1", "name": "f", "input": {}}
            form, key = "input_json_delta", "partial_json"
        else:
            block = {"type": kind, kind: ""}
            form, key = f"{kind}_delta", kind
        yield typed("content_block_start", content_block=block, index=index)
        for piece in pieces:
            yield typed("content_block_delta", delta={"type": form, key: piece}, index=index)
        yield typed("content_block_stop", index=index)
    yield typed("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 6})
    yield typed("message_stop")


class _Numbered:
    def __init__(self) -> None:
        self.number = 0

    def __call__(self, kind: str, **fields: Any) -> bytes:
        self.number += 1
        return typed(kind, **fields, sequence_number=self.number - 1)


def response(items: list[tuple[str, list[str]]]) -> Iterator[bytes]:
    """A responses stream; an item is its kind and the pieces of its text."""
    event, done = _Numbered(), []
    yield event("response.created", response=RESPONSE)
    yield event("response.in_progress", response=RESPONSE)
    for index, (kind, pieces) in enumerate(items):
        text, id_ = "".join(pieces), f"fc_0d9bce11e14450b{index:x}"
        item: dict[str, Any] = {"id": id_, "type": kind, "status": "in_progress"}
        if kind == "function_call":
            item |= {"name": "f", "arguments": "", "call_id": "call_b9bce11e14450bd1"}
            yield event("response.output_item.added", item=item, output_index=index)
            for piece in pieces:
                yield event("response.function_call_arguments.delta", delta=piece, item_id=id_, output_index=index)
            yield event(
                "response.function_call_arguments.done", arguments=text, name="f", item_id=id_, output_index=index
            )
            item = {**item, "arguments": text}
        else:
            stem, key = ("output_text", "content") if kind == "message" else ("reasoning_text", "content")
            where = {"item_id": id_, "output_index": index, "content_index": 0}
            item |= {"role": "assistant", "content": []} if kind == "message" else {"summary": [], "content": []}
            yield event("response.output_item.added", item=item, output_index=index)
            yield event("response.content_part.added", part={"type": stem, "text": ""}, **where)
            for piece in pieces:
                yield event(f"response.{stem}.delta", delta=piece, **where)
            yield event(f"response.{stem}.done", text=text, **where)
            yield event("response.content_part.done", part={"type": stem, "text": text}, **where)
            item = {**item, key: [{"type": stem, "text": text}]}
        done.append({**item, "status": "completed"})
        yield event("response.output_item.done", item=done[-1], output_index=index)
    yield event("response.completed", response={**RESPONSE, "status": "completed", "output": done})


def read(stream: bytes) -> list[dict[str, Any]]:
    """The JSON documents of a stream's events, in order."""
    blocks = [block for block in stream.split(b"\n\n") if block and block != b"data: [DONE]"]
    return [json.loads(block.partition(b"data: ")[2]) for block in blocks if not block.startswith(b":")]
