"""One HTTP/1.1 connection to the upstream: one request at a time, strict response framing, back-pressure."""

import asyncio
import select
from typing import Any, Protocol

import httptools

from guard.transports.failure import UpstreamError, UpstreamGarbled, UpstreamTimeout, UpstreamUnavailable
from guard.transports.response import Response

HEAD_LIMIT = 64 * 1024
"""Bytes of a head, of trailers, or of any run of bytes that adds nothing to the answer."""
HIGH_WATER = 256 * 1024
"""Unread bytes above which the socket is not read any further."""
ONE_WRITE = 64 * 1024
"""Bytes of a body up to which it costs less to put it behind the head than to write the two side by side."""
_BODILESS = frozenset({204, 304})


class Owner(Protocol):
    """What a connection tells the pool."""

    def idle(self, connection: "Connection") -> None:
        """The answer is complete and the connection may carry another request."""

    def lost(self, connection: "Connection") -> None:
        """The connection is closed, for whatever reason; said once."""


class Refused(Exception):
    """Stops the parser; the text is the reason."""


class Connection(asyncio.Protocol):
    """A connection that carries one exchange after another.

    The framing rules are llhttp's strict ones (RFC 9112): one Content-Length, never beside Transfer-Encoding, no folded
    lines, no control characters, CRLF only. On top of them: only ``chunked`` as a transfer coding and only in HTTP/1.1,
    status 200 to 599 (interim answers are skipped, 101 is refused), bounded heads, nothing after the end.
    """

    __slots__ = (
        "_begun",
        "_closed",
        "_ended",
        "_head_size",
        "_headers",
        "_informational",
        "_loop",
        "_owner",
        "_parser",
        "_poll",
        "_reading_paused",
        "_reason",
        "_response",
        "_reusable",
        "_ticks",
        "_transport",
        "_unproductive",
        "_waiter",
        "_writing_paused",
        "idle_since",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.idle_since = 0.0
        """Loop time at which the pool got it back."""
        self._owner = owner
        self._loop = loop
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._poll = select.poll()
        self._response: Response | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._unproductive = 0
        self._ticks = 0
        self._reason = ""
        self._begun = self._ended = self._informational = self._reusable = False
        self._closed = self._reading_paused = self._writing_paused = False

    # What the pool does with it.

    @property
    def closed(self) -> bool:
        """True once it can carry nothing more."""
        return self._closed

    def fresh(self) -> bool:
        """Return False for a reused connection that the peer has closed or written to while it was idle.

        The kernel is asked, because the event loop may not have come to it yet; a POST that fails on such a connection
        could not be sent again.
        """
        return not self._closed and not self._transport.is_closing() and not self._poll.poll(0)

    async def exchange(self, head: bytes, body: bytes) -> Response:
        """Send a request and return its response when the head is there. Raises UpstreamError.

        The response may come before the request has been taken whole; the connection is not used again then.
        """
        if self._closed:
            raise UpstreamUnavailable("the connection was closed before the request was sent")
        response = self._response = Response(self)
        self._begun = self._ended = False
        self._head_size = self._unproductive = 0
        self._reason = ""
        if len(body) < ONE_WRITE:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        try:
            while not response.status and response.error is None:
                await self.wait()
        except asyncio.CancelledError:
            self.discard()
            raise
        if response.error is not None and not response.status:
            raise response.error
        return response

    def wait(self) -> "asyncio.Future[None]":
        """Return what is done when something has happened to the response."""
        waiter = self._waiter = self._loop.create_future()
        self._ticks = 0
        return waiter

    def resume(self) -> None:
        """Read from the socket again after its bytes were taken."""
        if self._reading_paused:
            self._reading_paused = False
            self._ticks = 0
            self._transport.resume_reading()

    def discard(self) -> None:
        """Close at once. Idempotent."""
        if not self._closed:
            self._closed = True
            response, self._response = self._response, None
            if response is not None:
                response.finish(UpstreamUnavailable("given up"))
                self._wake()
            if self._transport is not None:
                self._transport.abort()
            self._owner.lost(self)

    def tick(self, read_ticks: int, write_ticks: int) -> None:
        """Count one tick of the pool's clock and end the exchange if it has been still for too many.

        Time counts against the upstream while somebody waits for it, and against the reader while its buffer is full:
        a client that stopped reading must not hold the upstream's memory for ever.
        """
        if self._response is None or not (self._waiter is not None or self._reading_paused or self._writing_paused):
            self._ticks = 0
            return
        self._ticks += 1
        if self._writing_paused:
            if self._ticks > write_ticks:
                self.fail(UpstreamTimeout("the upstream does not take the request"))
        elif self._ticks > read_ticks:
            who = "nobody reads the answer" if self._reading_paused else "nothing came from the upstream"
            self.fail(UpstreamTimeout(who))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)

    def data_received(self, data: bytes) -> None:
        """Parse ``data`` and wake the reader once for all that was in it."""
        response = self._response
        if response is None:
            self.discard()  # bytes that no request asked for: what follows could be taken for the next answer
            return
        before = response.buffered
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(UpstreamGarbled(self._reason or str(error)))
            return
        self._ticks = 0
        if self._ended:
            self._finish(response)
        elif response.buffered != before:
            self._unproductive = 0
            if response.buffered > HIGH_WATER and not self._reading_paused:
                self._reading_paused = True
                self._transport.pause_reading()
        else:
            self._unproductive += len(data)
            if self._unproductive > HEAD_LIMIT:
                self.fail(UpstreamGarbled(f"more than {HEAD_LIMIT} bytes of head, trailers or chunk extensions"))
                return
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange: whole for a close-delimited body that was closed in order, cut short for any other."""
        response = self._response
        if response is not None:
            how = "closed" if exc is None else type(exc).__name__
            if not response.status:
                self.fail(UpstreamUnavailable(f"connection {how} before an answer; the request is not sent again"))
            elif response.close_delimited and exc is None:
                self._response = None
                response.finish()
                self._wake()
            else:
                self.fail(UpstreamGarbled(f"connection {how} before the end of the answer"))
        self.discard()

    def pause_writing(self) -> None:
        """The upstream takes the request more slowly than it is sent."""
        self._writing_paused = True
        self._ticks = 0

    def resume_writing(self) -> None:
        """The socket's buffer has room again."""
        self._writing_paused = False
        self._ticks = 0

    # httptools callbacks

    def on_message_begin(self) -> None:
        """Start a head; a second message in one exchange is not ours."""
        if self._ended:
            self._refuse("bytes after the end of the answer")
        self._headers = []
        self._begun = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Trailers are dropped: nothing here has a use for them."""
        if self._begun:
            return
        self._head_size += len(name) + len(value) + 4
        self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Check the head and hand it over, unless it is an interim one."""
        status = self._parser.get_status_code()
        if self._head_size > HEAD_LIMIT:
            self._refuse(f"a head of more than {HEAD_LIMIT} bytes")
        if status < 200:
            if status < 100 or status == 101:
                self._refuse(f"status {status}")
            self._informational = True
            return
        if status > 599:
            self._refuse(f"status {status}")
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            self._refuse(f"HTTP version {version}")
        framed = False
        for name, value in self._headers:
            if name == b"content-length":
                framed = True
            elif name == b"transfer-encoding":
                if framed or version == "1.0" or value.lower() != b"chunked":
                    self._refuse("a transfer coding other than one chunked of HTTP/1.1")
                framed = True
        self._begun = True
        response = self._response
        if response is not None:
            response.close_delimited = not framed and status not in _BODILESS
            response.headers = self._headers
            response.status = status

    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body over."""
        response = self._response
        if response is not None:
            response.take(body)

    def on_message_complete(self) -> None:
        """Note the end; the connection is given back when the rest of the read has proved empty."""
        if self._informational:
            self._informational = False
        else:
            self._ended = True
            self._reusable = self._parser.should_keep_alive()  # the parser forgets it after this call

    # Endings

    def _refuse(self, reason: str) -> None:
        self._reason = reason
        raise Refused(reason)

    def _finish(self, response: Response) -> None:
        self._response = None
        response.finish()
        if self._reusable and not self._transport.get_write_buffer_size():
            self.resume()
            self._owner.idle(self)
        else:
            self.discard()

    def fail(self, error: UpstreamError) -> None:
        """End the exchange in ``error`` and close."""
        response, self._response = self._response, None
        if response is not None:
            response.finish(error)
        self._wake()
        self.discard()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None  # here, not by the waiter: by then the next exchange may wait
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
