"""The admin port's server: uvicorn, which leaves signals to its owner, says when it is up, and ends by a plan."""

import asyncio
import contextlib
from collections.abc import Generator
from socket import socket
from typing import Any

import uvicorn

from guard.transports.ending import end_connections
from guard.transports.quiet_protocol import Connections, QuietProtocol, close_silent

ADMIN_CONNECTIONS = 128
"""Connections of the admin port at once: whoever reaches it, without a token too, leaves the process descriptors."""
GRACE = 1.0
"""Seconds that answers have to finish when the server ends."""


class QuietServer(uvicorn.Server):
    """Serves ``app``, which has no lifespan, until ``should_exit``; then answers have GRACE to finish.

    No more than ``most`` connections are open at once (0: any number).
    """

    server_state: Connections

    def __init__(self, app: Any, *, most: int = 0) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=QuietProtocol,
                ws="none",
                interface="asgi3",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # X-Forwarded-For is a claim; the identity policy decides whom to believe
                timeout_keep_alive=75,
            )
        )
        self.server_state = Connections(most)
        self.up = asyncio.Event()
        self._sweeping: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start and say so."""
        await super().startup(sockets)
        self._sweeping = asyncio.ensure_future(close_silent(self.server_state.connections))
        self.up.set()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop accepting, let answers finish and close every connection."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await end_connections(self.server_state, GRACE)
        if self._sweeping is not None:
            self._sweeping.cancel()
