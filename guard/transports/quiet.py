"""A uvicorn server that leaves signals to its owner, says when it is up, and ends by a plan."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from socket import socket
from typing import Any

import uvicorn

from guard.transports.listener import ClientProtocol, Connections

TICK = 0.05
CUT_SECONDS = 2.0
"""Within which answers that were cut short have to be taken by their clients."""
LEAVE_SECONDS = 1.0
"""Within which whatever is then still at work has to notice that its client is gone."""


class QuietServer(uvicorn.Server):
    """Serves ``app`` until ``should_exit``; then answers have ``grace`` seconds to finish, and ``cut`` ends the others.

    ``hurry`` ends the wait. No more than ``most`` connections are open at once (0: any number).
    """

    server_state: Connections

    def __init__(
        self, app: Any, *, grace: float, lifespan: Any, cut: Callable[[], Awaitable[None]] | None = None, most: int = 0
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=ClientProtocol,
                ws="none",
                interface="asgi3",
                lifespan=lifespan,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # X-Forwarded-For is a claim; the identity policy decides whom to believe
                timeout_keep_alive=75,
            )
        )
        self.server_state = Connections(most)
        self.up = asyncio.Event()
        self.hurry = asyncio.Event()
        self._grace = grace
        self._cut = cut

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start and say so."""
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop accepting, let answers finish or cut them, close every connection, then end the app's lifespan.

        Takes at most the grace period, CUT_SECONDS and twice LEAVE_SECONDS, and what the app takes to shut down.
        """
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        self.server_state.draining = True
        for connection in list(self.server_state.connections):
            connection.shutdown()  # closes what is idle; the others close with their answers
        await self._quiet(self._grace, self.hurry)
        if not self._at_rest and self._cut is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CUT_SECONDS):
                    await self._cut()
                    await self._quiet(CUT_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self._quiet(LEAVE_SECONDS)
        left = list(self.server_state.tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=LEAVE_SECONDS)
        await self.lifespan.shutdown()

    @property
    def _at_rest(self) -> bool:
        return not self.server_state.connections and not self.server_state.tasks

    async def _quiet(self, seconds: float, hurry: asyncio.Event | None = None) -> None:
        """Return when nothing is open any more, ``seconds`` are over or ``hurry`` is set."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # uvicorn keeps sets of what is open, and tells nobody of changes
                while not (self._at_rest or (hurry is not None and hurry.is_set())):  # noqa: ASYNC110 - see above
                    await asyncio.sleep(TICK)
