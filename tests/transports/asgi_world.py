"""Guard around a scripted inner app, called through plain ASGI: no sockets, everything else real."""

import asyncio
import copy
import json
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from guard.policy import watch
from guard.policy.load import RuleCache
from guard.transports.asgi import GuardMiddleware
from guard.transports.runtime import Runtime

RULES = RuleCache()
watch.RuleCache = lambda: RULES  # compile the shipped rules once for all tests

CONFIG = """
upstream: http://127.0.0.1:9
admin: off
state_dir: {state}
models:
  tiny: {{license: llama-2}}
  free: {{license: mistral-apache}}
  qwen: {{license: qwen-2024}}
usage: {{at_limit: refuse_newcomers, limits: {{qwen-2024: 2}}}}
surface: {{enabled: [embeddings, tokenize]}}
"""

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


class Inner:
    """The server behind: answers with what it was given, and remembers what reached it."""

    def __init__(self, answer=ANSWER, status=200, kind=b"application/json", chunks=None, raising=None, hang=False):
        self.answer, self.status, self.kind, self.chunks = copy.deepcopy(answer), status, kind, chunks
        self.raising, self.hang = raising, hang
        self.requests, self.disconnected, self.sent = [], False, 0

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        message = await receive()
        self.requests.append((scope["path"], dict(scope["headers"]), message["body"]))
        if self.raising is not None and self.chunks is None:
            raise self.raising
        body = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"content-type", self.kind)]})
        if self.chunks is None:
            await send({"type": "http.response.body", "body": body})
            return
        for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self.sent += 1
            await asyncio.sleep(0)
        if self.raising is not None:
            raise self.raising
        if self.hang:
            self.disconnected = (await receive())["type"] == "http.disconnect"
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Reply:
    """What left of Guard, message by message."""

    def __init__(self):
        self.messages = []

    async def send(self, message):
        self.messages.append(message)

    @property
    def status(self):
        return self.messages[0]["status"]

    @property
    def headers(self):
        return dict(self.messages[0]["headers"])

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def complete(self):
        return bool(self.messages) and self.messages[-1].get("more_body", False) is False


class Guarded:
    """One guarded app with its runtime."""

    def __init__(self, app, runtime):
        self.app, self.runtime = app, runtime

    async def post(self, document, path="/v1/chat/completions", headers=(), method="POST", peer="192.0.2.1", gone=None):
        reply = Reply()
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        sent = False
        gone = gone or asyncio.Event()

        async def receive():
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        names = {name for name, _ in headers}
        extra = [] if b"content-type" in names else [(b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [*headers, *extra],
            "client": (peer, 1234),
            "scheme": "http",
            "http_version": "1.1",
        }
        await self.app(scope, receive, reply.send)
        return reply

    def users(self, license):
        return next((row["users"] for row in self.runtime.usage() if row["license"] == license), 0)


@asynccontextmanager
async def guarded(tmp_path: Path, inner, config=CONFIG, **extra):
    """A started GuardMiddleware around ``inner``."""
    path = tmp_path / "guard.yaml"
    path.write_text(config.format(state=tmp_path / "state", **extra))
    runtime = Runtime(path, registry=CollectorRegistry())
    app = GuardMiddleware(inner, runtime)
    await runtime.start()
    try:
        yield Guarded(app, runtime)
    finally:
        await runtime.stop()


def chat(text="Hello", model="tiny", user="alice", **fields):
    """A chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], "user": user, **fields}


def events(*deltas, finish="stop"):
    """A vLLM chat stream, one SSE event per delta."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
    made = [
        {**head, "choices": [{"index": 0, "delta": {"content": delta}, "logprobs": None, "finish_reason": None}]}
        for delta in deltas
    ]
    made.append({**head, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish}]})
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in made] + [b"data: [DONE]\n\n"]
