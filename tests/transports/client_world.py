"""The client port without a socket: a connection whose bytes a test hands over and reads back."""

import asyncio
import re
from contextlib import asynccontextmanager

from guard.transports.client.protocol import HIGH_WATER, ClientProtocol
from guard.transports.client.server import ClientServer, ClientState

HEAD = b"POST /p HTTP/1.1\r\nhost: a\r\n"
LARGE = b"large" * (HIGH_WATER // 4)


def post(body=b"", path=b"/p", *headers):
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n%b\r\n%b" % (path, len(body), lines, body)


def status(out):
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d\d\d) ", out)]


class Wire:
    """An asyncio transport that keeps what is written; it never takes more than it is told to."""

    def __init__(self):
        self.out, self.closing, self.aborted, self.paused = b"", False, False, False
        self.ended, self.unsent = False, 0
        self.protocol = None

    def get_extra_info(self, name, default=None):
        return {"peername": ("192.0.2.7", 4711), "sockname": ("127.0.0.1", 8080)}.get(name, default)

    def write(self, data):
        assert not self.closing, "nothing is written after the connection was closed"
        assert not self.ended, "nothing is written after the end was said"
        assert isinstance(data, bytes)
        self.out += data

    def write_eof(self):
        self.ended = True

    def get_write_buffer_size(self):
        return self.unsent

    def close(self):
        if not self.closing:
            self.closing = True
            if not self.unsent:
                asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self):
        if self.aborted or (self.closing and not self.unsent):
            return
        self.aborted = self.closing = True
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def is_closing(self):
        return self.closing

    def pause_reading(self):
        assert not self.paused
        self.paused = True

    def resume_reading(self):
        assert self.paused
        self.paused = False


class Talk:
    """One connection to ``app``."""

    def __init__(self, app):
        self.state = ClientState(app, asyncio.get_running_loop())
        self.state.date = b"date: now\r\n"
        self.wire = Wire()
        self.protocol = self.wire.protocol = ClientProtocol(self.state)
        self.protocol.connection_made(self.wire)

    async def say(self, *pieces):
        """Hand ``pieces`` over as a socket would: not while reading is paused, nothing after the end."""
        for piece in pieces:
            for _ in range(200):
                if not self.wire.paused or self.wire.closing:
                    break
                await asyncio.sleep(0)
            if self.wire.closing:
                return self
            assert not self.wire.paused, "reading is never taken up again"
            self.protocol.data_received(piece)
        return self

    async def rest(self):
        """Return what was written when nothing happens any more."""
        for _ in range(30):
            await asyncio.sleep(0)
        return self.wire.out

    def lose(self):
        self.protocol.connection_lost(None)


def said(app, *pieces):
    """All that is written to a client that sends ``pieces``, and whether it is told that this was all."""

    async def main():
        talk = await Talk(app).say(*pieces)
        return await talk.rest(), talk.wire.closing or talk.wire.ended

    return asyncio.run(asyncio.wait_for(main(), 10))


async def echo(scope, receive, send):
    """Answer with the method, the path and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    text = f"{scope['method']} {scope['path']} ".encode() + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


async def refusing(scope, receive, send):
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"no!"})


class Mute:
    """An ASGI app that speaks lifespan, and ``app`` for the rest."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        for kind in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{kind}"
            await send({"type": f"lifespan.{kind}.complete"})


@asynccontextmanager
async def serving(app, **settings):
    """A ClientServer on a loopback socket; yields it and its address."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    address = listener.getsockname()
    server = ClientServer(Mute(app), **{"grace": 5, **settings})
    running = asyncio.ensure_future(server.serve([listener]))
    await server.up.wait()
    try:
        yield server, address
    finally:
        server.should_exit = True
        await running
