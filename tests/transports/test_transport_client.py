"""What a client may send, and what becomes of it: framing, turns, limits, and who is told when somebody leaves."""

import asyncio
import re
from itertools import accumulate

import pytest
from client_world import HEAD, LARGE, Talk, echo, post, refusing, said, serving, status
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.transports.client.protocol import HIGH_WATER, MOST_DISCARDED
from guard.transports.disconnect import EXTENSION


def chunked(*pieces, path=b"/p", trailers=b""):
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"POST %b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (path, body, trailers)


def answer(text, *, close=False):
    head = b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: %d\r\n" % len(text)
    return head + (b"connection: close\r\n" if close else b"") + b"\r\n" + text


def test_a_request_becomes_a_scope_and_its_answer_one_write():
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await echo(scope, receive, send)

    got, closed = said(app, b"POST /a%20b?c=d HTTP/1.1\r\nHost: h\r\nX-A: 1 \r\ncontent-length: 2\r\n\r\nhi")
    assert got == answer(b"POST /a b hi")
    assert not closed
    (scope,) = scopes
    del scope["extensions"]
    assert scope == {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 8080), "client": ("192.0.2.7", 4711), "root_path": "", "method": "POST",
        "path": "/a b", "raw_path": b"/a%20b", "query_string": b"c=d",
        "headers": [(b"host", b"h"), (b"x-a", b"1"), (b"content-length", b"2")],
    }  # fmt: skip


REQUESTS = st.one_of(
    st.builds(post, st.one_of(st.binary(max_size=40), st.just(LARGE)), st.sampled_from([b"/a", b"/b/c?d=e", b"/%41"])),
    st.builds(lambda pieces, path: chunked(*pieces, path=path), st.lists(st.binary(min_size=1, max_size=9), max_size=4), st.sampled_from([b"/x", b"/y"])),
    st.just(b"GET /g HTTP/1.1\r\nhost: a\r\n\r\n"),
    st.just(b"OPTIONS /o HTTP/1.1\r\nhost: a\r\n\r\n"),
)  # fmt: skip
ENDS = st.sampled_from([b"", b"GET / HTTP/1.0\r\n\r\n", post(b"x", b"/last", b"connection: close"), b"NONSENSE\r\n\r\n", HEAD + b"content-length: 9\r\n\r\nhal"])  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(REQUESTS, max_size=6), ENDS, st.lists(st.tuples(st.integers(0, 6), st.integers(-9, 60)), max_size=9))
def test_however_the_bytes_are_split_the_answers_are_the_same(requests, end, cuts):
    data = b"".join(requests) + end
    starts = [0, *accumulate(len(request) for request in requests)]
    places = sorted({place for near, by in cuts if 0 < (place := starts[near % len(starts)] + by) < len(data)})
    pieces = [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]
    whole = said(echo, data)
    assert said(echo, *pieces) == whole
    assert len(status(whole[0])) == len(requests) + (end != b"" and not end.endswith(b"hal"))


def test_answers_come_in_the_order_of_the_requests_and_one_at_a_time():
    running, most = 0, 0

    async def app(scope, receive, send):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 if scope["path"] == "/slow" else 0)
        await echo(scope, receive, send)
        running -= 1

    async def main():
        talk = await Talk(app).say(post(b"1", b"/slow") + post(b"2", b"/fast") + post(b"3", b"/fast"))
        assert talk.wire.paused
        await asyncio.sleep(0.05)
        assert not talk.wire.paused
        return await talk.rest()

    assert asyncio.run(main()) == b"".join(answer(text) for text in (b"POST /slow 1", b"POST /fast 2", b"POST /fast 3"))
    assert most == 1


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\nab",
        HEAD + b"content-length: +2\r\n\r\nab",
        HEAD + b"transfer-encoding: gzip\r\n\r\n",
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST /p HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"x: a\r\n folded\r\n\r\n",
        HEAD + b"x : a\r\n\r\n",
        HEAD + b"x: a\0b\r\n\r\n",
        HEAD + b"\n\r\n",
        HEAD + b"host: b\r\n\r\n",
        b"POST /p HTTP/1.1\nhost: a\n\n",
        b"POST /p HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
        b"GET / HTTP/0.9\r\nhost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET p HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nhost: a\r\n\r\n",
        HEAD + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 3\r\n\r\nabc",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"DESCRIBE /x RTSP/1.0\r\nhost: a\r\n\r\n",
        b"SOURCE /x ICE/1.0\r\nhost: a\r\n\r\n",
    ],
    ids=range(25),
)
def test_what_two_servers_could_read_differently_is_refused_and_nothing_after_it_is_read(data):
    asked = []

    async def app(scope, receive, send):
        asked.append(scope["path"])
        await echo(scope, receive, send)

    got, closed = said(app, post(b"1", b"/before") + data + post(b"2", b"/smuggled"))
    assert closed
    assert got.startswith(answer(b"POST /before 1"))
    rest = got.removeprefix(answer(b"POST /before 1"))
    assert status(rest) == [400]
    assert b"\r\nconnection: close\r\n" in rest
    assert asked[0] == "/before"
    assert "/smuggled" not in asked


def breaking(app):
    """What is written to a client whose body breaks off when the application has seen its beginning."""

    async def main():
        talk = await Talk(app).say(HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await talk.rest()
        await talk.say(b"zz\r\n")
        return await talk.rest(), talk.wire.closing or talk.wire.ended

    return asyncio.run(main())


def test_a_body_that_breaks_off_is_never_a_whole_one():
    got = []

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            got.append((message["body"], message["more_body"]))
        got.append(message["type"])

    out, closed = breaking(app)
    assert (status(out), closed) == ([400], True)
    assert got == [(b"abc", True), "http.disconnect"]


def test_a_broken_body_ends_an_answer_that_has_begun_without_another_head_in_it():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        await receive()
        await receive()

    out, closed = breaking(app)
    assert closed
    assert status(out) == [200]
    assert not out.endswith(b"0\r\n\r\n")


def test_headers_of_a_trailer_are_nobodys_headers():
    seen = []

    async def app(scope, receive, send):
        await echo(scope, receive, send)
        seen.append(scope["headers"])

    out, _ = said(app, chunked(b"abc", trailers=b"x-user-id: admin\r\nhost: b\r\n") + post(b"next"))
    assert status(out) == [200, 200]
    assert seen[0] == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (post(b"1", b"/p", b"connection: close") + post(b"2"), 1),
        (b"GET /p HTTP/1.0\r\nhost: a\r\n\r\n" + post(b"2"), 1),
        (b"GET /p HTTP/1.0\r\nconnection: keep-alive\r\n\r\n" + post(b"2"), 1),
        (b"GET /p HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n" + post(b"2"), 1),
        (post(b"1") + post(b"2"), 2),
    ],
)
def test_the_last_request_of_a_connection_is_the_last(data, count):
    out, closed = said(echo, data)
    assert status(out) == [200] * count
    assert closed == (count == 1)
    assert (b"connection: close" in out) == closed


def test_a_client_that_asks_first_is_told_to_go_on_when_its_body_is_wanted():
    async def main():
        talk = await Talk(echo).say(HEAD + b"content-length: 3\r\nexpect: 100-continue\r\n\r\n")
        assert await talk.rest() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await talk.say(b"abc")
        assert (await talk.rest()).endswith(answer(b"POST /p abc"))

    asyncio.run(main())


def test_a_client_that_sends_its_body_unasked_is_not_told_to():
    assert said(echo, HEAD + b"content-length: 3\r\nexpect: 100-continue\r\n\r\nabc")[0] == answer(b"POST /p abc")


def test_a_body_that_nobody_wanted_may_never_come_so_the_connection_ends():
    out, closed = said(refusing, HEAD + b"content-length: 3\r\nexpect: 100-continue\r\n\r\n")
    assert status(out) == [413]
    assert b"connection: close" in out
    assert closed


def test_the_rest_of_a_body_that_was_answered_already_is_read_and_thrown_away():
    size = MOST_DISCARDED // 2

    async def main():
        talk = await Talk(refusing).say(HEAD + b"content-length: %d\r\n\r\n" % size, b"x")
        assert status(await talk.rest()) == [413]
        await talk.say(b"x" * (size - 1) + HEAD + b"content-length: 0\r\n\r\n")
        assert status(await talk.rest()) == [413, 413]

    asyncio.run(main())


def test_but_not_without_end():
    async def main():
        talk = await Talk(refusing).say(HEAD + b"content-length: %d\r\n\r\n" % (2 * MOST_DISCARDED))
        assert status(await talk.rest()) == [413]
        await talk.say(b"x" * MOST_DISCARDED)
        assert not talk.wire.closing
        await talk.say(b"x")
        assert talk.wire.closing

    asyncio.run(main())


def test_a_body_that_nobody_takes_is_not_read_on():
    wanted = []

    async def main():
        gate = asyncio.Event()

        async def app(scope, receive, send):
            await gate.wait()
            wanted.append(len((await receive())["body"]))
            await echo(scope, receive, send)

        talk = await Talk(app).say(HEAD + b"content-length: %d\r\n\r\n" % (4 * HIGH_WATER), b"x" * (HIGH_WATER + 1))
        await talk.rest()
        assert talk.wire.paused
        gate.set()
        await talk.rest()
        assert not talk.wire.paused
        await talk.say(b"y" * (3 * HIGH_WATER - 1))
        assert status(await talk.rest()) == [200]

    asyncio.run(main())
    assert wanted == [HIGH_WATER + 1]


@pytest.mark.parametrize("size", [10, HIGH_WATER + 1, 4 * HIGH_WATER])
def test_whoever_has_sent_its_whole_body_is_heard_when_it_leaves(size):
    async def main():
        told = []

        async def app(scope, receive, send):
            while (message := await receive()).get("more_body"):
                pass
            told.append((message["type"], (await receive())["type"]))

        talk = await Talk(app).say(post(b"x" * size))
        await talk.rest()
        assert not talk.wire.paused
        talk.lose()
        await talk.rest()
        assert told == [("http.request", "http.disconnect")]

    asyncio.run(main())


def test_who_does_not_read_its_answer_holds_up_the_application():
    async def main():
        sent = []

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for number in range(5):
                await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
                sent.append(number)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        talk = Talk(app)
        talk.protocol.pause_writing()
        await talk.say(post())
        await talk.rest()
        assert sent == []
        talk.protocol.resume_writing()
        assert (await talk.rest()).endswith(b"1\r\n4\r\n0\r\n\r\n")
        assert sent == [0, 1, 2, 3, 4]

    asyncio.run(main())


@pytest.mark.parametrize("blocked", [False, True])
def test_everybody_learns_that_the_client_has_left(blocked):
    async def main():
        told = []

        async def app(scope, receive, send):
            disconnect = scope["extensions"][EXTENSION]
            assert not disconnect.gone
            disconnect.watch(lambda: told.append("watch"))
            await receive()
            if blocked:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"", "more_body": True})
            told.append((await receive())["type"])
            await send({"type": "http.response.body", "body": b"nobody reads this", "more_body": True})
            told.append(disconnect.gone)

        talk = await Talk(app).say(post(b"1") + post(b"2", b"/never"))
        if blocked:
            talk.protocol.pause_writing()
        before = await talk.rest()
        talk.lose()
        assert await talk.rest() == before
        assert told == ["watch", "http.disconnect", True]
        assert not talk.state.tasks
        assert not talk.state.connections

    asyncio.run(main())


def test_a_watch_that_was_forgotten_hears_nothing():
    async def main():
        async def app(scope, receive, send):
            scope["extensions"][EXTENSION].watch(failed)
            scope["extensions"][EXTENSION].forget(failed)
            await asyncio.sleep(5)

        def failed():
            raise AssertionError("told")

        talk = await Talk(app).say(post())
        await talk.rest()
        talk.lose()
        for task in talk.state.tasks:
            task.cancel()
        await talk.rest()

    asyncio.run(main())


# Over a socket


def test_a_client_that_is_still_sending_reads_why_it_was_refused():
    async def main():
        async with serving(echo) as (_, address):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"NONSENSE\r\n\r\n")
            for _ in range(20):
                await asyncio.sleep(0.01)
                writer.write(b"more of it" * 1000)
            assert status(await asyncio.wait_for(reader.read(), 10)) == [400]
            writer.close()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_server_sweeps_tells_the_time_and_ends():
    async def main():
        async with serving(echo, silence=0.05) as (server, address):
            reader, silent = await asyncio.open_connection(*address)
            assert await asyncio.wait_for(reader.read(), 10) == b""
            silent.close()
            reader, writer = await asyncio.open_connection(*address)
            writer.write(post(b"x"))
            line = await reader.readline()
            assert line == b"HTTP/1.1 200 OK\r\n"
            assert re.fullmatch(rb"date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", await reader.readline())
            server.should_exit = True
            assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"POST /p x")
            writer.close()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_when_a_server_ends_answers_are_whole_and_the_last_of_their_connections():
    async def main():
        gate = asyncio.Event()

        async def app(scope, receive, send):
            await gate.wait()
            await echo(scope, receive, send)

        async with serving(app) as (server, address):
            idle, idler = await asyncio.open_connection(*address)
            reader, writer = await asyncio.open_connection(*address)
            writer.write(post(b"held"))
            while not server.server_state.tasks:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
            server.should_exit = True
            assert await asyncio.wait_for(idle.read(), 10) == b""
            idler.close()
            gate.set()
            got = await asyncio.wait_for(reader.read(), 10)
            assert got.endswith(b"connection: close\r\n\r\nPOST /p held")
            writer.close()

    asyncio.run(asyncio.wait_for(main(), 20))
