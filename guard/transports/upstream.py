"""The pool of connections to the inference server.

Plain asyncio protocols, because they cost a tenth of the usual HTTP clients: no task, no timer and no stream object per
request. One coarse clock per pool ends exchanges that stand still.
"""

import asyncio
import math
import ssl
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

from guard.transports.connection import Connection
from guard.transports.failure import (
    UpstreamBroken,
    UpstreamBusy,
    UpstreamError,
    UpstreamGarbled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from guard.transports.response import Response

__all__ = [
    "Response",
    "Upstream",
    "UpstreamBroken",
    "UpstreamBusy",
    "UpstreamError",
    "UpstreamGarbled",
    "UpstreamTimeout",
    "UpstreamUnavailable",
]

IDLE_SECONDS = 4.0
"""A connection is kept unused for this long: less than the 5 s after which uvicorn, vLLM's server, closes it."""
_UNSUPPORTED = frozenset({"HEAD", "CONNECT"})  # their answers are framed differently


class Upstream:
    """A pool of at most ``max_connections`` keep-alive connections to one ``url``.

    ``http://host:port``, ``https://host:port`` (certificate and name verified, against ``ca_file`` if given) or
    ``unix:///path``. Time-outs are in seconds and end a little late, never early: ``connect_timeout`` to get a
    connection from the line and again to open one, ``write_timeout`` for a request to be taken, ``read_timeout``
    between two pieces of an answer (the first of them is the model's time to first token). ``max_waiting`` requests
    may stand in line. Raises ValueError for any other URL.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_timeout: float = 5.0,
        read_timeout: float = 600.0,
        write_timeout: float = 30.0,
        max_connections: int = 1024,
        max_waiting: int = 1024,
        ca_file: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._path: str | None = None
        self._ssl: ssl.SSLContext | None = None
        self._host, self._port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            self._path, authority = parts.path, "localhost"
        elif parts.scheme in {"http", "https"} and parts.hostname and parts.path in {"", "/"}:
            authority = parts.netloc.rpartition("@")[2]
        else:
            raise ValueError(f"upstream {url!r}: allowed: http://host:port, https://host:port, unix:///path")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("upstream: a URL with credentials, query or fragment; allowed: scheme, host and port")
        if parts.scheme == "https":
            self._ssl = ssl.create_default_context(cafile=ca_file)
        self.url = url
        self._prefix = f" HTTP/1.1\r\nhost: {authority}\r\naccept-encoding: identity\r\n".encode("ascii")
        self._connect_timeout = connect_timeout
        self._period = min(max(min(connect_timeout, read_timeout, write_timeout) / 8, 0.005), 0.5)
        self._read_ticks = math.ceil(read_timeout / self._period)  # exceeded, so one tick more: never early
        self._write_ticks = math.ceil(write_timeout / self._period)
        self._max_connections = max_connections
        self._max_waiting = max_waiting
        self._connections: set[Connection] = set()
        self._idle: deque[Connection] = deque()
        self._connecting = 0
        self._line: deque[tuple[asyncio.Future[Connection | None], float]] = deque()
        self._clock: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        active = len(self._connections) - len(self._idle) + self._connecting
        return f"<Upstream {self.url} active={active} idle={len(self._idle)} waiting={len(self._line)}>"

    async def request(
        self, method: str, path: str, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> Response:
        """Send one request and return the response when its head is there; ``path`` is encoded, with its query.

        ``host``, ``accept-encoding`` and ``content-length`` are added here and are not among ``headers``. Nothing is
        ever sent twice. The caller closes the response. Raises UpstreamError, and ValueError for a request that cannot
        be written as HTTP.
        """
        if method in _UNSUPPORTED:
            raise ValueError(f"method {method} is not forwarded")
        target = path.encode("ascii")
        lines = [method.encode("ascii"), b" ", target, self._prefix]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"content-length: %d\r\n\r\n" % len(body) if body or method != "GET" else b"\r\n")
        head = b"".join(lines)
        breaks = len(headers) + (5 if body or method != "GET" else 4)
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b" " in target:
            raise ValueError("a line break in a header, or a space in the path")
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.fresh():
                return await connection.exchange(head, body)
            connection.discard()
        connection = await self._acquire()
        return await connection.exchange(head, body)

    def close(self) -> None:
        """Close every connection; requests in flight and in line end with UpstreamUnavailable."""
        self._closed = True
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        for connection in list(self._connections):
            connection.fail(UpstreamUnavailable("the pool was closed"))
        while self._line:
            future, _ = self._line.popleft()
            if not future.done():
                future.set_exception(UpstreamUnavailable("the pool was closed"))

    async def _acquire(self) -> Connection:
        if self._closed:
            raise UpstreamUnavailable("the pool was closed")
        loop = self._loop = asyncio.get_running_loop()
        if self._clock is None:
            self._clock = loop.call_later(self._period, self._tick)
        if len(self._connections) + self._connecting < self._max_connections and not self._line:
            self._connecting += 1
            return await self._connect(loop)
        if len(self._line) >= self._max_waiting:
            raise UpstreamBusy(f"{self._max_connections} connections in use and {len(self._line)} requests in line")
        future: asyncio.Future[Connection | None] = loop.create_future()
        self._line.append((future, loop.time() + self._connect_timeout))
        try:
            connection = await future
        except asyncio.CancelledError:
            self._leave(future)
            raise
        if connection is None:  # a place to open a connection in
            return await self._connect(loop)
        return connection if connection.fresh() else await self._replace(connection, loop)

    async def _replace(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> Connection:
        self._connecting += 1  # taken before the discard, so that nobody else in line gets the place
        connection.discard()
        return await self._connect(loop)

    def _leave(self, future: "asyncio.Future[Connection | None]") -> None:
        """Take a canceled request out of the line, passing on what it had been given in the same moment."""
        if future.done() and not future.cancelled() and future.exception() is None:
            connection = future.result()
            if connection is None:
                self._connecting -= 1
                self._admit()
            else:
                self.idle(connection)
            return
        self._line = deque(entry for entry in self._line if entry[0] is not future)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> Connection:
        """Open a connection in a place that was counted in ``_connecting`` already."""
        connection = Connection(self, loop)
        try:
            async with asyncio.timeout(self._connect_timeout):
                if self._path is not None:
                    await loop.create_unix_connection(lambda: connection, self._path)
                else:
                    await loop.create_connection(lambda: connection, self._host, self._port, ssl=self._ssl)
        except TimeoutError as error:
            raise UpstreamTimeout("connecting took too long") from error
        except OSError as error:  # ssl.SSLError among them
            raise UpstreamUnavailable(f"cannot connect: {error}") from error
        else:
            if connection.closed:
                raise UpstreamUnavailable("the connection was closed, or written to, before a request was sent")
            self._connections.add(connection)
        finally:
            self._connecting -= 1
            if connection not in self._connections:
                self._admit()
        if self._closed:
            connection.discard()
        return connection

    # Owner, for connections

    def idle(self, connection: Connection) -> None:
        """Hand a connection whose answer is complete to the first in line, or keep it for the next request."""
        while self._line:
            future, _ = self._line.popleft()
            if not future.done():
                future.set_result(connection)
                return
        if self._loop is not None:
            connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a closed connection and let the next in line open another."""
        if connection in self._connections:
            self._connections.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._admit()

    def _admit(self) -> None:
        while self._line and len(self._connections) + self._connecting < self._max_connections:
            future, _ = self._line.popleft()
            if not future.done():
                self._connecting += 1
                future.set_result(None)

    def _tick(self) -> None:
        loop = self._loop
        if loop is None:
            return
        now = loop.time()
        for connection in list(self._connections):
            connection.tick(self._read_ticks, self._write_ticks)
        while self._idle and now - self._idle[0].idle_since > IDLE_SECONDS:
            self._idle[0].discard()
        while self._line and (self._line[0][0].done() or now >= self._line[0][1]):
            future, _ = self._line.popleft()
            if not future.done():
                future.set_exception(UpstreamBusy("no connection came free in time"))
        waiting = self._connections or self._line or self._connecting
        self._clock = loop.call_later(self._period, self._tick) if waiting else None
