"""A tiny raw server for tests: each test says what happens on a connection, byte by byte."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Self


class RawConnection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader, self.writer, self.number = reader, writer, number

    async def request(self) -> tuple[bytes, bytes]:
        """Return head and body of the next request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return head, await self.reader.readexactly(length)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Return when the client has closed."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass


class RawServer:
    """``async with RawServer(handler) as server``: ``server.url``; every connection runs ``handler`` in a task."""

    def __init__(self, handler: Callable[[RawConnection], Awaitable[None]], *, path=None, ssl=None) -> None:
        self.handler, self.path, self.ssl = handler, path, ssl
        self.connections = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> Self:
        if self.path:
            self.server = await asyncio.start_unix_server(self.serve, self.path)
            self.url = f"unix://{self.path}"
        else:
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.ssl)
            port = self.server.sockets[0].getsockname()[1]
            self.url = (
                f"{'https' if self.ssl else 'http'}://localhost:{port}" if self.ssl else f"http://127.0.0.1:{port}"
            )
        return self

    async def __aexit__(self, *_) -> None:
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.server.wait_closed()

    async def serve(self, reader, writer) -> None:
        task = asyncio.current_task()
        self.tasks.add(task)
        self.connections += 1
        connection = RawConnection(reader, writer, self.connections)
        original = connection.request

        async def request():
            head, body = await original()
            self.heads.append(head)
            self.bodies.append(body)
            return head, body

        connection.request = request
        try:
            await self.handler(connection)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


def answer(body: bytes = b"hello", head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n%b" % (len(body), head, body)


def always(*pieces: bytes, pause: float = 0.0):
    """A handler that answers every request on a connection with ``pieces``."""

    async def handler(connection: RawConnection) -> None:
        while True:
            await connection.request()
            for piece in pieces:
                await connection.send(piece)
                if pause:
                    await asyncio.sleep(pause)

    return handler


def then_close(*pieces: bytes, pause: float = 0.0):
    """A handler that answers one request and closes."""

    async def handler(connection: RawConnection) -> None:
        await connection.request()
        for piece in pieces:
            await connection.send(piece)
            await asyncio.sleep(pause)

    return handler
