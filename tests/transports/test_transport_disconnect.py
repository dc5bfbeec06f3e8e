"""Who is told, by a call, that the client has gone or that Guard listens no more, and what they do then."""

import asyncio
import json

import pytest
import uvloop
from asgi_world import Inner, Reply, chat, events, guarded
from raw_upstream import RawServer, answer

from guard.transports.disconnect import EXTENSION, Disconnect
from guard.transports.incoming import Incoming
from guard.transports.proxy import ProxyApp
from guard.transports.upstream import Upstream


def run(coroutine):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(coroutine, 20))


async def body_only():
    return {"type": "http.request", "body": b"{}", "more_body": False}


async def through(server, disconnect, send):
    """Let ProxyApp serve one request of a client whose ``receive`` never tells that it goes."""
    upstream = Upstream(server.url)
    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": [],
        "extensions": {EXTENSION: disconnect},
    }  # fmt: skip
    try:
        await ProxyApp(upstream)(scope, body_only, send)
        await asyncio.sleep(0.01)  # a cancellation that comes late would end this
    finally:
        upstream.close()


@pytest.mark.parametrize("begun", [False, True])
def test_a_client_that_leaves_takes_the_request_to_the_server_with_it(begun):
    async def main():
        left, gone, sent = Disconnect(), asyncio.Event(), []

        async def handler(connection):
            await connection.request()
            if begun:
                await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n")
                while len(sent) < 2:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.001)
            left.leave()
            await connection.gone()
            gone.set()

        async def send(message):
            sent.append(message)

        async with RawServer(handler) as server:
            await through(server, left, send)
            await gone.wait()
        return len(sent)

    assert run(main()) == (2 if begun else 0)


def test_for_a_client_that_has_gone_nothing_is_asked():
    async def main():
        left = Disconnect()
        left.leave()

        async def handler(connection):
            raise AssertionError("asked")

        async with RawServer(handler) as server:
            await through(server, left, None)
            return server.connections

    assert run(main()) == 0


@pytest.mark.parametrize("when", ["http.response.start", "http.response.body"])
def test_whoever_listens_may_leave_while_it_is_told(when):
    """Guard cuts the server off from within ``send``, in the task that serves it."""

    async def main():
        left, sent = Disconnect(), []

        async def handler(connection):
            await connection.request()
            await connection.send(answer(b"whole"))
            await connection.gone()

        async def send(message):
            sent.append(message["type"])
            if message["type"] == when:
                left.leave()

        async with RawServer(handler) as server:
            await through(server, left, send)
        return sent

    assert run(main()) == ["http.response.start", "http.response.body"]


def test_a_disconnect_tells_each_once_and_those_only_who_still_listen():
    told = []
    left = Disconnect()

    def forgotten():
        told.append("forgotten")

    left.watch(lambda: told.append("first"))
    left.watch(forgotten)
    left.forget(forgotten)
    left.forget(forgotten)
    left.leave()
    left.leave()
    assert (told, left.gone) == (["first"], True)


@pytest.mark.parametrize("tells", [True, False], ids=["told by a call", "told by receive"])
def test_the_server_behind_waits_until_the_client_leaves_or_is_cut_off(tells):
    async def main(cut):
        client, gate = Disconnect(), asyncio.Event()

        async def receive():
            await gate.wait()
            return {"type": "http.disconnect"}

        incoming = Incoming(b"{}", receive, client if tells else None)
        assert await incoming() == {"type": "http.request", "body": b"{}", "more_body": False}
        waiting = [asyncio.ensure_future(incoming()) for _ in range(2)]
        given_up = asyncio.ensure_future(incoming.left())
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in waiting)
        if cut:
            incoming.cut()
        elif tells:
            client.leave()
        else:
            gate.set()
        assert await asyncio.gather(*waiting) == [{"type": "http.disconnect"}] * 2
        assert incoming.gone is not cut
        incoming.close()
        client.leave()
        assert incoming.gone is not cut  # closed: whatever happens now is not of this request

    run(main(cut=False))
    run(main(cut=True))


def test_a_receive_that_fails_fails_for_the_server_behind():
    async def main():
        async def receive():
            raise OSError("no such client")

        incoming = Incoming(b"", receive)
        await incoming()
        with pytest.raises(OSError, match="no such client"):
            await incoming()

    run(main())


@pytest.mark.parametrize("how", ["leaves", "is refused"])
def test_through_guard_the_server_behind_is_told_what_the_client_does_and_what_guard_does(tmp_path, how):
    told = []

    class Told(Inner):
        async def __call__(self, scope, receive, send):
            over = scope["extensions"][EXTENSION]
            over.watch(lambda: told.append("over"))
            await super().__call__(scope, receive, send)

    async def main():
        client, reply = Disconnect(), Reply()
        inner = Told(chunks=events("Hello"), hang=True) if how == "leaves" else Told(answer=b"no JSON")
        async with guarded(tmp_path, inner) as guard:
            if how == "leaves":
                asyncio.get_running_loop().call_later(0.05, client.leave)
            scope = {
                "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
                "headers": [(b"content-type", b"application/json")], "client": None, "extensions": {EXTENSION: client},
            }  # fmt: skip
            body = json.dumps(chat(stream=how == "leaves")).encode()

            async def receive():
                return {"type": "http.request", "body": body, "more_body": False}

            await guard.app(scope, receive, reply.send)
        return inner.disconnected

    assert run(main()) is (how == "leaves")
    assert told == ["over"]
