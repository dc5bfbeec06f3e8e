"""JSON documents and SSE events exactly as vLLM 0.32 writes them; tests/vllm compares them with a real one's."""

import base64
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

FINGERPRINT = "vllm-0.32.0-embedded"
Json = dict[str, Any]


class Call(NamedTuple):
    """A tool call: its id, the tool's name and the arguments as JSON text."""

    id: str
    name: str
    arguments: str


class Answer(NamedTuple):
    """What the model says to one prompt: text in the pieces a stream shows it in, or one tool call."""

    pieces: tuple[str, ...]
    call: Call | None
    finish: str
    """``stop``, ``length`` or ``tool_calls``."""
    prompt_tokens: int

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        """Number of completion tokens."""
        return len(self.pieces) or 1


class Stamp(NamedTuple):
    """What every document of one answer repeats."""

    id: str
    created: int
    model: str


def usage(answers: list[Answer]) -> Json:
    """Return the token counts over every choice."""
    prompt, completion = answers[0].prompt_tokens, sum(answer.tokens for answer in answers)
    return {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}


def _full_usage(answers: list[Answer]) -> Json:
    return {**usage(answers), "prompt_tokens_details": None, "completion_tokens_details": None}


def token_logprobs(pieces: tuple[str, ...], top: int) -> list[Json]:
    """Return one log-probability record per piece, each with ``top`` alternatives."""

    def record(piece: str, logprob: float) -> Json:
        return {"token": piece, "logprob": logprob, "bytes": list(piece.encode())}

    return [
        {**record(piece, -0.25), "top_logprobs": [record(piece, -0.25 - rank) for rank in range(top)]}
        for piece in pieces
    ]


def chat(stamp: Stamp, answers: list[Answer], top_logprobs: int | None) -> Json:
    """Return an unstreamed chat completion; ``top_logprobs`` None leaves log-probabilities out."""
    choices = []
    for index, answer in enumerate(answers):
        message: Json = {
            "role": "assistant",
            "content": None if answer.call else answer.text,
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "reasoning": None,
        }
        if answer.call:
            function = {"name": answer.call.name, "arguments": answer.call.arguments}
            message["tool_calls"] = [{"id": answer.call.id, "type": "function", "function": function}]
        logprobs = None if top_logprobs is None else {"content": token_logprobs(answer.pieces, top_logprobs)}
        choices.append(
            {
                "index": index,
                "message": message,
                "logprobs": logprobs,
                "finish_reason": answer.finish,
                "stop_reason": None,
                "token_ids": None,
                "routed_experts": None,
            }
        )
    return {
        "id": stamp.id,
        "object": "chat.completion",
        "created": stamp.created,
        "model": stamp.model,
        "choices": choices,
        "service_tier": None,
        "system_fingerprint": FINGERPRINT,
        "usage": _full_usage(answers),
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "prompt_text": None,
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": None,
    }


def chat_events(stamp: Stamp, answers: list[Answer], top_logprobs: int | None, with_usage: bool) -> Iterator[Json]:
    """Yield the events of a streamed chat completion, the choices interleaved piece by piece."""
    head = {"id": stamp.id, "object": "chat.completion.chunk", "created": stamp.created, "model": stamp.model}

    def event(index: int, delta: Json, finish: str | None, logprobs: Json | None = None, **more: Any) -> Json:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish, **more}
        return {**head, "choices": [choice]}

    for index in range(len(answers)):
        first = event(index, {"role": "assistant", "content": ""}, None)
        yield {**first, "prompt_token_ids": None, "prompt_text": None}
    for step in range(max(answer.tokens for answer in answers) + 1):
        for index, answer in enumerate(answers):
            if answer.call and step == 0:
                yield event(index, _call_head(answer.call), None, token_ids=None)
                arguments = {"index": 0, "function": {"arguments": answer.call.arguments}}
                yield event(index, {"content": None, "tool_calls": [arguments]}, None, token_ids=None)
            elif step < len(answer.pieces):
                piece = answer.pieces[step]
                records = None if top_logprobs is None else {"content": token_logprobs((piece,), top_logprobs)}
                yield event(index, {"content": piece}, None, records, token_ids=None)
            if step == answer.tokens:
                last = event(index, {"content": ""}, answer.finish, stop_reason=None, token_ids=None)
                yield last if with_usage else {**last, "system_fingerprint": FINGERPRINT}
    if with_usage:
        yield {**head, "choices": [], "usage": usage(answers), "system_fingerprint": FINGERPRINT}


def _call_head(call: Call) -> Json:
    start = {"id": call.id, "type": "function", "index": 0, "function": {"name": call.name}}
    return {"content": None, "tool_calls": [start]}


def completion(stamp: Stamp, answers: list[Answer]) -> Json:
    """Return an unstreamed text completion, one choice per answer."""
    choices = [
        {
            "index": index,
            "text": answer.text,
            "logprobs": None,
            "finish_reason": answer.finish,
            "stop_reason": None,
            "token_ids": None,
            "prompt_logprobs": None,
            "prompt_token_ids": None,
            "routed_experts": None,
        }
        for index, answer in enumerate(answers)
    ]
    return {
        "id": stamp.id,
        "object": "text_completion",
        "created": stamp.created,
        "model": stamp.model,
        "choices": choices,
        "service_tier": None,
        "system_fingerprint": FINGERPRINT,
        "usage": _full_usage(answers),
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": None,
    }


def completion_events(stamp: Stamp, answers: list[Answer], with_usage: bool) -> Iterator[Json]:
    """Yield the events of a streamed text completion."""
    head = {"id": stamp.id, "object": "text_completion", "created": stamp.created, "model": stamp.model}
    for index, answer in enumerate(answers):
        for position, piece in enumerate((*answer.pieces, "")):
            finish = answer.finish if position == len(answer.pieces) else None
            choice = {
                "index": index,
                "text": piece,
                "logprobs": None,
                "finish_reason": finish,
                "stop_reason": None,
                "prompt_token_ids": None,
                "token_ids": None,
            }
            event = {**head, "choices": [choice]}
            yield event if finish is None or with_usage else {**event, "system_fingerprint": FINGERPRINT}
    if with_usage:
        yield {**head, "choices": [], "usage": usage(answers), "system_fingerprint": FINGERPRINT}


def embeddings(stamp: Stamp, vectors: list[list[float]], as_base64: bool) -> Json:
    """Return embeddings as numbers, or as base64 of little-endian 32-bit floats."""
    data = [
        {
            "index": index,
            "object": "embedding",
            "embedding": base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if as_base64 else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    counts = {"prompt_tokens": len(vectors), "total_tokens": len(vectors), "completion_tokens": 0}
    return {
        "id": stamp.id,
        "object": "list",
        "created": stamp.created,
        "model": stamp.model,
        "data": data,
        "usage": {**counts, "prompt_tokens_details": None, "completion_tokens_details": None},
    }


def models(names: tuple[str, ...], created: int) -> Json:
    """Return the model list; unlike vLLM's it has no path in ``root``."""
    card = {"object": "model", "created": created, "owned_by": "vllm", "parent": None, "max_model_len": 4096}
    return {"object": "list", "data": [{"id": name, "root": name, **card, "permission": []} for name in names]}


def error(message: str, kind: str, param: str | None, status: int) -> Json:
    """Return an error as the OpenAI routes give it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}
