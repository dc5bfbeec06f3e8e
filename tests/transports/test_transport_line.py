"""The line between a supervisor and a worker."""

import asyncio
import contextlib
import socket

import pytest

from guard.transports.line import Line, LineBrokenError


@contextlib.asynccontextmanager
async def lines(here, there):
    one, other = socket.socketpair()
    pair = await Line.open(one, here), await Line.open(other, there)
    try:
        yield pair
    finally:
        for line in pair:
            await line.close()


async def twice(facts):
    return [facts, facts]


async def slow(seconds):
    await asyncio.sleep(seconds)
    return seconds


async def broken(_):
    raise ValueError("what was asked is nobody's business")


def test_both_ends_ask_and_answers_find_their_questions():
    async def run():
        async with lines({"twice": twice}, {"twice": twice, "slow": slow}) as (here, there):
            later = asyncio.ensure_future(here.ask("slow", 0.05, seconds=5))
            assert await here.ask("twice", {"text": "a\nline"}, seconds=5) == [{"text": "a\nline"}] * 2
            assert not later.done()
            assert await there.ask("twice", 1, seconds=5) == [1, 1]
            assert await later == 0.05

    asyncio.run(run())


def test_an_end_that_cannot_answer_says_so_without_words_of_its_own(caplog):
    async def run():
        async with lines({}, {"broken": broken, "slow": slow}) as (here, _):
            with pytest.raises(LineBrokenError, match=r"^ValueError$"):
                await here.ask("broken", seconds=5)
            with pytest.raises(LineBrokenError, match=r"^KeyError$"):
                await here.ask("nobody knows this", seconds=5)
            with pytest.raises(LineBrokenError, match="no answer within"):
                await here.ask("slow", 30, seconds=0.02)
            assert await here.ask("slow", 0, seconds=5) == 0  # the line is as good as before

    asyncio.run(run())


def test_whoever_waits_learns_that_the_other_end_is_gone():
    async def run():
        one, other = socket.socketpair()
        here = await Line.open(one, {})
        asked = asyncio.ensure_future(here.ask("anything", seconds=60))
        await asyncio.sleep(0)
        other.send(b'{"number": 1, "answ')  # it is killed in the middle of a line
        other.close()
        with pytest.raises(LineBrokenError, match="gone"):
            await asked
        await here.gone()
        with pytest.raises(LineBrokenError, match="gone"):
            await here.ask("anything", seconds=60)
        here.tell("fleet", {})  # nobody hears it
        await here.close()

    asyncio.run(run())
