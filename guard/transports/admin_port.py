"""The admin port inside somebody else's server: vLLM's event loop serves it beside vLLM's own port."""

import asyncio
from socket import socket
from typing import Any, Self

from guard.transports.listener import Address, bind, release
from guard.transports.quiet import ADMIN_CONNECTIONS, QuietServer


class AdminPort:
    """An admin app that is being served until ``close``."""

    def __init__(self, server: QuietServer, listener: socket, address: Address) -> None:
        self.address = address
        """Where it listens, with the port that was chosen for 0."""
        self._server, self._listener = server, listener
        self._serving = asyncio.ensure_future(server.serve(sockets=[listener]))

    @classmethod
    async def open(cls, app: Any, listen: str) -> Self:
        """Serve ``app`` on ``listen``. Raises StartupError if the address cannot be bound."""
        listener, address = bind(Address.parse(listen), "admin")
        server = QuietServer(app, most=ADMIN_CONNECTIONS)
        port = cls(server, listener, address)
        await server.up.wait()
        return port

    async def close(self) -> None:
        """Answer what is under way and stop listening."""
        self._server.should_exit = True
        await self._serving
        release(self._listener, self.address)
