"""Readiness fails for what another replica would do better, and for nothing else."""

import asyncio
import http.client
import json
import signal

import pytest
import redis_world
from asgi_world import CONFIG, Inner, chat, guarded
from drain_world import Holding, serving, wait_for
from prometheus_client import CollectorRegistry

from guard.transports.runtime import Runtime
from guard.usage import counter as counter_module
from guard.usage.segment import SpoolError
from guard.usage.spool import Spool

FULL = SpoolError("the spool cannot be written: No space left on device")


def run(story):
    return asyncio.run(asyncio.wait_for(story, 30))


@pytest.fixture
def full(monkeypatch):
    """A disk that gets full with ``full.append(FULL)``; ``full.clear()`` makes room."""
    trouble = []

    def refuse(real):
        def append(self, *args):
            if trouble:
                raise trouble[0]
            return real(self, *args)

        return append

    for name in ("append", "probe"):
        monkeypatch.setattr(Spool, name, refuse(getattr(Spool, name)))
    return trouble


def test_nothing_is_ready_before_the_start_or_after_the_end(tmp_path):
    path = tmp_path / "guard.yaml"
    path.write_text(CONFIG.format(state=tmp_path / "state"))

    async def story():
        runtime = Runtime(path, registry=CollectorRegistry())
        said = [runtime.ready()]
        await runtime.start()
        said.append(runtime.ready())
        runtime.drain()
        said.append(runtime.ready())
        await runtime.stop()
        return [*said, runtime.ready()]

    before, during, draining, after = run(story())
    assert [ready for ready, _ in (before, during, draining, after)] == [False, True, False, False]
    assert [parts["started"] for _, parts in (before, during, draining, after)] == [False, True, True, False]
    assert draining[1]["draining"]


def test_a_spool_that_cannot_be_written_is_not_ready_until_it_can(tmp_path, full):
    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            full.append(FULL)
            reply = await guard.post(chat())
            assert (reply.status, reply.json["error"]["code"]) == (503, "ledger_unavailable")
            ready, parts = guard.runtime.ready()
            assert not ready
            assert "No space left" in parts["spool"]
            full.clear()
            while not guard.runtime.ready()[0]:  # noqa: ASYNC110 - the flusher looks again without a request
                await asyncio.sleep(0.02)

    run(story())


def test_who_serves_on_with_a_full_disk_is_ready_while_memory_takes_what_comes(tmp_path, full, monkeypatch):
    config = CONFIG.replace("usage: {{", "usage: {{ledger: 'redis://127.0.0.1:9?timeout=0.1', disk_full: serve, ")
    monkeypatch.setattr(counter_module, "UNSPOOLED", 2)

    async def story():
        async with guarded(
            tmp_path, Inner(), config.replace("at_limit: refuse_newcomers", "at_limit: observe")
        ) as guard:
            full.append(FULL)
            assert (await guard.post(chat(user="alice"))).status == 200
            assert guard.runtime.ready()[0]
            assert (await guard.post(chat(user="bob"))).status == 200
            ready, parts = guard.runtime.ready()
            assert not ready
            assert parts["ledger"] == "down"
            assert (await guard.post(chat(user="carol"))).status == 503

    run(story())


def test_trouble_that_keeps_nobody_from_being_served_is_told_and_is_no_reason(tmp_path):
    """A policy that was not reloaded, an audit chain that takes nothing: every replica would have it at once."""

    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            (tmp_path / "guard.yaml").write_text("mode: enforced\n")
            assert not (await guard.runtime.reload())["ok"]
            guard.runtime.stores.journal.error = "No space left on device"
            ready, parts = guard.runtime.ready()
            assert ready
            assert parts["policy_files"].startswith("bad")
            assert parts["audit"] == "No space left on device"
            assert (await guard.post(chat())).status == 200

    run(story())


@pytest.mark.slow
def test_a_redis_that_is_down_at_the_start_is_filled_when_it_comes(tmp_path, tmp_path_factory):
    port = redis_world.free_port()
    held = Holding()
    held.go.set()
    extra = f"usage: {{ledger: 'redis://127.0.0.1:{port}?timeout=0.5'}}\n"
    with serving(tmp_path, extra, held) as (guard, _):
        guard.ready()
        assert guard.readyz()[1]["ledger"] == "down"
        for user in ("alice", "bob", "alice"):
            response = guard.ask(user)
            assert response.status == 200
            response.read()
            response.owner.close()
        redis = redis_world.Server(tmp_path_factory.mktemp("redis"), port=port)
        try:
            wait_for(lambda: guard.readyz()[1]["ledger"] == "ok")
            wait_for(lambda: guard.readyz()[1]["spool_records"] == 0)
            assert users(guard) == 2
            redis.kill()
            wait_for(lambda: guard.readyz()[1]["ledger"] == "down")
            assert guard.readyz()[0] == 200
        finally:
            redis.kill()


@pytest.mark.slow
def test_a_ledger_of_another_key_stops_a_start_and_takes_a_process_out(tmp_path, tmp_path_factory):
    redis = redis_world.Server(tmp_path_factory.mktemp("redis"))
    extra = f"usage: {{ledger: 'redis://127.0.0.1:{redis.port}?timeout=0.5'}}\n"
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    try:
        with serving(first, extra) as (owner, _):
            owner.ready()
        redis.process.send_signal(signal.SIGSTOP)
        with serving(second, extra) as (other, held):
            held.go.set()
            other.ready()  # nobody can tell yet
            redis.process.send_signal(signal.SIGCONT)
            response = other.ask("alice")  # the first sighting is the first thing to be written there
            assert response.status == 200
            response.owner.close()
            wait_for(lambda: other.readyz()[0] == 503)
            assert "refuses to mix" in other.readyz()[1]["ledger"]
            other.end()
            other.start()
            assert other.process.wait(30) == 69
            assert "refuses to mix" in other.log.read_text().splitlines()[-1]
    finally:
        redis.process.send_signal(signal.SIGCONT)
        redis.kill()


def users(guard):
    connection = http.client.HTTPConnection("127.0.0.1", guard.admin, timeout=10)
    connection.request("GET", "/api/v1/usage")
    rows = json.load(connection.getresponse())["usage"]
    connection.close()
    return next(row["users"] for row in rows if row["license"] == "llama-2")
