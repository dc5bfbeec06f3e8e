"""What a client of the admin port that dawdles may do."""

import asyncio

import pytest

from guard.transports.quiet_protocol import Connections, QuietProtocol, close_silent


class Served:
    """A uvicorn protocol on a loopback socket, without the rest of uvicorn's server."""

    def __init__(self, most=0, silence=0.05):
        self.most, self.silence, self.go = most, silence, asyncio.Event()
        self.go.set()

    async def __aenter__(self):
        import uvicorn

        async def app(scope, receive, send):
            more = True
            while more:
                message = await receive()
                more = message.get("more_body", False)
            await self.go.wait()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

        self.state = Connections(self.most)
        config = uvicorn.Config(app, http=QuietProtocol, ws="none", log_config=None, lifespan="off")
        config.load()
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(
            lambda: QuietProtocol(config=config, server_state=self.state, app_state={}, _loop=loop), "127.0.0.1", 0
        )
        self.sweeper = asyncio.ensure_future(close_silent(self.state.connections, self.silence))
        return self

    async def connect(self):
        return await asyncio.open_connection(*self.server.sockets[0].getsockname())

    async def __aexit__(self, *_):
        self.sweeper.cancel()
        self.server.close()
        for connection in list(self.state.connections):
            connection.transport.close()
        await self.server.wait_closed()


def converse(*pieces, pause=0.0):
    """Send ``pieces`` and return all that comes until the server closes; None if it does not within 0.4 s."""

    async def main():
        async with Served() as served:
            reader, writer = await served.connect()
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
                return await asyncio.wait_for(reader.read(), 0.4)
            except TimeoutError:
                return None
            except ConnectionError:
                return b"closed"
            finally:
                writer.close()

    return asyncio.run(main())


HEAD = b"POST / HTTP/1.1\r\nhost: a\r\n"


@pytest.mark.parametrize(
    "pieces",
    [[], [b"POST / HT"], [HEAD], [HEAD + b"content-length: 9\r\n\r\nhalf"]],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
def test_a_client_that_falls_silent_within_a_request_is_closed(pieces):
    assert converse(*pieces) == b""


def test_a_slow_client_is_served():
    whole = HEAD + b"content-length: 3\r\nconnection: close\r\n\r\nabc"
    got = converse(*[whole[start : start + 12] for start in range(0, len(whole), 12)], pause=0.03)
    assert got is not None
    assert got.startswith(b"HTTP/1.1 200 OK")


def test_a_connection_that_is_idle_between_requests_is_left_alone():
    assert converse(HEAD + b"content-length: 0\r\n\r\n") is None


def test_a_head_without_end_is_refused():
    got = converse(HEAD, *[b"x-a: " + b"a" * 8000 + b"\r\n"] * 12)
    assert got == b"closed" or got.startswith(b"HTTP/1.1 400")


WHOLE = HEAD + b"content-length: 0\r\n\r\n"
UNFINISHED = [b"", b"POST / HT", HEAD + b"content-length: 9\r\n\r\nhalf"]


def test_too_many_connections_cost_the_oldest_that_wait_for_their_client(caplog):
    async def main():
        async with Served(most=8, silence=60) as served:
            served.go.clear()
            held_reader, held = await served.connect()
            held.write(WHOLE)
            others = []
            for number in range(40):
                reader, writer = await served.connect()
                writer.write(UNFINISHED[number % len(UNFINISHED)])
                others.append((reader, writer))
            await until(lambda: len(served.state.connections) == 8)
            assert all([await closed(reader) for reader, _ in others[:33]])
            served.go.set()  # what was asked before all that, and what is asked now, is answered
            reader, writer = await served.connect()
            writer.write(WHOLE)
            for each in (held_reader, reader):
                assert (await asyncio.wait_for(each.readline(), 10)).startswith(b"HTTP/1.1 200")
            assert len(served.state.connections) <= 8
            for _, each in [*others, (reader, writer), (held_reader, held)]:
                each.close()

    asyncio.run(asyncio.wait_for(main(), 30))
    assert caplog.text.count("more than 8 connections at once") == 1


def test_where_all_are_being_answered_a_new_connection_is_closed():
    async def main():
        async with Served(most=2, silence=60) as served:
            served.go.clear()
            held = [await served.connect() for _ in range(2)]
            for _, writer in held:
                writer.write(WHOLE)
            await until(lambda: sum(one.answering() for one in served.state.connections) == 2)
            reader, late = await served.connect()
            assert await closed(reader)
            served.go.set()
            for kept, _ in held:
                assert (await asyncio.wait_for(kept.readline(), 10)).startswith(b"HTTP/1.1 200")
            for _, writer in [*held, (reader, late)]:
                writer.close()

    asyncio.run(asyncio.wait_for(main(), 30))


async def until(what):
    while not what():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


async def closed(reader):
    try:
        return await asyncio.wait_for(reader.read(), 10) == b""
    except ConnectionError:
        return True
