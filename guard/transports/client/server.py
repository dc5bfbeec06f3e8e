"""Serves the client port: accepts connections, keeps their clock, and ends by a plan."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from socket import AF_UNIX, socket
from typing import Any

from guard.transports.client.lifespan import Lifespan
from guard.transports.client.protocol import SILENCE, ClientProtocol
from guard.transports.ending import end_connections
from guard.transports.listener import BACKLOG


class ClientState:
    """What the connections of one server share."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.loop = loop
        self.connections: set[ClientProtocol] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        """True: every answer closes its connection, so that clients open their next one elsewhere."""
        self.date = b""
        """The date's line of a head, as of the last second."""
        self.now = 0.0
        """Loop time as of the last tick: coarse, because a look at it costs nothing."""
        self._second = 0
        self.look()

    def look(self) -> None:
        """Look at the clocks."""
        self.now = self.loop.time()
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.date = f"date: {formatdate(second, usegmt=True)}\r\n".encode()


class ClientServer:
    """Serves ``app`` until ``should_exit``; then answers have ``grace`` seconds to finish, and ``cut`` ends the others.

    ``hurry`` ends the wait. A client may be silent within a request for ``silence`` seconds. The application must speak
    the lifespan protocol, and is called in tasks of the running event loop.
    """

    def __init__(
        self, app: Any, *, grace: float, cut: Callable[[], Awaitable[None]] | None = None, silence: float = SILENCE
    ) -> None:
        self.server_state = ClientState(app, asyncio.get_running_loop())
        self.up = asyncio.Event()
        self.hurry = asyncio.Event()
        self.started = False
        self._leaving = asyncio.Event()
        self._lifespan = Lifespan(app)
        self._grace, self._cut, self._silence = grace, cut, silence
        self._tick = min(1.0, silence / 4)

    @property
    def should_exit(self) -> bool:
        """True once the server is to end, or has."""
        return self._leaving.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._leaving.set()
        else:
            self._leaving.clear()

    async def serve(self, sockets: Sequence[socket]) -> None:
        """Accept on ``sockets``, which listen, and return when all is over; ``started`` tells whether it began."""
        if not await self._lifespan.startup():
            return
        self.started = True
        loop, state = self.server_state.loop, self.server_state
        servers = [
            await (loop.create_unix_server if one.family == AF_UNIX else loop.create_server)(
                lambda: ClientProtocol(state), sock=one, backlog=BACKLOG
            )
            for one in sockets
        ]
        clock = asyncio.ensure_future(self._keep_time())
        self.up.set()
        try:
            await self._leaving.wait()
            for server in servers:
                server.close()
            for listener in sockets:
                listener.close()
            await end_connections(state, self._grace, self._cut, self.hurry)
        finally:
            clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await clock
            await self._lifespan.shutdown()

    async def _keep_time(self) -> None:
        state, swept = self.server_state, self.server_state.now
        while True:
            await asyncio.sleep(self._tick)
            state.look()
            if state.now - swept >= self._silence / 4:
                swept = state.now
                for connection in list(state.connections):
                    connection.sweep(self._silence)
