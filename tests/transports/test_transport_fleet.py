"""What the first of several workers says for all of them."""

import asyncio
import contextlib
import socket
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from guard.transports.fleet import Fleet
from guard.transports.line import Line


def part(name, state, detail=""):
    return {"name": name, "state": state, "detail": detail, "facts": {}}


def worker(number, *, up=True, ready=True, pid=1):
    return {"number": number, "pid": pid, "up": up, "ready": ready, "parts": {}}


def candidate(compared, differing, *times, hash="c"):
    facts = {"hash": hash, "compared": compared, "differing": differing}
    return {"candidate": facts, "differences": [{"time": time} for time in times]}


class First:
    """The first worker's own runtime."""

    registry = CollectorRegistry()
    mine = True

    def ready(self):
        return self.mine, {"started": True}

    def health(self):
        return {"parts": [part("ledger", "ok"), part("spool", "warn", "the first one's"), part("audit", "off")]}

    def candidate_facts(self):
        return candidate(10, 2, 5.0, 1.0)

    def policy(self):
        return {"hash": "h", "candidate": self.candidate_facts()["candidate"]}

    def history(self):
        return "the journals'"

    async def refresh(self):
        pass

    async def reload(self):
        return {"ok": True, "hash": "first alone"}


@contextlib.asynccontextmanager
async def supervised(fleet, **answers):
    """A line to a supervisor that gives ``answers``."""

    def saying(answer):
        async def say(_):
            return answer

        return say

    one, other = socket.socketpair()
    fleet.line = await Line.open(one, {"fleet": fleet.hear})
    supervisor = await Line.open(other, {name: saying(answer) for name, answer in answers.items()})
    try:
        yield supervisor
    finally:
        await fleet.line.close()
        await supervisor.close()


@pytest.fixture
def fleet():
    return Fleet(First(), 2)


@pytest.mark.parametrize(
    ("told", "ready", "said"),
    [
        ([], False, "the others are starting"),
        ([worker(0), worker(1)], True, "ok"),
        ([worker(0, ready=False), worker(1)], True, "ok"),  # of itself it knows better than anybody
        ([worker(0), worker(1, ready=False)], False, "worker 1 is not ready"),
        ([worker(0), worker(1, up=False, ready=False)], False, "worker 1 is starting"),
        ([worker(0), worker(1, up=False, ready=False, pid=0)], False, "worker 1 is not there"),
    ],
)
def test_it_is_ready_when_all_are(fleet, told, ready, said):
    asyncio.run(fleet.hear({"workers": told, "restarts": 0}))
    assert fleet.ready() == (ready, {"started": True, "workers": said})
    fleet._runtime.mine = False
    assert fleet.ready()[0] is False


def test_a_part_is_as_it_is_where_it_is_worst(fleet):
    theirs = {"number": 1, "candidate": candidate(0, 0), "health": [
        part("ledger", "bad", "it does not answer"), part("spool", "ok"), part("audit", "off"),
    ]}  # fmt: skip

    async def run():
        async with supervised(fleet, facts=[{**theirs, "number": 0}, theirs]):
            await fleet.hear({"workers": [worker(0), worker(1)], "restarts": 3})
            await fleet.refresh()

    asyncio.run(run())
    parts = {each["name"]: each for each in fleet.health()["parts"]}
    assert parts["ledger"] == part("ledger", "bad", "worker 1: it does not answer")
    assert parts["spool"]["detail"] == "the first one's"
    assert parts["audit"]["state"] == "off"
    assert (parts["workers"]["state"], parts["workers"]["facts"]["restarts"]) == ("ok", 3)
    asyncio.run(fleet.hear({"workers": [worker(0), worker(1, up=False, ready=False)], "restarts": 3}))
    assert fleet.health()["parts"][-1]["state"] == "bad"


def test_what_every_worker_compared_with_the_candidate_is_added_up(fleet):
    others = [
        {"number": 0, "health": [], "candidate": candidate(10, 2, 5.0, 1.0)},
        {"number": 1, "health": [], "candidate": candidate(7, 1, 3.0)},
        {"number": 2, "health": [], "candidate": candidate(99, 99, 9.0, hash="of another state of its files")},
        {"number": 3, "health": [], "candidate": {"candidate": None, "differences": []}},
    ]

    async def run():
        async with supervised(fleet, facts=others):
            await fleet.refresh()

    asyncio.run(run())
    facts = fleet.candidate_facts()
    assert (facts["candidate"]["compared"], facts["candidate"]["differing"]) == (17, 3)
    assert [each["time"] for each in facts["differences"]] == [5.0, 3.0, 1.0]
    assert fleet.policy() == {"hash": "h", "candidate": facts["candidate"]}
    fleet._runtime.candidate_facts = lambda: {"candidate": None, "differences": []}
    assert fleet.candidate_facts()["candidate"] is None


def test_metrics_and_reloads_are_everybody_s_and_its_own_without_a_supervisor(fleet):
    async def run():
        assert (await fleet.reload())["hash"] == "first alone"
        async with supervised(fleet, metrics="all_of_them 1.0\n", reload={"ok": False, "hash": "all"}):
            assert await fleet.exposition() == b"all_of_them 1.0\n"
            assert await fleet.reload() == {"ok": False, "hash": "all"}
            await fleet.refresh()  # the supervisor does not know the question: what is known stays
        assert (await fleet.reload())["hash"] == "first alone"
        assert await fleet.exposition() == b""

    asyncio.run(run())


def test_everything_else_is_the_first_worker_s(fleet):
    assert fleet.history() == "the journals'"
    assert fleet.registry is First.registry
    assert isinstance(fleet.admin_runtime, Fleet)
    assert not hasattr(Fleet(SimpleNamespace(), 2), "nobody_has_it")
