"""The sidecar's inner app: what goes through, what does not, and what happens when either end leaves."""

import asyncio

import pytest
import uvloop
from raw_upstream import RawServer, always, answer, then_close

from guard.transports.disconnect import DisconnectWatch
from guard.transports.proxy import ProxyApp
from guard.transports.upstream import (
    Upstream,
    UpstreamBroken,
    UpstreamGarbled,
    UpstreamTimeout,
    UpstreamUnavailable,
)


def run(coroutine):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(coroutine, 10))


class Client:
    """One ASGI request: its scope, what the app sends, and when it goes away."""

    def __init__(self, path="/v1/chat/completions", headers=(), body=b"{}", method="POST", query=b""):
        self.scope = {
            "type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers),
        }  # fmt: skip
        self.body = [body] if isinstance(body, bytes) else list(body)
        self.sent = []
        self.left = asyncio.Event()

    async def receive(self):
        if self.body:
            return {"type": "http.request", "body": self.body.pop(0), "more_body": bool(self.body)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return self.sent[0]["headers"]

    @property
    def answer(self):
        return b"".join(message["body"] for message in self.sent[1:])


async def through(server, client, **settings):
    upstream = Upstream(server.url, **settings)
    try:
        await ProxyApp(upstream)(client.scope, client.receive, client.send)
    finally:
        upstream.close()
    return client


def test_a_request_and_its_answer_pass_through_without_what_belongs_to_one_hop():
    request = [
        (b"host", b"guard.example"),
        (b"authorization", b"Bearer k"),
        (b"content-type", b"application/json"),
        (b"content-length", b"999"),
        (b"connection", b"keep-alive, X-Hop"),
        (b"keep-alive", b"1"),
        (b"x-hop", b"secret"),
        (b"te", b"trailers"),
        (b"expect", b"100-continue"),
        (b"accept-encoding", b"gzip"),
        (b"transfer-encoding", b"chunked"),
        (b"x-request-id", b"7"),
    ]
    head = b"connection: keep-alive, x-gone\r\nx-gone: 1\r\nkeep-alive: timeout=5\r\nserver: uvicorn\r\ndate: then\r\nvary: Origin\r\n"

    async def main():
        async with RawServer(always(answer(b"hello", head))) as server:
            client = await through(server, Client(headers=request, body=[b'{"a"', b":1}"]))
            return server, client

    server, client = run(main())
    lines = server.heads[0].lower().split(b"\r\n")
    assert lines[0] == b"post /v1/chat/completions http/1.1"
    assert b"host: " + server.url.removeprefix("http://").encode() in lines
    assert sorted(lines[2:-2]) == [
        b"accept-encoding: identity",
        b"authorization: bearer k",
        b"content-length: 7",
        b"content-type: application/json",
        b"x-request-id: 7",
    ]
    assert server.bodies == [b'{"a":1}']
    assert (client.status, client.answer) == (200, b"hello")
    assert client.headers == [(b"content-length", b"5"), (b"vary", b"Origin")]
    assert [message.get("more_body") for message in client.sent] == [None, False]


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/v1/models", b"", b"/v1/models"),
        ("/v1/models", b"a=1&b=%20", b"/v1/models?a=1&b=%20"),
        ("/v1/%63hat", b"", b"/v1/%2563hat"),
        ("/v1/a b\r\nx: y", b"", b"/v1/a%20b%0D%0Ax:%20y"),
        ("/v1/models?x", b"", b"/v1/models%3Fx"),
        ("/v1/é", b"", b"/v1/%C3%A9"),
    ],
)
def test_the_path_that_was_decided_on_is_the_path_that_is_sent(path, query, target):
    async def main():
        async with RawServer(always(answer())) as server:
            await through(server, Client(path, query=query, method="GET", body=b""))
            return server.heads[0].split(b" ")[1]

    assert run(main()) == target


def test_a_stream_is_passed_on_as_it_comes():
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def main():
        step = asyncio.Event()

        async def handler(connection):
            await connection.request()
            await connection.send(head)
            for piece in (b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"):
                await step.wait()
                step.clear()
                await connection.send(piece)

        class Stepping(Client):
            async def send(self, message):
                await super().send(message)
                step.set()

        async with RawServer(handler) as server:
            return await through(server, Stepping())

    client = run(main())
    assert [message.get("body") for message in client.sent] == [None, b"one", b"two", b""]
    assert [message.get("more_body") for message in client.sent] == [None, True, True, False]
    assert client.headers == [(b"content-type", b"text/event-stream")]


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (then_close(), UpstreamUnavailable),
        (always(), UpstreamTimeout),
        (always(answer(b"x", b"content-encoding: gzip\r\n")), UpstreamGarbled),
        (always(b"nonsense\r\n\r\n"), UpstreamGarbled),
    ],
    ids=["closed", "silent", "compressed", "garbled"],
)
def test_failures_before_the_answer_raise_and_send_nothing(handler, error):
    async def main():
        async with RawServer(handler) as server:
            client = Client()
            with pytest.raises(error):
                await through(server, client, read_timeout=0.1)
            assert client.sent == []

    run(main())


def test_a_failure_within_the_answer_says_so():
    async def main():
        async with RawServer(then_close(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", pause=0.01)) as server:
            client = Client()
            with pytest.raises(UpstreamBroken) as caught:
                await through(server, client)
            assert isinstance(caught.value.__cause__, UpstreamGarbled)
            assert client.answer == b"hello"
            assert client.sent[-1]["more_body"]

    run(main())


@pytest.mark.parametrize("moment", ["before the head", "within the body"])
def test_a_client_that_leaves_stops_the_upstream_at_once(moment):
    async def main():
        reached, stopped = asyncio.Event(), asyncio.Event()

        async def handler(connection):
            await connection.request()
            if moment == "within the body":
                await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")
            reached.set()
            await connection.gone()
            stopped.set()

        async with RawServer(handler) as server:
            client = Client()
            upstream = Upstream(server.url)
            task = asyncio.ensure_future(ProxyApp(upstream)(client.scope, client.receive, client.send))
            await reached.wait()
            await asyncio.sleep(0.02)
            client.left.set()
            await asyncio.wait_for(task, 1)  # returns, quietly
            assert task.cancelling() == 0
            await asyncio.wait_for(stopped.wait(), 1)
            assert repr(upstream).endswith("active=0 idle=0 waiting=0>")

    run(main())


def test_a_client_that_left_before_its_body_was_whole_reaches_nobody():
    async def main():
        async with RawServer(always(answer())) as server:
            client = Client(body=[])
            client.left.set()
            await through(server, client)
            early = Client()
            early.left.set()
            await through(server, early)
            assert (client.sent, early.sent, server.connections) == ([], [], 0)

    run(main())


def test_a_canceled_task_stays_canceled_and_stops_the_upstream():
    async def main():
        async with RawServer(always()) as server:
            client, upstream = Client(), Upstream(server.url)
            task = asyncio.ensure_future(ProxyApp(upstream)(client.scope, client.receive, client.send))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert repr(upstream).endswith("active=0 idle=0 waiting=0>")

    run(main())


def test_an_error_of_the_sender_stops_the_upstream_and_comes_through():
    async def main():
        async with RawServer(always(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")) as server:
            client, upstream = Client(), Upstream(server.url)

            async def send(message):
                if message["type"] == "http.response.body":
                    raise KeyError("the middleware's own")

            with pytest.raises(KeyError):
                await ProxyApp(upstream)(client.scope, client.receive, send)
            assert repr(upstream).endswith("active=0 idle=0 waiting=0>")

    run(main())


def test_lifespan_closes_the_pool_and_other_scopes_are_refused():
    async def main():
        upstream = Upstream("http://127.0.0.1:1")
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent = []

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message["type"])

        await ProxyApp(upstream)({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        with pytest.raises(UpstreamUnavailable, match="closed"):
            await upstream.request("GET", "/")
        with pytest.raises(ValueError, match="websocket"):
            await ProxyApp(upstream)({"type": "websocket"}, receive, send)

    run(main())


def test_the_watch_steps_through_any_receive():
    """A receive that yields bare, sees stray request messages, or wraps tasks of its own is followed to its end."""

    async def main():
        gate = asyncio.Event()
        messages = [{"type": "http.request", "body": b""}, {"type": "http.disconnect"}]

        async def receive():
            await asyncio.sleep(0)
            waiter = asyncio.ensure_future(gate.wait())
            await asyncio.wait([waiter])
            return messages.pop(0)

        async def work():
            watch = DisconnectWatch(receive, asyncio.current_task())
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                assert watch.gone
                return "gone"
            finally:
                watch.close()
                watch.close()

        task = asyncio.ensure_future(work())
        await asyncio.sleep(0.01)
        gate.set()
        assert await task == "gone"

    run(main())


def test_a_watch_that_is_closed_cancels_nobody():
    async def main():
        left = asyncio.Event()

        async def receive():
            await left.wait()
            return {"type": "http.disconnect"}

        watch = DisconnectWatch(receive, asyncio.current_task())
        watch.close()
        left.set()
        await asyncio.sleep(0.01)
        assert not watch.gone

    run(main())
