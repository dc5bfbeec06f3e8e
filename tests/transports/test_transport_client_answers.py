"""What an application may send back: framing for each kind of client, heads that hold, and failures nobody overlooks."""

import asyncio
import http.client
import io

import httptools
import pytest
from client_world import Talk, said
from hypothesis import given
from hypothesis import strategies as st

from guard.transports.client.head import render

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n"


def sending(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


def start(status=200, *headers):
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


@pytest.mark.parametrize(
    ("request_", "messages", "answer", "closed"),
    [
        (GET, [start(), body(b"ab", True), body(b"", True), body(b"c", True), body()],
         b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", False),
        (GET, [start(), body(b"abc")], b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", False),
        (GET, [start(200, (b"content-length", b"3")), body(b"ab", True), body(b"c")],
         b"content-length: 3\r\n\r\nabc", False),
        (OLD, [start(), body(b"ab", True), body(b"c")], b"connection: close\r\n\r\nabc", True),
        (OLD, [start(200, (b"content-length", b"2")), body(b"ab")],
         b"content-length: 2\r\nconnection: close\r\n\r\nab", True),
        (HEAD, [start(200, (b"content-length", b"3")), body(b"abc")], b"content-length: 3\r\n\r\n", False),
        (HEAD, [start(), body(b"abc")], b"\r\n", False),
        (GET, [start(204), body()], b"\r\n", False),
        (GET, [start(304, (b"etag", b"x")), body()], b"etag: x\r\n\r\n", False),
        (GET, [start(200, (b"Connection", b"x, Close"), (b"content-length", b"0")), body()],
         b"Connection: x, Close\r\ncontent-length: 0\r\n\r\n", True),
    ],
)  # fmt: skip
def test_each_client_gets_a_body_that_it_can_see_the_end_of(request_, messages, answer, closed):
    head = {200: b"200 OK", 204: b"204 No Content", 304: b"304 Not Modified"}[messages[0]["status"]]
    assert said(sending(*messages), request_) == (b"HTTP/1.1 " + head + b"\r\ndate: now\r\n" + answer, closed)


def test_head_and_first_bytes_are_one_write_and_nothing_waits_behind_them():
    async def main():
        writes, gate = [], asyncio.Event()

        async def app(scope, receive, send):
            await send(start())
            await send(body(b"first", True))
            await gate.wait()
            await send(body(b"second", True))
            await send(body())

        talk = Talk(app)
        talk.wire.write = writes.append
        await talk.say(GET)
        await talk.rest()
        assert [write.count(b"first") for write in writes] == [1]
        gate.set()
        await talk.rest()
        assert writes[1:] == [b"6\r\nsecond\r\n", b"0\r\n\r\n"]

    asyncio.run(main())


async def failing(scope, receive, send):
    raise KeyError("secret detail")


@pytest.mark.parametrize(
    "app",
    [
        failing,
        sending(),
        sending(start()),
        sending(body(b"x")),
        sending(start(200, (b"content-length", b"2")), body(b"abc")),
        sending(start(200, (b"content-length", b"2")), body(b"a")),
        sending(start(200, (b"content-length", b"+2")), body(b"ab")),
        sending(start(200, (b"content-length", b"2"), (b"content-length", b"2")), body(b"ab")),
        sending(start(200, (b"content-length", b"2"), (b"transfer-encoding", b"chunked")), body(b"ab")),
        sending(start(200, (b"x", b"a\r\nset-cookie: b"))),
        sending(start(200, (b"x", b"a\nb"))),
        sending(start(200, (b"x", b"a\0b"))),
        sending(start(200, (b"x y", b"a"))),
        sending(start(200, (b"", b"a"))),
        sending(start(101)),
        sending(start(999)),
        sending(start(204), body(b"abc")),
        sending(start(), {"type": "http.response.trailers"}),
    ],
)
def test_an_application_that_fails_before_anything_left_is_a_500_without_its_words(app, caplog):
    out, closed = said(app, GET + GET)
    assert out == (
        b"HTTP/1.1 500 Internal Server Error\r\ndate: now\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: 21\r\nconnection: close\r\n\r\nInternal Server Error"
    )
    assert closed
    assert caplog.records
    assert "secret" not in "".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("request_", [GET, OLD])
@pytest.mark.parametrize(
    "more",
    [[], [start()], [{"type": "http.response.trailers"}]],
    ids=["ends", "starts again", "says what it must not"],
)
def test_one_that_fails_later_is_cut_off_so_that_nobody_takes_it_for_whole(request_, more):
    async def main():
        talk = await Talk(sending(start(), body(b"part", True), *more)).say(request_)
        out = await talk.rest()
        assert talk.wire.aborted
        assert b"part" in out
        assert not out.endswith(b"0\r\n\r\n")

    asyncio.run(main())


def test_nothing_is_sent_after_the_whole_answer(caplog):
    out, closed = said(sending(start(), body(b"x"), body(b"y")), GET)
    assert out.endswith(b"\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    assert not closed
    assert "failed: RuntimeError" in caplog.text


def test_one_that_is_canceled_leaves_no_half_answer():
    async def main():
        async def app(scope, receive, send):
            await send(start())
            await send(body(b"part", True))
            await asyncio.sleep(60)

        talk = await Talk(app).say(GET)
        await talk.rest()
        for task in talk.state.tasks:
            task.cancel()
        await talk.rest()
        assert talk.wire.aborted
        assert not talk.state.tasks

    asyncio.run(main())


NAMES = st.sampled_from([b"content-type", b"x-guard-reference", b"X-Y", b"etag"])
VALUES = st.binary(max_size=20).map(
    lambda value: value.translate(None, bytes([*range(9), *range(10, 32), 127])).strip()
)


@given(st.integers(200, 599), st.lists(st.tuples(NAMES, VALUES), max_size=8), st.booleans(), st.booleans())
def test_a_head_is_read_as_it_was_meant(status, headers, chunks, close):
    head = render(status, headers, b"date: now\r\n", method="GET", chunks=chunks, close=close)

    class Reader:
        headers, done = [], False

        def on_header(self, name, value):
            self.headers.append((name, value))

        def on_headers_complete(self):
            self.done = True

    reader = Reader()
    reader.headers = []
    parser = httptools.HttpResponseParser(reader)
    parser.feed_data(head.data)
    assert reader.done
    assert parser.get_status_code() == status
    expected = [(b"date", b"now"), *headers]
    if head.chunked:
        expected.append((b"transfer-encoding", b"chunked"))
    if head.close:
        expected.append((b"connection", b"close"))
    assert reader.headers == expected
    assert head.close or chunks or status in {204, 304}
    assert http.client.parse_headers(io.BytesIO(head.data.partition(b"\r\n")[2])).keys()


@given(st.binary(min_size=1, max_size=12))
def test_no_value_becomes_another_line(value):
    unfit = any((byte < 32 and byte != 9) or byte == 127 for byte in value)
    try:
        head = render(200, [(b"x", value)], b"date: now\r\n", method="GET", chunks=True, close=False)
    except ValueError:
        assert unfit
    else:
        assert not unfit
        assert head.data.count(b"\r\n") == 5
