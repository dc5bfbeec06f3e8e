"""Listening addresses, and the sockets and the HTTP protocol behind them."""

import asyncio
import logging
import os
import socket
import stat
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

HEAD_LIMIT = 64 * 1024
"""Bytes of a request's line and headers; one read more may be held before it is noticed."""
SILENCE = 30.0
"""Seconds without a byte after which a request that is not whole yet is given up (and a connection without any)."""
BACKLOG = 2048
ADMIN_CONNECTIONS = 128
"""Connections of the admin port at once: whoever reaches it, without a token too, leaves the process descriptors."""
SAID_SECONDS = 60.0
"""How often the log says that connections are too many."""

log = logging.getLogger("guard.server")


class StartupError(Exception):
    """The sidecar cannot start; the text says which address and why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: ``host`` and ``port`` (0: any free one), or the ``path`` of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address in ``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:///PATH``. Raises ValueError."""
        if text.startswith("unix://"):
            path = text.removeprefix("unix://")
            if not path.startswith("/"):
                raise ValueError(f"address {text!r}: allowed: unix:///absolute/path")
            return cls(path=path)
        host, separator, port = text.rpartition(":")
        if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"address {text!r}: allowed: HOST:PORT, [IPV6]:PORT, unix:///path")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach it."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False  # a name may resolve to anything, an empty host means every interface

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def bind(address: Address, name: str) -> tuple[socket.socket, Address]:
    """Return a listening socket and the address it got (with the port chosen for 0).

    Raises StartupError, which names the setting ``name`` and the address.
    """
    try:
        if address.path:
            return _bind_unix(address.path), address
        family, _, _, _, target = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise StartupError(f"{name}: cannot listen on {address}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(f"{name}: cannot listen on {address}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener, Address(address.host, listener.getsockname()[1])


def release(listener: socket.socket, address: Address) -> None:
    """Close what ``bind`` returned; a unix socket's file goes too."""
    listener.close()
    if address.path:
        Path(address.path).unlink(missing_ok=True)


def _bind_unix(path: str) -> socket.socket:
    """Bind a unix socket that the owner and the group may use, in place of one that nobody listens on any more."""
    file = Path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if file.exists() and stat.S_ISSOCK(file.stat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(path) != 0:
                    file.unlink()
        mask = os.umask(0o117)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class Connections(ServerState):
    """uvicorn's state of a server, how many connections it may have, and whether they are to be used no further.

    With ``most`` open, the oldest one whose client is waited for makes room for a new one; where each is being
    answered, the new one is closed. 0: as many as there are descriptors.
    """

    def __init__(self, most: int = 0) -> None:
        super().__init__()
        self.draining = False
        """True: every answer closes its connection, so that clients open their next one elsewhere."""
        self._most = most
        self._said = -SAID_SECONDS

    def make_room(self, new: "ClientProtocol") -> None:
        """Close a connection if there are too many; the log says so once a minute."""
        if not self._most or len(self.connections) <= self._most:
            return
        open_: set[Any] = self.connections
        others = [one for one in open_ if one is not new and not one.answering()]
        oldest = min(others, key=lambda one: one.opened, default=new)
        open_.discard(oldest)
        oldest.transport.abort()
        if time.monotonic() - self._said >= SAID_SECONDS:
            self._said = time.monotonic()
            log.warning("admin: more than %d connections at once; those that wait longest are closed", self._most)


class ClientProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol with the two limits it lacks: the size of a head, and silence within a request."""

    server_state: Connections
    opened = 0.0
    heard = True
    head_bytes = 0
    in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin with a connection, for which another one may have to go."""
        super().connection_made(transport)
        self.opened = time.monotonic()
        self.server_state.make_room(self)

    def data_received(self, data: bytes) -> None:
        """Parse ``data``; a head that grows beyond the limit is answered 400 and the connection closed."""
        self.heard = True
        super().data_received(data)
        if self.in_head:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_LIMIT and not self.transport.is_closing():
                self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        """Start counting a head."""
        self.in_head = True
        self.head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting the head and serve the request, on a server that is to end as the connection's last."""
        self.in_head = False
        super().on_headers_complete()
        if self.server_state.draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Note that the connection is idle: uvicorn's own keep-alive time-out watches it from here."""
        self.in_head = False
        super().on_response_complete()

    def answering(self) -> bool:
        """True while a request that is whole is without its whole answer."""
        return self.cycle is not None and not self.cycle.response_complete and not self.waits_for_client()

    def waits_for_client(self) -> bool:
        """True while the next thing to happen is that the client sends more of a request."""
        cycle = self.cycle
        if self.in_head:
            return cycle is None or cycle.response_complete
        return cycle is not None and cycle.more_body and not cycle.response_complete and not self.flow.read_paused


async def close_silent(connections: "set[Any]", silence: float = SILENCE) -> None:
    """Close, for ever, connections whose client has been silent for ``silence`` seconds within a request."""
    while True:
        await asyncio.sleep(silence)
        for connection in list(connections):
            if not connection.heard and connection.waits_for_client():
                connection.transport.close()
            connection.heard = False
