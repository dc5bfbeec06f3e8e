"""Reading a body: within its own limit, and within what all unfinished ones may hold together."""

import asyncio

import pytest

from guard.exchange.head import Head
from guard.transports.incoming import BodyTooLarge, ClientGone, Crowded, Unfinished, read_body

HEAD = Head("POST", "/v1/chat/completions")


def read(messages, limit, unfinished):
    waiting = iter(messages)

    async def receive():
        return next(waiting)

    return asyncio.run(read_body(HEAD, receive, limit, unfinished))


def part(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


def test_parts_are_joined_and_nothing_stays_held():
    unfinished = Unfinished(10)
    assert read([part(b"abc"), part(b"de"), part(b"", more=False)], 5, unfinished) == b"abcde"
    assert unfinished.held == 0


@pytest.mark.parametrize(
    ("messages", "limit", "raised"),
    [
        ([part(b"abc"), part(b"def")], 5, BodyTooLarge),
        ([part(b"abcdef", more=False)], 5, BodyTooLarge),
        ([part(b"abc"), part(b"def"), part(b"ghij")], 99, Crowded),
        ([part(b"abcdefghijk")], 99, Crowded),
        ([part(b"abc"), {"type": "http.disconnect"}], 99, ClientGone),
    ],
)
def test_whatever_ends_it_gives_its_memory_back(messages, limit, raised):
    unfinished = Unfinished(8)
    with pytest.raises(raised):
        read(messages, limit, unfinished)
    assert unfinished.held == 0


def test_what_others_hold_counts():
    unfinished = Unfinished(8)
    unfinished.hold(6)
    with pytest.raises(Crowded):
        read([part(b"abc"), part(b"", more=False)], 99, unfinished)
    assert unfinished.held == 6
