"""Work behind the admin port: in turn, in a short line, and never waited for."""

import asyncio
import threading

import pytest
from starlette.requests import ClientDisconnect

from guard.transports.behind import Behind, BusyError
from guard.transports.lookup import IN_LINE, Lookup

REFERENCES = [f"{number:020x}" for number in range(IN_LINE)]


class Slow:
    """A runtime whose files are read for as long as somebody waits, or until ``go`` is set."""

    def __init__(self):
        self.go, self.left = threading.Event(), threading.Event()
        self.under_way = self.most = 0

    def decision(self, reference):
        return {"known": True} if reference == "f" * 20 else None

    def look_up(self, reference, go_on):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        while not self.go.is_set():
            if not go_on():
                self.left.set()
                break
        self.under_way -= 1
        return {"reference": reference}


async def stays():
    await asyncio.sleep(3600)


def test_lookups_are_made_one_at_a_time_and_few_wait():
    async def story():
        runtime = Slow()
        lookup = Lookup(runtime)
        asked = [asyncio.ensure_future(lookup.find(reference, stays)) for reference in REFERENCES]
        await asyncio.sleep(0.02)
        with pytest.raises(BusyError):
            await lookup.find("a" * 20, stays)
        assert await lookup.find("f" * 20, stays) == {"known": True}  # what is in memory waits for nobody
        assert await lookup.find("0", stays) is None
        # The event loop's own threads are free for reloads and for the end of the process.
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 10) == 1
        runtime.go.set()
        assert await asyncio.gather(*asked) == [{"reference": reference} for reference in REFERENCES]
        assert runtime.most == 1
        assert await lookup.find("a" * 20, stays) == {"reference": "a" * 20}

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_lookup_ends_when_nobody_waits_for_it_any_more():
    runtime = Slow()

    async def story():
        lookup = Lookup(runtime)
        asked = [asyncio.ensure_future(lookup.find(reference, stays)) for reference in REFERENCES]
        await asyncio.sleep(0.02)
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(asyncio.wait_for(story(), 30))
    assert runtime.left.wait(10)


def test_a_lookup_ends_when_its_client_goes_and_makes_room_for_others():
    runtime = Slow()

    async def story():
        lookup, goes = Lookup(runtime), asyncio.Event()

        async def receive():
            if first:
                return first.pop()
            await goes.wait()
            return {"type": "http.disconnect"}

        first = [{"type": "http.request", "body": b"", "more_body": False}]
        asked = [asyncio.ensure_future(lookup.find(reference, receive)) for reference in REFERENCES]
        await asyncio.sleep(0.02)
        goes.set()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in results] == [ClientDisconnect] * IN_LINE
        assert await asyncio.to_thread(runtime.left.wait, 10)
        runtime.go.set()
        assert await lookup.find("a" * 20, stays) == {"reference": "a" * 20}

    asyncio.run(asyncio.wait_for(story(), 30))


def test_an_error_is_raised_where_it_is_waited_for():
    def work(_):
        raise ValueError("so")

    async def story():
        behind = Behind("guard-test", 1)
        for _ in range(2):
            with pytest.raises(ValueError, match="so"):
                await behind.run(work)
        threads = [await behind.run(lambda _: threading.current_thread()) for _ in range(2)]
        assert all(thread.daemon and thread is not threading.main_thread() for thread in threads)

    asyncio.run(asyncio.wait_for(story(), 30))
