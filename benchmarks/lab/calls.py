"""An ASGI app called without a server: what Guard adds in-process, by itself."""

import asyncio
import json
import logging
import tempfile
import time
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry

from guard.transports.asgi import GuardMiddleware
from guard.transports.runtime import Runtime
from lab.systems import configuration
from lab.texts import TOKEN, answers, requests

CHUNKS, TOKENS, USERS, PROMPT = 64, 100, 500, 1024
_NAMES = [(b"host", b"bench"), (b"content-type", b"application/json"), (b"user-agent", b"bench")]


class Bare:
    """A server that answers at once with what vLLM would: a completion, or 64 events of a token each and their end."""

    def __init__(self):
        text = answers(count=1)[0]
        head = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1795000000, "model": "bench"}
        message = {
            "role": "assistant", "content": text[: TOKENS * TOKEN], "refusal": None, "annotations": None, "audio": None,
            "function_call": None, "tool_calls": [], "reasoning": None,
        }  # fmt: skip
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
        usage = {"prompt_tokens": 200, "total_tokens": 300, "completion_tokens": 100, "prompt_tokens_details": None}
        rest = {"service_tier": None, "system_fingerprint": None, "usage": usage, "prompt_logprobs": None,
                "prompt_token_ids": None, "kv_transfer_params": None}  # fmt: skip
        whole = {**head, "choices": [{**choice, "token_ids": None}], **rest}
        self.whole = json.dumps(whole, separators=(",", ":")).encode()
        head["object"] = "chat.completion.chunk"
        self.events = []
        for number in range(CHUNKS + 1):
            last = number == CHUNKS
            delta = {} if last else {"content": text[number * TOKEN : (number + 1) * TOKEN]}
            part = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": "stop" if last else None}
            event = json.dumps({**head, "choices": [{**part, "token_ids": None}]}, separators=(",", ":"))
            self.events.append(f"data: {event}\n\n".encode())

    async def __call__(self, scope, receive, send):
        await receive()
        streamed = scope["streamed"]
        kind = b"text/event-stream; charset=utf-8" if streamed else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        if streamed:
            for event in self.events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})
        else:
            await send({"type": "http.response.body", "body": self.whole})


@cache
def _bodies(streamed):
    return [body.encode() for body in requests(users=USERS, prompt=PROMPT, stream=streamed, tokens=TOKENS)]


async def call(app, count, *, streamed, clock=time.process_time):
    """Call ``app`` ``count`` times, the requests of 500 users in turn; return microseconds by ``clock`` of each.

    Raises RuntimeError where an answer is no 200: a refusal costs something else.
    """
    bodies = _bodies(streamed)
    gone, refused = asyncio.get_running_loop().create_future(), []

    async def send(message):
        if message.get("status", 200) != 200:
            refused.append(message["status"])

    began = clock()
    for number in range(count):
        body = bodies[number % USERS]
        parts = [body]

        async def receive(parts=parts):
            if parts:
                return {"type": "http.request", "body": parts.pop(), "more_body": False}
            return await gone

        scope = {
            "type": "http", "http_version": "1.1", "scheme": "http", "method": "POST", "root_path": "",
            "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions", "query_string": b"",
            "headers": [*_NAMES, (b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "streamed": streamed,
        }  # fmt: skip
        await app(scope, receive, send)
    spent = clock() - began
    if refused:
        raise RuntimeError(f"{len(refused)} of {count} requests were answered with {refused[0]}")
    return spent / count * 1e6


@asynccontextmanager
async def guarded(settings):
    """Give the app bare, and wrapped in a Guard with ``settings`` that has seen every user."""
    logging.getLogger("guard").setLevel(logging.ERROR)  # what the license asks of an operator is no news here
    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime(configuration(Path(folder), settings), registry=CollectorRegistry())
        await runtime.start()
        try:
            bare = Bare()
            wrapped = GuardMiddleware(bare, runtime)
            await call(wrapped, USERS + 100, streamed=False)
            await call(wrapped, 10, streamed=True)
            yield bare, wrapped
        finally:
            await runtime.stop()
