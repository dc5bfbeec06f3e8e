"""A client's connection: what is read from it becomes requests, one after another, each with limits.

The framing rules are llhttp's strict ones (RFC 9112): one Content-Length, never beside Transfer-Encoding, no folded
lines, no control characters, CRLF only. On top of them: HTTP/1.1 and 1.0 only, one Host, only ``chunked`` as a transfer
coding and only in HTTP/1.1, bounded heads, no header from a trailer, nothing after the last request of a connection.
"""

import asyncio
import logging
from collections import deque
from typing import Any, Protocol

import httptools

from guard.transports.client.head import render
from guard.transports.client.request import Application, Request
from guard.transports.client.target import target
from guard.transports.client.unsent import unsent
from guard.transports.disconnect import EXTENSION, Disconnect

HEAD_LIMIT = 64 * 1024
"""Bytes of a head, of trailers or of chunk extensions; the read in which they begin is not counted."""
HIGH_WATER = 64 * 1024
"""Bytes of a body that nobody has taken above which no more are read."""
MOST_DISCARDED = 1024 * 1024
"""Bytes of a body that are read on after its request was answered, so that the client comes to read the answer."""
SILENCE = 30.0
"""Seconds that a client has for a head, from one piece of a body to the next, and for taking some more of an answer."""
KEEP_ALIVE = 75.0
"""Seconds for which a connection is kept without a request."""
LINGER = 2.0
"""Seconds for which bytes are still read (and thrown away) after a 400: a close under them would take it back."""

_WATCHED = frozenset({b"host", b"transfer-encoding", b"expect"})
_BODY = frozenset({b"content-length", b"transfer-encoding"})
_FOREIGN = (
    b"DESCRIBE ANNOUNCE SETUP PLAY PAUSE TEARDOWN GET_PARAMETER SET_PARAMETER REDIRECT RECORD FLUSH SOURCE".split()
)
"""Methods of RTSP and ICE, which the parser takes with those protocols."""
_METHODS = {name.encode(): name for name in ("POST", "GET", "HEAD", "OPTIONS")}
_ASGI = {"version": "3.0", "spec_version": "2.3"}

log = logging.getLogger("guard.server")


class Serving(Protocol):
    """What connections share: the server's state."""

    app: Application
    loop: asyncio.AbstractEventLoop
    connections: "set[Any]"
    tasks: "set[asyncio.Task[None]]"
    draining: bool
    date: bytes
    now: float


class ClientProtocol(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_active",
        "_base",
        "_complaint",
        "_deaf",
        "_discarded",
        "_drained",
        "_expects",
        "_headers",
        "_heard",
        "_hosts",
        "_in_head",
        "_left",
        "_moved",
        "_queue",
        "_reading",
        "_server",
        "_transport",
        "_unfinished",
        "_unfit",
        "_unproductive",
        "_url",
        "blocked",
        "disconnect",
        "gone",
        "parser",
        "paused",
    )

    def __init__(self, server: Serving) -> None:
        self.gone = False
        """True once the connection is lost."""
        self.blocked = False
        """True while the client does not take what is written."""
        self.paused = False
        """True while nothing is read."""
        self.disconnect = Disconnect()
        self.parser: Any = httptools.HttpRequestParser(self)
        self._server = server
        self._transport: Any = None
        self._base: dict[str, Any] = {}
        self._active: Request | None = None
        self._queue: deque[Request] = deque()
        self._reading: Request | None = None
        """Whose body is being read; None too where its request was answered without it."""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = self._unfinished = True
        self._unproductive = self._hosts = self._discarded = 0
        self._expects = self._deaf = False
        self._unfit = ""
        self._complaint = ""
        """Why the client is to be told 400 when what it asked before is answered."""
        self._drained: asyncio.Future[None] | None = None
        self._heard = self._moved = server.now
        self._left = -1  # bytes that the client, which holds up what is written, had not taken when it last _moved

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: what every scope of the connection says is put together here."""
        self._transport = transport
        self._server.connections.add(self)
        own, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self._base = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "server": (own[0], own[1]) if isinstance(own, tuple) else (own or None) and (own, None),
            "client": (peer[0], peer[1]) if isinstance(peer, tuple) else None,
            "scheme": "http",
            "root_path": "",
            "extensions": {EXTENSION: self.disconnect},
        }

    def data_received(self, data: bytes) -> None:
        """Parse ``data``; what breaks the rules is answered 400, after the requests before it."""
        if self._deaf:
            return
        self._unproductive += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # on_headers_complete has seen to it that the connection ends with the request
        except httptools.HttpParserError:
            self._reject(self._unfit or "Invalid HTTP request received.")
        else:
            if not self._unproductive:
                self._heard = self._server.now
            elif self._unproductive > HEAD_LIMIT:
                self._reject(f"More than {HEAD_LIMIT} bytes of head, trailers or chunk extensions.")

    def connection_lost(self, _: Exception | None) -> None:
        """Tell everybody who works for this client."""
        self.gone = True
        self._server.connections.discard(self)
        self.parser = None
        self._reading = None
        self.resume_writing()
        active, self._active = self._active, None
        if active is not None:
            active.leave()
        self._queue.clear()
        self.disconnect.leave()

    def pause_writing(self) -> None:
        """The client takes the answer more slowly than it comes."""
        self.blocked = True

    def resume_writing(self) -> None:
        """The socket's buffer has room again."""
        self.blocked = False
        self._left = -1
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # httptools callbacks

    def on_message_begin(self) -> None:
        """Start a head."""
        self._url = b""
        self._headers = []
        self._in_head = self._unfinished = True
        self._unproductive = self._hosts = 0
        self._expects = False

    def on_url(self, url: bytes) -> None:
        """Keep the target, which may come in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Trailers are dropped: whoever stands in front of Guard checks headers, not trailers."""
        if not self._in_head:
            return
        name, value = name.lower(), value.rstrip(b" \t")
        if name in _WATCHED:
            if name == b"host":
                self._hosts += 1
            elif name == b"expect":
                self._expects = value.lower() == b"100-continue"
            elif value.lower() != b"chunked" or self.parser.get_http_version() != "1.1":
                self._refuse("A transfer coding other than one chunked of HTTP/1.1.")
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head, and serve the request or let it wait for its turn."""
        parser = self.parser
        version = parser.get_http_version()
        self._in_head = False
        self._unproductive = 0
        if version != "1.1" and version != "1.0":  # noqa: PLR1714 - a set would cost more than both
            self._refuse("HTTP versions: 1.1 and 1.0.")
        if self._hosts != 1 and (self._hosts or version == "1.1"):
            self._refuse("A request has one Host.")
        upgrade = parser.should_upgrade()
        if upgrade and any(name in _BODY for name, _ in self._headers):
            self._refuse("A request to upgrade brings no body.")  # the parser would skip it
        close = upgrade or version == "1.0" or not parser.should_keep_alive()
        method = parser.get_method()
        known = _METHODS.get(method)
        if known is None and method in _FOREIGN:
            self._refuse("A protocol other than HTTP.")
        path, raw_path, query = target(self._url)
        scope = {
            **self._base,
            "method": known or method.decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
        }
        if version != "1.1":
            scope["http_version"] = version
        request = Request(self, scope, close=close, expects=self._expects and version == "1.1")
        self._reading = request
        self._discarded = 0
        if self._active is None:
            self._serve(request)
        else:
            self._queue.append(request)
            self._pause()

    def on_body(self, body: bytes) -> None:
        """Give a piece of the body to its request; of one that is answered already, only so much is read."""
        self._unproductive = 0
        request = self._reading
        if request is not None:
            request.feed(body)
            if request.held > HIGH_WATER:
                self._pause()
            return
        self._discarded += len(body)
        if self._discarded > MOST_DISCARDED:
            self._deaf = True
            self._transport.close()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        request, self._reading = self._reading, None
        self._unfinished = False
        self._unproductive = 0
        if request is not None:
            request.end()
            if request.last:
                self._deaf = True

    # What requests need of it (request.Line)

    @property
    def date(self) -> bytes:
        """The date's line of a head."""
        return self._server.date

    @property
    def closing(self) -> bool:
        """True: every answer is to be the last of its connection."""
        return self._server.draining

    def write(self, data: bytes) -> None:
        """Send ``data``; the event loop puts together what is written in one turn."""
        self._transport.write(data)

    async def writable(self) -> None:
        """Return when the client has taken enough of what was written, or has gone."""
        while self.blocked:
            if self._drained is None:
                self._drained = self._server.loop.create_future()
            await asyncio.shield(self._drained)

    def taken(self) -> None:
        """The application has taken the body that was there: read on."""
        if self.paused and not self._queue:
            self.paused = False
            self._heard = self._server.now  # the client could not go on before
            self._transport.resume_reading()

    def answered(self, *, last: bool, cut: bool) -> None:
        """Go on with the next request, or end the connection."""
        request, self._active = self._active, None
        self._heard = self._server.now
        if self.gone:
            return
        if cut:
            self._deaf = True
            self._transport.abort()
        elif last or self._server.draining:
            self._deaf = True
            self._transport.close()
        else:
            if self._reading is request:
                self._reading = None
            if self._queue:
                self._serve(self._queue.popleft())
            elif self._complaint:
                self._complain()
            self.taken()

    def done(self, task: "asyncio.Task[None]") -> None:
        """The application has returned."""
        self._server.tasks.discard(task)

    # What the server does with it

    @property
    def transport(self) -> Any:
        """What carries it."""
        return self._transport

    def shutdown(self) -> None:
        """Close it now if nothing is being answered; the server drains, so that every answer is its last."""
        if self._active is None:
            self._deaf = True
            self._transport.close()

    def sweep(self, silence: float) -> None:
        """Close it if its client dawdles for so many seconds: with a request, in taking an answer, or between them."""
        now = self._server.now
        if self.blocked or self._transport.is_closing():
            left = unsent(self._transport)
            if left != self._left:
                self._left, self._moved = left, now
            elif now - self._moved > silence:
                self._transport.abort()  # to close it would wait for the client to take the rest
        silent = now - self._heard
        if self._active is None:
            if silent > (silence if self._unfinished else KEEP_ALIVE):
                self._transport.close()
        elif self._reading is self._active and not self.paused and silent > silence:
            self._transport.close()

    # Within

    def _serve(self, request: Request) -> None:
        self._active = request
        server = self._server
        task = request.task = server.loop.create_task(request.run(server.app))
        server.tasks.add(task)

    def _pause(self) -> None:
        if not self.paused:
            self.paused = True
            self._transport.pause_reading()

    def _refuse(self, why: str) -> None:
        self._unfit = why
        raise ValueError(why)

    def _reject(self, why: str) -> None:
        """Read no further; say so when the requests before are answered."""
        if self._deaf:
            return  # bytes after the last request of the connection
        self._deaf = True
        self._complaint = why
        broken, self._reading = self._reading, None
        if broken is not None and broken is self._active:
            self._active = None
            broken.leave()
            if broken.begun:
                self._transport.abort()
                return
        elif broken is not None:
            self._queue.remove(broken)
        if self._active is None:
            self._complain()

    def _complain(self) -> None:
        log.info("client: %s", self._complaint)
        said = self._complaint.encode()
        head = render(
            400,
            [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(said))],
            self._server.date, method="GET", chunks=False, close=True,
        )  # fmt: skip
        if self._transport.is_closing():
            return
        self._transport.write(head.data + said)
        self._transport.write_eof()
        self.taken()
        self._server.loop.call_later(LINGER, self._transport.close)
