"""The admin port on somebody else's event loop: strangers who say nothing cost it little."""

import asyncio
from functools import partial

from guard.transports import quiet
from guard.transports.admin_port import AdminPort
from guard.transports.quiet import ADMIN_CONNECTIONS
from guard.transports.quiet_protocol import close_silent

HALF = b"POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nt"


async def app(scope, receive, send):
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def tell(story):
    async def main():
        port = await AdminPort.open(app, "127.0.0.1:0")
        opened = []

        async def connect(said):
            reader, writer = await asyncio.open_connection("127.0.0.1", port.address.port)
            opened.append(writer)
            writer.write(said)
            return reader

        try:
            await story(connect)
        finally:
            for writer in opened:
                writer.close()
            await port.close()

    asyncio.run(asyncio.wait_for(main(), 30))


async def ended(reader):
    try:
        return await asyncio.wait_for(reader.read(), 10) == b""
    except ConnectionError:
        return True


def test_requests_that_are_never_finished_are_given_up(monkeypatch):
    monkeypatch.setattr(quiet, "close_silent", partial(close_silent, silence=0.05))

    async def story(connect):
        assert await ended(await connect(HALF))

    tell(story)


def test_however_many_strangers_hold_a_connection_others_are_answered():
    async def story(connect):
        readers = [await connect(HALF) for _ in range(ADMIN_CONNECTIONS + 5)]
        assert all([await ended(reader) for reader in readers[:5]])
        reader = await connect(b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200")
        assert not readers[-1].at_eof()

    tell(story)
