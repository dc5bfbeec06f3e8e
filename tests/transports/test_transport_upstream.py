"""The upstream pool against servers that misbehave on purpose."""

import asyncio
import datetime as dt
import ssl
import tracemalloc

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from raw_upstream import RawServer, always, answer, then_close

from guard.transports.connection import HEAD_LIMIT, HIGH_WATER
from guard.transports.upstream import (
    Upstream,
    UpstreamBusy,
    UpstreamGarbled,
    UpstreamTimeout,
    UpstreamUnavailable,
)


def run_on(factory, coroutine):
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(asyncio.wait_for(coroutine, 10))


@pytest.fixture
def run():
    """The loop Guard serves on."""
    return lambda coroutine: run_on(uvloop.new_event_loop, coroutine)


@pytest.fixture(params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run_both(request):
    """Where transports differ: inside vLLM and in tests the loop may be asyncio's own."""
    return lambda coroutine: run_on(request.param, coroutine)


async def whole(upstream: Upstream, method="POST", path="/v1/chat/completions", headers=(), body=b"{}"):
    response = await upstream.request(method, path, headers, body)
    try:
        parts = []
        while data := await response.read():
            parts.append(data)
        return response, b"".join(parts)
    finally:
        response.close()


def exchange_with(run, handler, **settings):
    """Return what one POST to a server with ``handler`` gives: status, headers, body."""

    async def main():
        async with RawServer(handler) as server:
            upstream = Upstream(server.url, **settings)
            try:
                response, body = await whole(upstream)
                return response, body, repr(upstream).partition(" active")[2]
            finally:
                upstream.close()

    return run(main())


def test_a_request_arrives_whole_and_its_answer_comes_back(run_both):
    async def main():
        async with RawServer(always(answer(b"hello", b"X-Some: thing  \r\nempty:\r\n"))) as server:
            upstream = Upstream(server.url)
            response, body = await whole(upstream, headers=[(b"x-a", b"b")], path="/v1/x?y=1", body=b'{"a":1}')
            assert (response.status, body) == (200, b"hello")
            assert response.headers == [(b"content-length", b"5"), (b"x-some", b"thing"), (b"empty", b"")]
            assert not response.close_delimited
            host = server.url.removeprefix("http://").encode()
            assert server.heads[0] == (
                b"POST /v1/x?y=1 HTTP/1.1\r\nhost: " + host + b"\r\naccept-encoding: identity\r\nx-a: b\r\n"
                b"content-length: 7\r\n\r\n"
            )
            assert server.bodies == [b'{"a":1}']
            await whole(upstream, "GET", "/health", body=b"")
            assert b"content-length" not in server.heads[1]
            upstream.close()

    run_both(main())


def test_a_connection_is_used_again_and_the_last_used_one_first(run):
    async def main():
        async with RawServer(always(answer())) as server:
            upstream = Upstream(server.url)
            for _ in range(5):
                await whole(upstream)
            assert server.connections == 1
            assert repr(upstream) == f"<Upstream {server.url} active=0 idle=1 waiting=0>"
            first, second = await asyncio.gather(*(upstream.request("GET", "/") for _ in range(2)))
            await first.read()
            await second.read()
            assert server.connections == 2
            for _ in range(3):
                await whole(upstream)
            assert server.connections == 2
            upstream.close()

    run(main())


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
        [
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n",
            b"2;ext=1\r\nhe\r\n",
            b"3\r\nllo\r\n0\r\nx-trailer: 1\r\n\r\n",
        ],
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", answer(b"hello")],
        [bytes([byte]) for byte in answer(b"hello")],
    ],
    ids=["chunked", "chunked in pieces", "interim answers", "byte by byte"],
)
def test_framings_that_are_right(run, pieces):
    response, body, state = exchange_with(run, always(*pieces, pause=0.001))
    assert (response.status, body, response.close_delimited) == (200, b"hello", False)
    assert state == "=0 idle=1 waiting=0>"
    assert all(name not in {b"link", b"x-trailer"} for name, _ in response.headers)


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_a_body_that_ends_with_the_connection_is_taken_and_flagged(run, version):
    response, body, state = exchange_with(run, then_close(version + b" 200 OK\r\n\r\nhel", b"lo", pause=0.01))
    assert (body, response.close_delimited, response.complete) == (b"hello", True, True)
    assert state == "=0 idle=0 waiting=0>"


OK = b"HTTP/1.1 200 OK\r\n"
GARBLED = {
    "content-length and transfer-encoding": OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding and content-length": OK + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc",
    "the same length twice": OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\nab",
    "a list of lengths": OK + b"content-length: 2, 2\r\n\r\nab",
    "a signed length": OK + b"content-length: +2\r\n\r\nab",
    "an empty length": OK + b"content-length:\r\n\r\nab",
    "a longer body": OK + b"content-length: 2\r\n\r\nabc",
    "a second answer": answer() + answer(),
    "bytes after a closing answer": OK + b"connection: close\r\ncontent-length: 2\r\n\r\nabc",
    "a chunk size that is none": OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "a chunk longer than its size": OK + b"transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
    "a chunk size beyond counting": OK + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\na",
    "a folded line": OK + b"x-a: 1\r\n 2\r\ncontent-length: 0\r\n\r\n",
    "a control character in a value": OK + b"x-a: a\x01b\r\ncontent-length: 0\r\n\r\n",
    "a NUL in a value": OK + b"x-a: a\x00b\r\ncontent-length: 0\r\n\r\n",
    "a bare CR in a value": OK + b"x-a: a\rb\r\ncontent-length: 0\r\n\r\n",
    "a control character in a name": OK + b"x\x01a: b\r\ncontent-length: 0\r\n\r\n",
    "a space before the colon": OK + b"x-a : b\r\ncontent-length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip as a transfer coding": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a transfer coding nobody knows": OK + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": OK + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw",
    "status 099": b"HTTP/1.1 099 No\r\ncontent-length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 No\r\ncontent-length: 0\r\n\r\n",
    "a body where none may be": b"HTTP/1.1 204 No Content\r\n\r\nabc",
    "a head in one piece too large": OK + b"x-a: " + b"a" * HEAD_LIMIT + b"\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("raw", GARBLED.values(), ids=GARBLED.keys())
def test_framing_that_cannot_be_trusted_is_refused_and_the_connection_not_used_again(run, raw):
    async def main():
        async with RawServer(always(raw)) as server:
            upstream = Upstream(server.url)
            with pytest.raises(UpstreamGarbled):
                await whole(upstream)
            assert repr(upstream).endswith("active=0 idle=0 waiting=0>")
            upstream.close()

    run(main())


def test_a_body_cut_short_is_told_from_a_whole_one(run):
    for raw in (
        OK + b"content-length: 9\r\n\r\nhello",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n9\r\nhello",
    ):

        async def main(raw=raw):
            async with RawServer(then_close(raw)) as server:
                upstream = Upstream(server.url)
                response = await upstream.request("POST", "/")
                assert await response.read() == b"hello"
                with pytest.raises(UpstreamGarbled, match="before the end"):
                    await response.read()
                response.close()

        run(main())


@pytest.mark.parametrize(
    "endless",
    [b"x-a: " + b"a" * 1000 + b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"1;" + b"e" * 1000],
    ids=["headers", "interim answers", "chunk extensions"],
)
def test_a_head_without_end_is_bounded(run, endless):
    async def handler(connection):
        await connection.request()
        if endless.startswith(b"x"):
            await connection.send(OK)
        if endless.startswith(b"1"):
            await connection.send(OK + b"transfer-encoding: chunked\r\n\r\n1;")
        while True:
            await connection.send(endless * 20 if not endless.startswith(b"1") else b"e" * 1000)

    async def main():
        async with RawServer(handler) as server:
            upstream = Upstream(server.url)
            with pytest.raises(UpstreamGarbled):
                await whole(upstream)
            upstream.close()

    run(main())


def test_a_post_is_never_sent_twice(run_both):
    async def handler(connection):
        await connection.request()
        if connection.number == 1:
            await connection.send(answer())
            await connection.request()  # a second one on the kept connection: swallowed, then closed

    async def main():
        async with RawServer(handler) as server:
            upstream = Upstream(server.url)
            await whole(upstream)
            with pytest.raises(UpstreamUnavailable, match="not sent again"):
                await whole(upstream, body=b"second")
            assert server.bodies == [b"{}", b"second"]
            upstream.close()

    run_both(main())


def test_a_connection_closed_while_idle_is_not_used(run):
    async def handler(connection):
        await connection.request()
        await connection.send(answer())

    async def main():
        async with RawServer(handler) as server:
            upstream = Upstream(server.url)
            for _ in range(3):
                await whole(upstream)
                await asyncio.sleep(0.01)
                assert repr(upstream).endswith("idle=0 waiting=0>")
            assert server.connections == 3
            upstream.close()

    run(main())


def test_the_kernel_knows_of_a_close_before_the_loop_does(run_both):
    """The peer closes, or writes, while the event loop is busy: the next request must not go there."""
    for unasked in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"):

        async def main(unasked=unasked):
            import socket
            import threading

            listener = socket.create_server(("127.0.0.1", 0))
            closed = threading.Event()

            def serve():
                peer, _ = listener.accept()
                peer.recv(65536)
                peer.sendall(answer(b"first"))
                go.wait()
                peer.sendall(unasked) if unasked else peer.shutdown(socket.SHUT_RDWR)
                closed.set()
                other, _ = listener.accept()
                other.recv(65536)
                other.sendall(answer(b"right"))
                peer.close()
                other.close()

            go = threading.Event()
            thread = threading.Thread(target=serve)
            thread.start()
            upstream = Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}")
            assert (await whole(upstream))[1] == b"first"
            go.set()
            closed.wait()  # blocks the loop: it has not seen what happened
            assert (await whole(upstream))[1] == b"right"
            upstream.close()
            thread.join()
            listener.close()

        run_both(main())


def test_a_refused_connection_is_unavailable(run):
    async def main():
        async with RawServer(always()) as server:
            url = server.url
        with pytest.raises(UpstreamUnavailable) as caught:
            await Upstream(url).request("POST", "/")
        assert caught.value.status == 502
        with pytest.raises(UpstreamUnavailable):
            await Upstream("unix:///nowhere/there.sock").request("POST", "/")

    run(main())


@pytest.mark.parametrize("pieces", [[], [b"HTTP/1.1 200"]], ids=["nothing", "half a head"])
def test_silence_before_the_head_is_a_timeout(run, pieces):
    with pytest.raises(UpstreamTimeout) as caught:
        exchange_with(run, always(*pieces), read_timeout=0.1)
    assert caught.value.status == 504


def test_silence_within_the_body_is_a_timeout_but_slow_progress_is_not(run):
    head = OK + b"content-length: 5\r\n\r\n"
    _, body, _ = exchange_with(run, always(head, b"h", b"e", b"l", b"l", b"o", pause=0.06), read_timeout=0.1)
    assert body == b"hello"
    with pytest.raises(UpstreamTimeout):
        exchange_with(run, always(head, b"hel"), read_timeout=0.1)


def test_a_timeout_is_never_early(run):
    async def main():
        async with RawServer(always()) as server:
            upstream = Upstream(server.url, read_timeout=0.1)
            loop = asyncio.get_running_loop()
            await asyncio.sleep(0.01)
            started = loop.time()
            with pytest.raises(UpstreamTimeout):
                await upstream.request("POST", "/")
            assert loop.time() - started >= 0.1
            upstream.close()

    run(main())


def test_an_upstream_that_does_not_read_the_request_is_a_timeout(run_both):
    async def handler(connection):
        await asyncio.sleep(5)

    async def main():
        async with RawServer(handler) as server:
            upstream = Upstream(server.url, write_timeout=0.1)
            with pytest.raises(UpstreamTimeout, match="take the request"):
                await upstream.request("POST", "/", (), bytes(32 * 1024 * 1024))
            upstream.close()

    run_both(main())


def test_an_answer_before_the_request_was_taken_is_passed_on_and_the_connection_closed(run_both):
    async def handler(connection):
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.sleep(5)

    async def main():
        async with RawServer(handler) as server:
            upstream = Upstream(server.url)
            response, body = await whole(upstream, body=bytes(32 * 1024 * 1024))
            assert (response.status, body) == (413, b"no")
            assert repr(upstream).endswith("active=0 idle=0 waiting=0>")

    run_both(main())


def test_requests_beyond_the_limit_wait_in_order_and_get_the_connection(run):
    async def main():
        order = []
        async with RawServer(always(answer(), pause=0.005)) as server:
            upstream = Upstream(server.url, max_connections=1)

            async def one(number):
                await whole(upstream)
                order.append(number)

            tasks = [asyncio.ensure_future(one(number)) for number in range(4)]
            await asyncio.sleep(0)
            assert "waiting=3" in repr(upstream)
            await asyncio.gather(*tasks)
            assert order == [0, 1, 2, 3]
            assert server.connections == 1
            upstream.close()

    run(main())


def test_many_requests_over_few_connections_each_get_their_own_answer(run):
    """A connection is handed on before the one who waited for it runs again: neither may take the other's wake-up."""

    async def handler(connection):
        while True:
            _, body = await connection.request()
            await connection.send(answer(body))

    async def main():
        async with RawServer(handler) as server:
            upstream = Upstream(server.url, max_connections=8)

            async def client(number):
                for turn in range(20):
                    sent = b"%d/%d" % (number, turn)
                    assert (await whole(upstream, body=sent))[1] == sent

            await asyncio.gather(*(client(number) for number in range(24)))
            assert server.connections == 8
            upstream.close()

    run(main())


def test_a_full_or_slow_line_is_busy(run):
    async def main():
        async with RawServer(always()) as server:
            upstream = Upstream(server.url, max_connections=1, max_waiting=1, connect_timeout=0.1)
            first = asyncio.ensure_future(upstream.request("POST", "/"))
            await asyncio.sleep(0.02)
            second = asyncio.ensure_future(upstream.request("POST", "/"))
            await asyncio.sleep(0)
            with pytest.raises(UpstreamBusy, match="in line") as caught:
                await upstream.request("POST", "/")
            assert caught.value.status == 503
            with pytest.raises(UpstreamBusy, match="in time"):
                await second
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert repr(upstream).endswith("active=0 idle=0 waiting=0>")
            upstream.close()

    run(main())


def test_canceled_requests_leak_no_place(run_both):
    """Whenever a request is canceled (in line, connecting, waiting, handed a connection), its place is free again."""

    async def main():
        async with RawServer(always(answer(), pause=0.001)) as server:
            upstream = Upstream(server.url, max_connections=2)
            for delay in range(12):
                tasks = [asyncio.ensure_future(whole(upstream)) for _ in range(6)]
                await asyncio.sleep(delay / 4000)
                for task in tasks[::2]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                assert "active=0" in repr(upstream)
                assert "waiting=0" in repr(upstream)
            assert (await whole(upstream))[1] == b"hello"
            upstream.close()

    run_both(main())


@pytest.mark.parametrize("handed", ["a place", "a connection"])
def test_what_a_request_was_handed_as_it_was_canceled_goes_to_the_next(run, handed):
    async def main():
        class Canceling(Upstream):
            def idle(self, connection):
                super().idle(connection)
                second.cancel()  # in the very turn in which it was handed the connection

        async with RawServer(always(answer(), pause=0.005)) as server:
            upstream = (Upstream if handed == "a place" else Canceling)(server.url, max_connections=1)
            first = asyncio.ensure_future(whole(upstream))
            await asyncio.sleep(0)
            second = asyncio.ensure_future(whole(upstream))
            await asyncio.sleep(0)
            third = asyncio.ensure_future(whole(upstream))
            await asyncio.sleep(0)
            assert "waiting=2" in repr(upstream)
            if handed == "a place":
                first.cancel()
                for _ in range(50):  # until the place has been handed on, and not one turn longer
                    if "waiting=1" in repr(upstream):
                        break
                    await asyncio.sleep(0)
                second.cancel()
            assert (await third)[1] == b"hello"
            assert second.cancelled()
            assert repr(upstream).endswith("active=0 idle=1 waiting=0>")
            if handed == "a connection":
                assert server.connections == 1
            upstream.close()

    run(main())


def test_a_place_goes_to_the_next_in_line_when_a_connection_breaks(run):
    async def main():
        async with RawServer(then_close()) as server:
            upstream = Upstream(server.url, max_connections=1)
            results = await asyncio.gather(*(whole(upstream) for _ in range(3)), return_exceptions=True)
            assert [type(result) for result in results] == [UpstreamUnavailable] * 3
            assert server.connections == 3
            upstream.close()

    run(main())


def test_closing_a_response_closes_the_connection_so_that_the_upstream_stops(run_both):
    async def main():
        stopped = asyncio.Event()

        async def handler(connection):
            await connection.request()
            await connection.send(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await connection.gone()
            stopped.set()

        async with RawServer(handler) as server:
            upstream = Upstream(server.url)
            response = await upstream.request("POST", "/")
            assert await response.read() == b"hello"
            response.close()
            response.close()
            await asyncio.wait_for(stopped.wait(), 1)
            assert repr(upstream).endswith("active=0 idle=0 waiting=0>")

    run_both(main())


def test_closing_a_response_wakes_whoever_reads_it(run):
    async def main():
        async with RawServer(always(OK + b"content-length: 5\r\n\r\n")) as server:
            upstream = Upstream(server.url)
            response = await upstream.request("POST", "/")
            reader = asyncio.ensure_future(response.read())
            await asyncio.sleep(0.01)
            response.close()
            with pytest.raises(UpstreamUnavailable):
                await reader

    run(main())


def test_a_slow_reader_holds_the_upstream_back_in_bounded_memory(run_both):
    size, piece = 24 * 1024 * 1024, bytes(256 * 1024)

    async def main():
        sent = 0

        async def handler(connection):
            nonlocal sent
            await connection.request()
            await connection.send(OK + b"content-length: %d\r\n\r\n" % size)
            while sent < size:
                await connection.send(piece)
                sent += len(piece)
            await connection.gone()

        async with RawServer(handler) as server:
            upstream = Upstream(server.url)
            tracemalloc.start()
            response = await upstream.request("POST", "/")
            await asyncio.sleep(0.15)
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert sent < size  # the rest waits in the kernel and at the sender
            assert response.buffered <= HIGH_WATER + 256 * 1024
            assert held < 4 * 1024 * 1024
            total = 0
            while data := await response.read():
                total += len(data)
            assert total == size
            upstream.close()

    run_both(main())


def test_an_answer_nobody_reads_does_not_hold_the_upstream_for_ever(run):
    async def main():
        async with RawServer(always(answer(bytes(16 * 1024 * 1024)))) as server:
            upstream = Upstream(server.url, read_timeout=0.1)
            response = await upstream.request("POST", "/")
            await asyncio.sleep(0.3)
            assert "active=0" in repr(upstream)
            assert await response.read()  # what had arrived
            with pytest.raises(UpstreamTimeout, match="nobody reads"):
                await response.read()

    run(main())


def test_idle_connections_are_closed_before_the_server_would(run, monkeypatch):
    monkeypatch.setattr("guard.transports.upstream.IDLE_SECONDS", 0.05)

    async def main():
        async with RawServer(always(answer())) as server:
            upstream = Upstream(server.url, connect_timeout=0.1)
            await whole(upstream)
            assert "idle=1" in repr(upstream)
            await asyncio.sleep(0.15)
            assert "idle=0" in repr(upstream)
            assert upstream._clock is None  # and nothing ticks for an unused pool

    run(main())


def test_a_connection_the_answer_says_to_close_is_not_kept(run):
    _, body, state = exchange_with(run, always(answer(b"hello", b"connection: close\r\n")))
    assert (body, state) == (b"hello", "=0 idle=0 waiting=0>")


def test_a_closed_pool_ends_everything(run):
    async def main():
        async with RawServer(always()) as server:
            upstream = Upstream(server.url, max_connections=1)
            waiting = [asyncio.ensure_future(upstream.request("POST", "/")) for _ in range(2)]
            await asyncio.sleep(0.02)
            upstream.close()
            for result in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(result, UpstreamUnavailable)
            with pytest.raises(UpstreamUnavailable):
                await upstream.request("POST", "/")

    run(main())


def test_a_unix_socket(run_both, tmp_path):
    async def main():
        async with RawServer(always(answer()), path=str(tmp_path / "vllm.sock")) as server:
            upstream = Upstream(server.url)
            assert (await whole(upstream))[1] == b"hello"
            assert (await whole(upstream))[1] == b"hello"
            assert b"host: localhost\r\n" in server.heads[0]
            assert server.connections == 1
            upstream.close()

    run_both(main())


@pytest.mark.parametrize("bad", [[(b"x-a", b"b\r\nx-evil: 1")], [(b"x-a\n", b"b")]])
def test_line_breaks_cannot_be_smuggled_into_a_request(run, bad):
    async def main():
        upstream = Upstream("http://127.0.0.1:1")
        with pytest.raises(ValueError, match="line break"):
            await upstream.request("POST", "/", bad)
        with pytest.raises(ValueError, match="space"):
            await upstream.request("POST", "/ HTTP/1.1", ())
        with pytest.raises(ValueError, match="HEAD"):
            await upstream.request("HEAD", "/")

    run(main())


@pytest.mark.parametrize(
    "url", ["ftp://a", "http://", "unix://relative", "http://a/path", "http://u:p@a", "http://a?x=1", "127.0.0.1:8000"]
)
def test_urls_that_are_none(url):
    with pytest.raises(ValueError, match="upstream"):
        Upstream(url)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-made certificate for localhost: (server context, CA file)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "server.pem").write_bytes(
        pem
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, str(folder / "ca.pem")


def test_tls_is_verified(run_both, certificate):
    context, ca_file = certificate

    async def main():
        async with RawServer(always(answer()), ssl=context) as server:
            upstream = Upstream(server.url, ca_file=ca_file)
            assert (await whole(upstream))[1] == b"hello"
            await asyncio.sleep(0.02)
            assert (await whole(upstream))[1] == b"hello"
            assert server.connections == 1
            upstream.close()
            with pytest.raises(UpstreamUnavailable, match="certificate"):
                await Upstream(server.url).request("POST", "/")
            other_name = Upstream(server.url.replace("localhost", "127.0.0.1"), ca_file=ca_file)
            with pytest.raises(UpstreamUnavailable, match=r"mismatch|not valid"):
                await other_name.request("POST", "/")

    run_both(main())
