"""One request of a client and its answer, as ``scope``, ``receive`` and ``send`` of ASGI."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from guard.transports.client.head import render

Message = MutableMapping[str, Any]
Scope = dict[str, Any]
Application = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

log = logging.getLogger("guard.server")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BROKEN = b"Internal Server Error"


class Line(Protocol):
    """What a request needs of the connection that it came on."""

    blocked: bool
    """True while the client does not take what is written."""
    paused: bool
    """True while nothing is read, be it that too much of a body waits to be taken."""

    @property
    def date(self) -> bytes:
        """The date's line of a head."""

    @property
    def closing(self) -> bool:
        """True: every answer is to be the last of its connection."""

    def write(self, data: bytes) -> None:
        """Send ``data``."""

    async def writable(self) -> None:
        """Return when the client has taken enough of what was written, or has gone."""

    def taken(self) -> None:
        """The application has taken the body that was there."""

    def answered(self, *, last: bool, cut: bool) -> None:
        """The answer is whole, or never will be (``cut``); ``last``: the connection ends with it."""

    def done(self, task: "asyncio.Task[None]") -> None:
        """The application has returned."""


class Request:
    """A request whose body may still be coming. Its connection feeds it, one application answers it."""

    __slots__ = (
        "_body",
        "_chunked",
        "_delivered",
        "_expects",
        "_head",
        "_last",
        "_left",
        "_line",
        "_over",
        "_waiters",
        "_whole",
        "held",
        "more",
        "scope",
        "started",
        "task",
    )

    def __init__(self, line: Line, scope: Scope, *, close: bool, expects: bool) -> None:
        self.scope = scope
        self.held = 0
        """Bytes of the body that nobody has taken yet."""
        self.more = True
        """True until the body is whole."""
        self.started = False
        """True once the answer has begun, be it only for the application."""
        self.task: asyncio.Task[None] | None = None
        """What answers it."""
        self._line = line
        self._last = close
        self._expects = expects
        self._body: list[bytes] = []
        self._delivered = self._over = self._whole = False
        self._waiters: list[asyncio.Future[None]] | None = None
        self._head: bytes = b""
        self._chunked = False
        self._left: int | None = None

    @property
    def begun(self) -> bool:
        """True once something of the answer has left."""
        return self.started and not self._head

    @property
    def last(self) -> bool:
        """True if the connection ends with it."""
        return self._last

    # The connection's side

    def feed(self, data: bytes) -> None:
        """Add a piece of the body."""
        self._body.append(data)
        self.held += len(data)
        if self._waiters is not None:
            self.wake()

    def end(self) -> None:
        """The body is whole."""
        self.more = False
        if self._waiters is not None:
            self.wake()

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        self._over = True
        if self._waiters is not None:
            self.wake()

    def wake(self) -> None:
        """Let whoever waits in ``receive`` look again."""
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    # The application's side

    async def run(self, app: Application) -> None:
        """Let ``app`` answer; one that fails is answered 500, or cut off where it had begun."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._fail()
            raise
        except Exception as error:
            log.exception("the application failed: %s", type(error).__name__)
            self._fail()
        else:
            if not self._over:
                log.error("the application ended without a whole answer")
                self._fail()
        finally:
            if self.task is not None:
                self._line.done(self.task)

    async def receive(self) -> Message:
        """Return the next ASGI message: pieces of the body, then that the client, or the answer, is gone."""
        while True:
            if self._over:
                return {"type": "http.disconnect"}
            if not self._delivered and (self._body or not self.more):
                body = self._body
                data = body[0] if len(body) == 1 else b"".join(body)
                if body:
                    self._body, self.held = [], 0
                    if self._line.paused:
                        self._line.taken()
                self._delivered = not self.more
                return {"type": "http.request", "body": data, "more_body": self.more}
            if self._expects and not self._delivered and not self.started:
                self._expects = False
                self._line.write(CONTINUE)
            waiter = asyncio.get_running_loop().create_future()
            if self._waiters is None:
                self._waiters = [waiter]
            else:
                self._waiters.append(waiter)
            await waiter

    async def send(self, message: Message) -> None:
        """Send an ASGI message on; the head leaves with the first piece of the body.

        Raises RuntimeError for a message out of turn and for a body that is not of the length that was said,
        ValueError for a head that HTTP cannot carry. What nobody is there to read is dropped.
        """
        line = self._line
        if line.blocked and not self._over:
            await line.writable()
        if self._over:
            if self._whole:
                raise RuntimeError(f"ASGI message {message['type']!r} after the whole answer")
            return
        kind = message["type"]
        if self.started:
            if kind != "http.response.body":
                raise RuntimeError(f"ASGI message {kind!r} instead of 'http.response.body'")
            self._write(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"ASGI message {kind!r} instead of 'http.response.start'")

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        line, scope = self._line, self.scope
        self._head, self._chunked, self._left, self._last = render(
            status,
            headers,
            line.date,
            method=scope["method"],
            chunks=scope["http_version"] == "1.1",
            # A client that was never told to go on with its body may or may not send it: no telling what comes next.
            close=self._last or line.closing or (self._expects and self.more),
        )
        self.started = True

    def _write(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            out = b""
        elif self._chunked:
            out = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                out += b"0\r\n\r\n"
        else:
            out = body
            if self._left is not None:
                self._left -= len(body)
                if self._left < 0 or (self._left and not more):
                    raise RuntimeError("the answer's body is not of the length that its head says")
        if self._head:
            out, self._head = self._head + out, b""
        if out:
            self._line.write(out)
        if not more:
            self._whole = True
            self.leave()
            self._line.answered(last=self._last, cut=False)

    def _fail(self) -> None:
        """Answer 500 if nothing of an answer has left, else make sure that nobody takes it for whole."""
        if self._over:
            return
        if self.begun:
            self.leave()
            self._line.answered(last=True, cut=True)
            return
        plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(BROKEN))]
        self._last = True
        self._begin(500, plain)
        self._write(BROKEN, more=False)
