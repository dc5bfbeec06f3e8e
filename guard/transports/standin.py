"""Answers the admin port while the worker that does cannot: that the process lives, and is not ready.

Nothing else is known here. Without it whoever asks, a probe first of all, would wait for as long as the worker does not
come. It accepts from the same socket, so a connection goes to whoever takes it first.
"""

import asyncio
import json
from contextlib import suppress
from socket import socket

SECONDS = 5.0
"""For a request to come whole."""
MOST = 100
"""Connections at a time; more are closed."""
_ANSWERS = {"/healthz": ("200 OK", {"alive": True}), "/readyz": ("503 Service Unavailable", {"ready": False})}
_OTHER = ("503 Service Unavailable", {"detail": "worker 0, which answers here, is being replaced"})


class StandIn:
    """Answers on ``listener``, which others accept from too, while it is needed."""

    def __init__(self, listener: socket) -> None:
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._open = 0
        self._turn = asyncio.Lock()

    async def serve(self, *, needed: bool) -> None:
        """Begin to accept, or leave it to others; what was accepted is answered."""
        async with self._turn:
            if not needed:
                self.close()
            elif self._server is None:
                # A copy: what asyncio closes with its server is not the socket that the next worker is handed.
                self._server = await asyncio.start_server(self._answer, sock=self._listener.dup())

    def close(self) -> None:
        """Accept no more; idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MOST:
                with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                    async with asyncio.timeout(SECONDS):
                        head = await reader.readuntil(b"\r\n\r\n")
                        writer.write(answer(head))
                        await writer.drain()
        finally:
            self._open -= 1
            writer.close()


def answer(head: bytes) -> bytes:
    """Return the whole answer to a request by its ``head``."""
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
    status, said = _ANSWERS.get(path, _OTHER) if method in {b"GET", b"HEAD"} else _OTHER
    body = json.dumps(said).encode()
    fields = f"content-type: application/json\r\ncontent-length: {len(body)}\r\ncache-control: no-store"
    top = f"HTTP/1.1 {status}\r\n{fields}\r\nretry-after: 1\r\nconnection: close\r\n\r\n".encode()
    return top if method == b"HEAD" else top + body
