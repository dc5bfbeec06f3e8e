"""A whole response of Guard's own making as ASGI messages."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from guard.exchange.refusal import Refusal
from guard.wire import refusals

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def send_whole(send: Send, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    """Send one complete response."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def send_refusal(send: Send, refusal: Refusal, shape: refusals.Shape, allow: str = "") -> None:
    """Send ``refusal`` in the error shape of its surface; ``allow`` is the method to name with 405."""
    await send_whole(send, *refusals.render(refusal, shape, allow))
