"""An OpenAI- and Anthropic-compatible inference server without a model: the demo's upstream.

It answers as vLLM 0.32 does, from a script, and streams small pieces: a word is spread over several events.
Like vLLM it also serves ``/invocations``, which no API key covers.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from guard.cli.demo_scene import shapes, typed_events
from guard.cli.demo_scene.script import Script, vector
from guard.cli.demo_scene.shapes import Answer, Json, Stamp

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Failure(Exception):
    """An error answer: its status and JSON body."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class Upstream:
    """The ASGI app. ``pace`` is the pause before each event of a stream, in seconds."""

    def __init__(self, models: Iterable[str], script: Script, pace: float = 0.0) -> None:
        self.models = tuple(models)
        self.script = script
        self.pace = pace
        self.served = 0
        """Answers given so far: what Guard refuses never gets here."""
        self._ids = itertools.count(1)
        self._posts: dict[str, Callable[[Json, Send], Awaitable[None]]] = {
            "/v1/chat/completions": self._chat,
            "/invocations": self._chat,
            "/v1/completions": self._completion,
            "/v1/responses": self._response,
            "/v1/messages": self._message,
            "/v1/messages/count_tokens": self._count_tokens,
            "/v1/embeddings": self._embeddings,
            "/tokenize": self._tokenize,
            "/detokenize": self._detokenize,
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["type"] != "http":
            return
        try:
            await self._serve(scope["method"], scope["path"], receive, send)
        except Failure as failure:
            await _send_json(send, failure.body, failure.status)

    async def _serve(self, method: str, path: str, receive: Receive, send: Send) -> None:
        if method == "GET":
            await self._get(path, send)
            return
        serve = self._posts.get(path)
        if serve is None:
            raise Failure(404, {"detail": "Not Found"})
        try:
            body = json.loads(await _read(receive))
        except ValueError:
            raise Failure(400, shapes.error("JSON decode error", "Bad Request", "body", 400)) from None
        model = body.get("model") or self.models[0]
        if model not in self.models:
            known = ", ".join(self.models)
            text = f"The model `{model}` does not exist. Valid aliases: {known}."
            raise Failure(404, shapes.error(text, "NotFoundError", "model", 404))
        self.served += 1
        await serve(body, send)

    async def _get(self, path: str, send: Send) -> None:
        if path in {"/health", "/ping"}:
            await _send_bytes(send, b"", 200)
        elif path == "/v1/models":
            await _send_json(send, shapes.models(self.models, int(time.time())))
        elif path == "/version":
            await _send_json(send, {"version": "0.32.0"})
        else:
            raise Failure(404, {"detail": "Not Found"})

    def _stamp(self, prefix: str, body: Json) -> Stamp:
        model = body.get("model") or self.models[0]
        return Stamp(f"{prefix}{next(self._ids):016x}", int(time.time()), model)

    async def _chat(self, body: Json, send: Send) -> None:
        prompt = _last_user_text(body.get("messages") or [])
        answers = [self.script.answer(prompt, body)] * (body.get("n") or 1)
        stamp = self._stamp("chatcmpl-", body)
        top = (body.get("top_logprobs") or 0) if body.get("logprobs") else None
        if body.get("stream"):
            await self._stream(send, _lines(shapes.chat_events(stamp, answers, top, _wants_usage(body))))
        else:
            await _send_json(send, shapes.chat(stamp, answers, top))

    async def _completion(self, body: Json, send: Send) -> None:
        answers = [
            self.script.answer(prompt, body) for prompt in _prompts(body["prompt"]) for _ in range(body.get("n") or 1)
        ]
        stamp = self._stamp("cmpl-", body)
        if body.get("stream"):
            await self._stream(send, _lines(shapes.completion_events(stamp, answers, _wants_usage(body))))
        else:
            await _send_json(send, shapes.completion(stamp, answers))

    async def _response(self, body: Json, send: Send) -> None:
        given = body["input"]
        prompt = given if isinstance(given, str) else _last_user_text(given)
        answer, stamp = self.script.answer(prompt, body), self._stamp("resp_", body)
        if body.get("stream"):
            events = typed_events.response_events(stamp, answer, body)
            numbered = ({**event, "sequence_number": number} for number, event in enumerate(events))
            await self._stream(send, _typed_lines(numbered))
        else:
            item = typed_events.response_item(stamp, answer)
            await _send_json(send, typed_events.response(stamp, item, answer, body))

    async def _message(self, body: Json, send: Send) -> None:
        answer: Answer = self.script.answer(_last_user_text(body["messages"]), body)
        stamp = self._stamp("chatcmpl-", body)
        if body.get("stream"):
            await self._stream(send, _typed_lines(typed_events.message_events(stamp, answer)))
        else:
            await _send_json(send, typed_events.message(stamp, answer))

    async def _count_tokens(self, body: Json, send: Send) -> None:
        count = len(_last_user_text(body["messages"]).split())
        await _send_json(send, {"input_tokens": count, "context_management": {"original_input_tokens": count}})

    async def _embeddings(self, body: Json, send: Send) -> None:
        vectors = [vector(text) for text in _prompts(body["input"])]
        as_base64 = body.get("encoding_format") == "base64"
        await _send_json(send, shapes.embeddings(self._stamp("embd-", body), vectors, as_base64))

    async def _tokenize(self, body: Json, send: Send) -> None:
        text = body["prompt"] if "prompt" in body else _last_user_text(body["messages"])
        tokens = list(text.encode())
        document = {"count": len(tokens), "max_model_len": 4096, "tokens": tokens, "token_strs": None}
        await _send_json(send, document)

    async def _detokenize(self, body: Json, send: Send) -> None:
        await _send_json(send, {"prompt": _detokenized(body["tokens"])})

    async def _stream(self, send: Send, lines: Iterable[bytes]) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for line in lines:
            if self.pace:
                await asyncio.sleep(self.pace)
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _send_json(send: Send, document: Json, status: int = 200) -> None:
    await _send_bytes(send, _compact(document), status)


async def _send_bytes(send: Send, body: bytes, status: int) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _compact(document: Json) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _lines(events: Iterable[Json]) -> Iterable[bytes]:
    for event in events:
        yield b"data: " + _compact(event) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _typed_lines(events: Iterable[Json]) -> Iterable[bytes]:
    for event in events:
        yield b"event: " + event["type"].encode() + b"\ndata: " + _compact(event) + b"\n\n"


def _wants_usage(body: Json) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def _last_user_text(messages: list[Json]) -> str:
    content = next((item.get("content") for item in reversed(messages) if item.get("role") == "user"), "")
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or [])


def _prompts(given: Any) -> list[str]:
    """Return the prompts in any of the four shapes: a text, texts, token ids, or lists of token ids."""
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        return [_detokenized(given)]
    return [prompt if isinstance(prompt, str) else _detokenized(prompt) for prompt in given]


def _detokenized(tokens: list[int]) -> str:
    return bytes(token for token in tokens if token < 256).decode(errors="replace")
