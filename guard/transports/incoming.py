"""The request body: read within its limit, and the re-serialized one given to the server behind."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from guard.exchange.head import Head
from guard.transports.disconnect import Disconnect

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class BodyTooLarge(Exception):
    """The body is larger than ``surface.max_body`` bytes."""


class Crowded(Exception):
    """Bodies that are still being sent hold as much memory as all of them together may."""


class Unfinished:
    """What bodies that have not arrived whole hold in memory, in bytes, over all requests of a process."""

    def __init__(self, limit: int = 256 * 1024 * 1024) -> None:
        self.limit = limit
        self.held = 0

    def hold(self, size: int) -> None:
        """Take ``size`` more bytes. Raises Crowded beyond the limit; what was taken is given back by ``free``."""
        self.held += size
        if self.held > self.limit:
            raise Crowded

    def free(self, size: int) -> None:
        """Give ``size`` bytes back."""
        self.held -= size


UNFINISHED = Unfinished()


class ClientGone(Exception):
    """The client disconnected before its request was complete."""


async def read_body(head: Head, receive: Receive, limit: int, unfinished: Unfinished = UNFINISHED) -> bytes:
    """Return the whole request body.

    Raises BodyTooLarge before reading more than ``limit`` bytes, Crowded where bodies that are not finished hold too
    much together, and ClientGone.
    """
    declared = head.header(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(f"The body has {int(declared)} bytes; allowed: {limit}.")
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise BodyTooLarge(f"The body has {len(body)} bytes; allowed: {limit}.")
        return body
    parts, size = [body], len(body)
    try:
        unfinished.hold(size)
        while message.get("more_body", False):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                size -= len(part)
                raise BodyTooLarge(f"The body has more than {limit} bytes; allowed: {limit}.")
            unfinished.hold(len(part))
            parts.append(part)
        return b"".join(parts)
    finally:
        unfinished.free(size)


class Incoming:
    """The ``receive`` of the server behind: one request message, then silence until the client leaves or we cut.

    Answering ``http.disconnect`` early would make vLLM abort; never answering it would let it generate for nobody.
    ``told`` is the client's Disconnect, None where only ``receive`` tells. Whoever makes one closes it.
    """

    __slots__ = ("_body", "_client", "_receive", "gone", "over")

    def __init__(self, body: bytes, receive: Receive, told: Disconnect | None = None) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self._client = told
        self.gone = False
        """True once the client has disconnected."""
        self.over = Disconnect()
        """What the server behind is told: that the client has gone, or that we cut it off."""
        if told is not None:
            if told.gone:
                self._left()
            else:
                told.watch(self._left)

    @property
    def told(self) -> bool:
        """True if ``over`` tells all: nobody has to wait in here."""
        return self._client is not None

    def cut(self) -> None:
        """Tell the server behind that nobody listens any more."""
        self.over.leave()

    def close(self) -> None:
        """Listen to the client no longer. Idempotent."""
        if self._client is not None:
            self._client.forget(self._left)

    async def __call__(self) -> Message:
        """Return the next ASGI message for the server behind."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.left()
        return {"type": "http.disconnect"}

    async def left(self) -> None:
        """Return when the client has gone, or the server behind was cut off; the request message stays unread."""
        if self.over.gone:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end(error: BaseException | None = None) -> None:
            if waiter.done():
                return
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

        def heard(receiving: "asyncio.Future[Message]") -> None:
            if receiving.cancelled():
                return
            error = receiving.exception()
            if error is None:
                self._left()
            else:
                end(error)

        self.over.watch(end)
        listener = None
        if self._client is None:
            listener = asyncio.ensure_future(self._receive())
            listener.add_done_callback(heard)
        try:
            await waiter
        finally:
            self.over.forget(end)
            if listener is not None:
                listener.cancel()

    def _left(self) -> None:
        if not self.over.gone:
            self.gone = True
            self.over.leave()
