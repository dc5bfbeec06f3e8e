"""The HTTP protocol of the admin port: uvicorn's, with the limits that it lacks."""

import asyncio
import logging
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from guard.transports.client.protocol import HEAD_LIMIT, SILENCE

SAID_SECONDS = 60.0
"""How often the log says that connections are too many."""

log = logging.getLogger("guard.server")


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

    def make_room(self, new: "QuietProtocol") -> None:
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


class QuietProtocol(HttpToolsProtocol):
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
