"""What a client may cost: bytes that bring nothing any further, and time."""

import asyncio

import pytest
from client_world import HEAD, LARGE, Talk, echo, post, refusing, said, serving, status

from guard.transports.client import protocol
from guard.transports.client.protocol import HEAD_LIMIT, HIGH_WATER


def test_a_head_without_end_is_refused():
    out, closed = said(echo, HEAD, *[b"x-a: " + b"a" * 8000 + b"\r\n"] * (HEAD_LIMIT // 8000 + 1))
    assert (status(out), closed) == ([400], True)


def test_a_head_that_begins_behind_a_large_body_has_the_length_of_a_head():
    out, _ = said(echo, post(LARGE * 3) + b"GET", b" /y HT", b"TP/1.1\r\nhost: a\r\n\r\n")
    assert status(out) == [200, 200]


@pytest.mark.parametrize(
    ("before", "flood"),
    [
        (b"3\r\nabc\r\n0\r\nx-a: ", b"a"),
        (b"3\r\nabc\r\n0\r\n", b"x: y\r\n"),
        (b"3\r\nabc\r\n3;", b"a=b;"),
    ],
    ids=["one trailer", "trailers", "a chunk's extensions"],
)
def test_what_brings_no_body_any_further_is_not_read_without_end(before, flood):
    told = []

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            assert message["more_body"]
        told.append(message["type"])

    async def main():
        talk = await Talk(app).say(HEAD + b"transfer-encoding: chunked\r\n\r\n" + before)
        await talk.say(*[flood * (8000 // len(flood))] * (HEAD_LIMIT // 8000))
        assert await talk.rest() == b""
        assert told == []
        await talk.say(*[flood * (8000 // len(flood))] * 2)
        return await talk.rest(), talk.wire.ended

    out, ended = asyncio.run(main())
    assert (status(out), ended, told) == ([400], True, ["http.disconnect"])


def test_neither_are_blank_lines():
    out, closed = said(echo, post(b"1"), *[b"\r\n" * 4000] * (HEAD_LIMIT // 8000 + 1))
    assert (status(out), closed) == ([200, 400], True)


def test_a_long_body_in_small_chunks_is_not_a_flood():
    chunk = b"1;ext=%b\r\nx\r\n" % (b"e" * 500)
    out, _ = said(echo, HEAD + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * (2 * HEAD_LIMIT // 500), b"0\r\n\r\n")
    assert status(out) == [200]


# The clock


def test_clients_that_dawdle_are_closed_and_idle_ones_kept_for_longer(monkeypatch):
    async def main():
        async def slow(scope, receive, send):
            await asyncio.sleep(60)

        states = {
            "nothing": (echo, []),
            "half a line": (echo, [b"POST / HT"]),
            "half a body": (echo, [HEAD + b"content-length: 9\r\n\r\nhalf"]),
            "a second head": (echo, [post(b"1"), b"POST"]),
            "an unwanted body": (refusing, [HEAD + b"content-length: 9\r\n\r\nhalf"]),
            "between requests": (echo, [post(b"1")]),
            "being answered": (slow, [post(b"1")]),
            "being answered, a second head": (slow, [post(b"1"), b"POST"]),
        }
        talks = {name: await Talk(app).say(*pieces) for name, (app, pieces) in states.items()}
        for talk in talks.values():
            await talk.rest()

        def closed(after):
            for talk in talks.values():
                talk.state.now += after
                talk.protocol.sweep(30.0)
            return {name for name, talk in talks.items() if talk.wire.closing}

        assert closed(29.0) == set()
        dawdling = {"nothing", "half a line", "half a body", "a second head", "an unwanted body"}
        assert closed(2.0) == dawdling
        assert closed(protocol.KEEP_ALIVE) == dawdling | {"between requests"}
        for talk in talks.values():
            for task in talk.state.tasks:
                task.cancel()
            await talk.rest()

    asyncio.run(main())


def test_bytes_that_bring_a_request_no_further_win_no_time():
    async def main():
        states = {
            "a head": (echo, [b"POST / HTTP/1.1\r\nx: "], b"a"),
            "a second head": (echo, [post(b"1"), b"POST / HTTP/1.1\r\nx: "], b"a"),
            "blank lines": (echo, [], b"\r\n"),
            "a trailer": (echo, [HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: "], b"a"),
            "a body": (echo, [HEAD + b"content-length: 99\r\n\r\n"], b"a"),
        }
        talks = {name: await Talk(app).say(*pieces) for name, (app, pieces, _) in states.items()}
        idle = await Talk(echo).say(post(b"1"))
        for talk in (*talks.values(), idle):
            await talk.rest()
        for _ in range(8):
            for name, talk in talks.items():
                talk.state.now += 4.0
                await talk.say(states[name][2])
                talk.protocol.sweep(30.0)
        assert {name for name, talk in talks.items() if not talk.wire.closing} == {"a body"}
        for _ in range(20):
            idle.state.now += 4.0
            await idle.say(b"\r\n")
            idle.protocol.sweep(30.0)
        assert idle.wire.closing
        for talk in talks.values():
            await talk.rest()

    asyncio.run(main())


def test_time_in_which_the_client_could_not_go_on_is_not_its_silence():
    async def main():
        gate = asyncio.Event()

        async def app(scope, receive, send):
            await gate.wait()
            await echo(scope, receive, send)

        talk = await Talk(app).say(HEAD + b"content-length: %d\r\n\r\n" % (2 * HIGH_WATER), LARGE)
        talk.state.now += 60.0
        talk.protocol.sweep(30.0)
        gate.set()
        await talk.rest()
        talk.protocol.sweep(30.0)
        assert not talk.wire.closing
        await talk.say(b"x" * (2 * HIGH_WATER - len(LARGE)))
        assert status(await talk.rest()) == [200]

    asyncio.run(main())


@pytest.mark.parametrize("whole", [True, False], ids=["the answer is whole", "the application waits"])
def test_who_takes_nothing_is_cut_off_and_who_takes_little_is_not(whole):
    async def main():
        ended = []

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * 999, "more_body": not whole})
            if not whole:
                await send({"type": "http.response.body", "body": b"y"})
            ended.append((await receive())["type"])

        talk = Talk(app)
        write = talk.wire.write

        def hold(data):
            write(data)
            talk.wire.unsent = 999
            talk.protocol.pause_writing()

        talk.wire.write = hold
        await talk.say(post())
        await talk.rest()
        assert ended == ["http.disconnect"] * whole
        for _ in range(40):
            talk.state.now += 7.5
            talk.wire.unsent -= 1
            talk.protocol.sweep(30.0)
        assert not talk.wire.aborted
        for _ in range(4):
            talk.state.now += 7.5
            talk.protocol.sweep(30.0)
        assert not talk.wire.aborted
        talk.state.now += 7.5
        talk.protocol.sweep(30.0)
        assert talk.wire.aborted
        await talk.rest()
        assert ended == ["http.disconnect"]
        assert not talk.state.tasks
        assert not talk.state.connections

    asyncio.run(main())


def test_a_server_cuts_off_who_takes_nothing():
    async def main():
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * (32 << 20)})

        async with serving(app, silence=0.2) as (server, address):
            _, writer = await asyncio.open_connection(*address, limit=1024)
            writer.write(post())
            while not server.server_state.connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
            while server.server_state.connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
            writer.transport.abort()

    asyncio.run(asyncio.wait_for(main(), 20))
