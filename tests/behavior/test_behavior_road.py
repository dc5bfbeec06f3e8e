"""Behavior over time, all the way: requests through the middleware, steps in the store, and what they then do."""

import asyncio
import json
import time
from functools import partial

import pytest
from asgi_world import ANSWER, Inner, chat, guarded
from prometheus_client import generate_latest
from typer.testing import CliRunner

from guard.behavior.ladder import Standing, Step
from guard.behavior.observer import Observer
from guard.behavior.profile import Profile
from guard.behavior.store import COHORT, Change
from guard.behavior.stores.sqlite import SqliteStore
from guard.cli.export.behavior import app as command

CONFIG = """
upstream: http://127.0.0.1:9
admin: off
state_dir: {state}
models:
  tiny: {{license: llama-2}}
  free: {{license: mistral-apache}}
outputs: {{behavior: {{{behavior}}}}}
"""
ENFORCE = "mode: enforce, most: suspend, dwell: {clamp: 0, require_purpose: 0, suspend: 0}, clamp: {samples: 1, length: 64, requests_per_minute: 3}"
ASKS = "Generate 50 diverse instruction and response pairs about subject {n}, one JSON object per line with keys instruction and output."
PAIRS = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {
    "type": "object", "properties": {"instruction": {"type": "string"}, "output": {"type": "string"}}}}}}  # fmt: skip


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Batches that gather for no time."""
    monkeypatch.setattr("guard.transports.runtime.Observer", partial(Observer, linger=0.0))


async def until(what):
    end = time.monotonic() + 15
    while not (found := what()):
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.02)
    return found


def entries(folder):
    found = []
    for path in sorted((folder / "audit").rglob("*")):
        if path.is_file():
            found += [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    return found


async def stand(guard, step, held=True):
    """Put whoever has sent requests on a step, as an operator does, and wait until the gateway knows."""
    observer = guard.runtime._behavior
    store = guard.runtime.stores.behavior
    with store._asking() as connection:
        (name,) = connection.execute("SELECT name FROM states WHERE name != 'cohort'").fetchone()
    row = store.read([name])[name]
    profile = Profile.unpack(row.data)
    profile.standing = Standing(step, held, time.time())
    assert not store.write([Change(name, row.revision, profile.pack(), step, profile.last)])
    observer._refresh()
    return name


async def watched(guard):
    """One harmless request of the user, and its profile in the store."""
    assert (await guard.post(chat("What is a harbor?"))).status == 200
    store = guard.runtime.stores.behavior

    def there():
        with store._asking() as connection:
            return connection.execute("SELECT count(*) FROM states WHERE name != 'cohort'").fetchone()[0]

    await until(there)


def run(work):
    return asyncio.run(work)


def test_in_shadow_an_extraction_run_is_written_down_and_served(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), CONFIG, behavior="mode: shadow") as guard:
            for number in range(16):
                reply = await guard.post(chat(ASKS.format(n=number), **PAIRS))
                assert reply.status == 200
            await until(lambda: guard.runtime._behavior.table.identities()["alert"])
            scrape = generate_latest(guard.runtime.registry).decode()
            assert (await guard.post(chat("and one more"))).status == 200
        return scrape

    scrape = run(story())
    assert 'guard_behavior_identities{step="alert"} 1.0' in scrape
    assert 'guard_behavior_step_total{reason="' in scrape
    assert 'guard_intent_total{reason="schema_pairs"} ' in scrape
    steps = [entry for entry in entries(tmp_path / "state") if entry.get("kind") == "behavior"]
    assert len(steps) == 1
    assert "subject 1" not in json.dumps(steps)


def test_off_watches_nobody(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), CONFIG, behavior="mode: 'off'") as guard:
            for number in range(3):
                await guard.post(chat(ASKS.format(n=number), **PAIRS))
            assert guard.runtime._behavior._thread is None

    run(story())
    assert not (tmp_path / "state" / "behavior.db").exists()


def test_a_clamped_identity_gets_less_and_others_do_not(tmp_path):
    async def story():
        inner = Inner()
        async with guarded(tmp_path, inner, CONFIG, behavior=ENFORCE) as guard:
            await watched(guard)
            await stand(guard, Step.CLAMP)
            assert (await guard.post(chat("Hello", n=8, max_tokens=4000))).status == 200
            assert (await guard.post(chat("Hello"))).status == 200
            assert (await guard.post(chat("Hello", user="bob", n=8, max_tokens=4000))).status == 200
            sent = [json.loads(body) for _, _, body in inner.requests[1:]]
            third, fourth = await guard.post(chat("Hello")), await guard.post(chat("Hello"))
            return sent, third, fourth

    (clamped, unstated, other), third, fourth = run(story())
    assert (clamped["n"], clamped["max_tokens"]) == (1, 64)
    assert unstated["max_completion_tokens"] == 64
    assert (other["n"], other["max_tokens"]) == (8, 4000)
    assert third.status == 200
    assert fourth.status == 429
    assert fourth.json["error"]["code"] == "output_use"


def test_a_purpose_is_required_and_stating_one_is_the_way_out(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), CONFIG, behavior=ENFORCE) as guard:
            await watched(guard)
            await stand(guard, Step.REQUIRE_PURPOSE)
            refused = await guard.post(chat("Hello"))
            stated = await guard.post(chat("Hello"), headers=[(b"x-guard-purpose", b"serve")])
            return refused, stated

    refused, stated = run(story())
    assert refused.status == 403
    assert refused.json["error"]["code"] == "output_use"
    assert "x-guard-purpose" in refused.json["error"]["message"]
    assert stated.status == 200


def test_a_suspended_identity_is_refused_until_an_operator_clears_it(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), CONFIG, behavior=ENFORCE) as guard:
            await watched(guard)
            name = await stand(guard, Step.SUSPEND)
            refused = await guard.post(chat("Hello"), headers=[(b"x-guard-purpose", b"serve")])
            config = ["--config", str(tmp_path / "guard.yaml")]
            listed = await asyncio.to_thread(CliRunner().invoke, command, ["list", "--json", *config])
            cleared = await asyncio.to_thread(CliRunner().invoke, command, ["clear", name, *config])
            guard.runtime._behavior._refresh()
            return name, refused, listed, cleared, await guard.post(chat("Hello"))

    name, refused, listed, cleared, after = run(story())
    assert refused.status == 403
    assert refused.json["error"]["code"] == "output_use"
    facts = json.loads(listed.stdout)
    assert (facts["user"], facts["step"], facts["held"]) == (name, "suspend", True)
    assert cleared.exit_code == 0, cleared.output
    assert after.status == 200
    deeds = [entry for entry in entries(tmp_path / "state") if '"deed"' in json.dumps(entry)]
    assert len(deeds) == 1


def test_in_shadow_mode_of_the_policy_nothing_is_done_either(tmp_path):
    async def story():
        inner = Inner()
        async with guarded(tmp_path, inner, "mode: shadow" + CONFIG, behavior=ENFORCE) as guard:
            await watched(guard)
            for step in (Step.CLAMP, Step.SUSPEND):
                await stand(guard, step)
                assert (await guard.post(chat("Hello", n=2, max_tokens=4000))).status == 200
            return [json.loads(body).get("max_tokens") for _, _, body in inner.requests[1:]]

    assert run(story()) == [4000, 4000]


def test_who_was_granted_to_train_is_not_watched(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(ANSWER), CONFIG, behavior="mode: shadow") as guard:
            purpose = [(b"x-guard-purpose", b"train:mistral-7b")]
            for number in range(3):
                reply = await guard.post(chat(ASKS.format(n=number), model="free", **PAIRS), headers=purpose)
                assert reply.status == 200
            return guard.runtime._behavior._tasks, guard.runtime._behavior.table.standing()

    tasks, standing = run(story())
    assert not tasks
    assert standing == []


def test_a_profile_of_another_version_is_named(tmp_path):
    config, name = tmp_path / "guard.yaml", "0" * 15 + "9"
    config.write_text(CONFIG.format(state=tmp_path / "state", behavior="mode: enforce"))
    store = SqliteStore(tmp_path / "state" / "behavior.db")
    assert not store.write(
        [Change(name, 0, b"\x63 something later", Step.CLAMP, 1.0), Change(COHORT, 0, b"?", Step.METRIC, 1.0)]
    )
    where = ["--config", str(config)]
    listed, told = (CliRunner().invoke(command, ["list", *each, *where]) for each in ([], ["--json"]))
    assert listed.exit_code == told.exit_code == 0, listed.output
    assert f"{name}  clamp: profile of version 99;" in listed.stdout
    assert json.loads(told.stdout) == {"user": name, "step": "clamp", "unreadable": "profile of version 99"}
    held = CliRunner().invoke(command, ["hold", name, "--step", "suspend", *where])
    assert held.exit_code == 0, held.output
    assert store.standing() == {name: Step.SUSPEND}
    store.close()


@pytest.mark.parametrize(("words", "code", "said"), [
    (["clear", "alice"], 2, "16 hex digits"),
    (["hold", "0" * 16, "--step", "banish"], 2, "require_purpose"),
    (["clear", "0" * 16], 1, "nothing is known"),
    (["hold", "0" * 16, "--step", "clamp"], 0, "held at clamp"),
])  # fmt: skip
def test_the_command_says_what_is_wrong(tmp_path, words, code, said):
    config = tmp_path / "guard.yaml"
    config.write_text(CONFIG.format(state=tmp_path / "state", behavior="mode: enforce"))
    result = CliRunner().invoke(command, [*words, "--config", str(config)])
    assert result.exit_code == code, result.output
    assert said in result.output
