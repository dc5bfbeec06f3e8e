"""Whole answers of the server behind, taken through the same ASGI app that requests go to."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import msgspec

from guard.transports.failure import UpstreamGarbled

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
ASGIApp = Callable[[Scope, Receive, Callable[[Message], Awaitable[None]]], Awaitable[None]]

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes: the text of a prompt of token ids is never longer than a body may be, give or take escapes."""


class Whole(NamedTuple):
    """One complete response; header names are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


async def gather(app: ASGIApp, scope: Scope, receive: Receive) -> Whole:
    """Return the whole answer of ``app``.

    Raises UpstreamGarbled if there is none or it is too large, and whatever ``app`` raises.
    """
    status, headers, parts, size = 0, [], [], 0

    async def send(message: Message) -> None:
        nonlocal status, headers, size
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            return
        size += len(message.get("body", b""))
        if size > LARGEST_ANSWER:
            raise UpstreamGarbled(f"an answer of more than {LARGEST_ANSWER} bytes")
        parts.append(message.get("body", b""))

    await app(scope, receive, send)
    if not status:
        raise UpstreamGarbled("no answer")
    return Whole(status, headers, b"".join(parts))


async def ask(app: ASGIApp, scope: Scope, path: str, document: dict[str, Any]) -> tuple[int, Any]:
    """Return status and decoded JSON of ``POST path`` under the caller's own credentials; (0, None) if it fails."""
    body = msgspec.json.encode(document)
    credentials = [(name, value) for name, value in scope["headers"] if name in (b"authorization", b"x-api-key")]
    asked = {
        **scope,
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            *credentials,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
    }
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])
    never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def receive() -> Message:
        return next(messages, None) or await never

    try:
        answer = await gather(app, asked, receive)
        return answer.status, msgspec.json.decode(answer.body)
    except Exception:  # noqa: BLE001 - whatever went wrong behind, the answer is "could not be asked"
        return 0, None
    finally:
        never.cancel()
