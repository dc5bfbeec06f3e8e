"""A policy changes under load: no request fails, the new policy holds for those that come after, a bad one for none."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from contextlib import asynccontextmanager, contextmanager

import pytest
from asgi_world import Inner, chat, guarded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.cli.demo_scene.deployment import serve_embedded
from guard.cli.demo_scene.process import DidNotStart, Server, answers, free_port
from guard.cli.demo_scene.script import Script
from guard.cli.demo_scene.stage import Stage
from guard.cli.demo_scene.upstream import Upstream
from guard.evidence.entry import read

PATIENCE = 30
"""Seconds: machines that run tests are slow, and the time that was measured is printed."""
CALLERS = 8


# One request, whatever happens meanwhile.

EDITS = {
    "stricter": "screening: {system_prompts: block}\n",
    "looser": "mode: shadow\n",
    "confirmed": "mode: shadow\nconfirm: ['mode: enforce -> shadow']\n",
    "broken": "mode: [\n",
    "empty": "",
}
MODELS = "admin: off\nstate_dir: {state}\nmodels: {{tiny: {{license: llama-2}}}}\n"


class Held(Inner):
    """A server behind Guard that answers only when it is told to."""

    def __init__(self):
        super().__init__()
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.asked.set()
            await self.go.wait()
        await super().__call__(scope, receive, send)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(EDITS)), min_size=1, max_size=4))
def test_a_request_keeps_the_snapshot_it_began_with(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("world")

    async def story():
        inner = Held()
        async with guarded(folder, inner, MODELS) as guard:
            runtime = guard.runtime
            began = runtime.snapshot
            request = asyncio.ensure_future(guard.post(chat()))
            await asyncio.wait_for(inner.asked.wait(), PATIENCE)
            for name in names:
                before = runtime.snapshot
                (folder / "guard.yaml").write_text(MODELS.format(state=folder / "state") + EDITS[name])
                outcome = await runtime.reload()
                if not outcome["ok"]:
                    assert runtime.snapshot is before
                    assert outcome["problems"]
                assert outcome["hash"] == runtime.snapshot.hash
            inner.go.set()
            assert (await request).status == 200
            receipt = await asyncio.to_thread(last, folder / "state", "receipt", runtime)
            assert receipt["policy"] == began.hash

    asyncio.run(asyncio.wait_for(story(), 60))


def last(state, kind, runtime):
    """The last entry of that kind in the audit chain, once it is there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        runtime.stores.journal.flush()
        found = [
            entry.facts for path in (state / "audit").glob("*.jsonl") for entry in read(path) if entry.kind == kind
        ]
        if found:
            return found[-1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_reload_that_fails_says_so_in_the_metric_and_in_the_audit_chain(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), MODELS) as guard:
            (tmp_path / "guard.yaml").write_text(MODELS.format(state=tmp_path / "state") + "mode: shadow\n")
            facts = await guard.runtime.reload()
            assert facts["ok"] is False
            (problem,) = facts["problems"]
            assert problem.startswith(f'{tmp_path}/guard.yaml:4: mode: a dangerous change: "mode: enforce -> shadow"; ')
            assert guard.runtime.registry.get_sample_value("guard_policy_last_reload_successful") == 0
            assert guard.runtime.ready()[1]["policy_files"] == "bad: the last good policy stays"
            entry = await asyncio.to_thread(last, tmp_path / "state", "reload", guard.runtime)
            assert (entry["ok"], entry["problems"]) == (False, ["guard.yaml:4: mode: a dangerous change"])


def test_a_file_that_the_audit_chain_begins_says_what_is_in_force_until_guard_stops(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), MODELS) as guard:
            runtime, journal = guard.runtime, guard.runtime.stores.journal
            before = journal.standing
            assert {name: before[name] for name in ("policy", "mode", "decisions")} == {
                "policy": runtime.snapshot.hash, "mode": "enforce", "decisions": "notable"
            }  # fmt: skip
            assert abs(before["started"] - time.time()) < 600
            (tmp_path / "guard.yaml").write_text(MODELS.format(state=tmp_path / "state") + EDITS["confirmed"])
            await runtime.reload()
            after = {"policy": runtime.snapshot.hash, "mode": "shadow", "decisions": "notable"}
            assert journal.standing == {**after, "started": before["started"]}
            assert after["policy"] != before["policy"]
        assert journal.standing == {}

    asyncio.run(story())


def test_the_audit_chain_has_no_value_of_a_policy_that_failed(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), MODELS) as guard:
            text = MODELS.format(state=tmp_path / "state") + "operator: {domicile: tok-HUNTER2}\nmode: tok-HUNTER2\n"
            (tmp_path / "guard.yaml").write_text(text)
            facts = await guard.runtime.reload()
            assert "tok-HUNTER2" in "".join(facts["problems"])
            entry = await asyncio.to_thread(last, tmp_path / "state", "reload", guard.runtime)
            assert entry["problems"] == [
                "guard.yaml:4: operator.domicile: not allowed",
                "guard.yaml:5: mode: not allowed",
            ]

    asyncio.run(asyncio.wait_for(story(), 60))

    asyncio.run(asyncio.wait_for(story(), 60))


# A whole process.


class ConfigMap:
    """A directory as the kubelet keeps it: files are links into ``..data``, which is a link that is swapped."""

    def __init__(self, folder, text):
        self.folder, self.number = folder, 0
        folder.mkdir()
        self.swap(text)
        (folder / "guard.yaml").symlink_to("..data/guard.yaml")

    def swap(self, text):
        old = (self.folder / "..data").readlink() if self.number else None
        self.number += 1
        place = self.folder / f"..2026_11_22_{self.number}"
        place.mkdir()
        (place / "guard.yaml").write_text(text)
        (self.folder / "..data_tmp").symlink_to(place.name)
        (self.folder / "..data_tmp").replace(self.folder / "..data")
        if old is not None:
            (self.folder / old / "guard.yaml").unlink()
            (self.folder / old).rmdir()


class Deployment:
    """``guard serve`` before the embedded upstream, configured by a ConfigMap."""

    def __init__(self, folder, upstream):
        self.folder, self.port, self.admin = folder, free_port(), f"127.0.0.1:{free_port()}"
        self.state = folder / "state"
        self.head = (
            f"upstream: {upstream}\nlisten: 127.0.0.1:{self.port}\nadmin: {self.admin}\nstate_dir: {self.state}\n"
        )
        self.map = ConfigMap(folder / "config", self.text())
        self.stage = Stage(f"http://127.0.0.1:{self.port}", f"http://{self.admin}", folder, {}, (), {}, "", "")
        self.server = None

    def text(self, limit=2, confirm="", more=""):
        return (
            self.head + "models: {tiny: {license: llama-2}, q: {license: qwen-2024}}\n"
            f"usage: {{at_limit: refuse_newcomers, limits: {{qwen-2024: {limit}}}}}\n"
            + (f"confirm:\n  - {confirm}\n" if confirm else "")
            + more
        )

    @contextmanager
    def serving(self, *options, **environment):
        command = (sys.executable, "-m", "guard", "serve", "--config", str(self.map.folder / "guard.yaml"), *options)
        log = self.folder / "guard.log"
        with Server("guard serve", command, f"{self.stage.admin}/readyz", log, environment) as self.server:
            self.server.wait_ready(60)
            yield self

    @property
    def hash(self):
        (labels,) = (labels for labels, value in self.stage.metric("guard_policy_info").items() if value == 1)
        return re.search(r'hash="([0-9a-f]+)"', labels)[1]

    @property
    def reloaded(self):
        (value,) = self.stage.metric("guard_policy_last_reload_successful").values()
        return value


def wait_for(happened):
    """Return how many seconds it took."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() < began + PATIENCE
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture
def deployment(tmp_path):
    with serve_embedded(Upstream(("tiny", "q"), Script({}), 0)) as upstream:
        yield Deployment(tmp_path, upstream)


class Load:
    """Callers on connections that stay open, each asking one thing after the other until told to stop."""

    def __init__(self, port):
        self.port, self.statuses, self.failed = port, [], []
        self.until = asyncio.Event()

    @asynccontextmanager
    async def running(self):
        callers = [asyncio.ensure_future(self.call(number)) for number in range(CALLERS)]
        try:
            yield self
        finally:
            self.until.set()
            await asyncio.gather(*callers)

    async def call(self, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        turn = 0
        while not self.until.is_set():
            turn += 1
            try:
                status = await ask(reader, writer, "tiny", f"user-{number}-{turn % 7}", stream=turn % 3 == 0)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.failed.append(repr(error))
                return
            self.statuses.append(status)
            if status != 200:
                self.failed.append(status)
            await asyncio.sleep(0.005)
        writer.close()


async def ask(reader, writer, model, user, *, stream=False):
    """Ask once on an open connection, read the whole answer, and return its status."""
    body = json.dumps({"model": model, "user": user, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"chunked" in head:
        while (size := int(await reader.readline(), 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    return int(head.split()[1])


def served(deployment, user):
    """Whether the model with the limit answers ``user``, over a connection of its own."""

    async def once():
        reader, writer = await asyncio.open_connection("127.0.0.1", deployment.port)
        try:
            return await ask(reader, writer, "q", user) == 200
        finally:
            writer.close()

    return asyncio.run(once())


@pytest.mark.slow
def test_symlink_swaps_under_load_lose_no_request_and_a_broken_one_changes_nothing(deployment):
    times = []

    async def story():
        async with Load(deployment.port).running() as load:
            await asyncio.to_thread(scenes)
            await asyncio.to_thread(wait_for, lambda: load.failed or len(load.statuses) >= 300)
            assert load.failed == []

    def scenes():
        assert served(deployment, "a")
        assert served(deployment, "b")
        assert not served(deployment, "c")
        limit = 2
        for number, newcomer in enumerate(("c", "d", "e"), 3):
            before = deployment.hash
            deployment.map.swap(deployment.text(number, f"usage.limits.qwen-2024: {limit} -> {number}"))
            times.append(wait_for(lambda before=before: deployment.hash != before))
            assert served(deployment, newcomer), "whoever comes now is under the new policy"
            assert not served(deployment, "f")
            limit = number
        good = deployment.hash
        deployment.map.swap(deployment.text(limit, more="usage: {\n"))
        wait_for(lambda: deployment.reloaded == 0)
        assert (deployment.hash, served(deployment, "a"), served(deployment, "f")) == (good, True, False)
        deployment.map.swap(deployment.text(limit + 1))
        wait_for(lambda: "a dangerous change" in deployment.stage.ask_admin("/-/reload", "POST").text)
        refused = deployment.stage.ask_admin("/-/reload", "POST")
        assert (refused.status, refused.json()["ok"], deployment.hash) == (422, False, good)
        assert deployment.reloaded == 0
        deployment.map.swap(deployment.text(limit, more="# mended\n"))
        wait_for(lambda: deployment.reloaded == 1)
        assert deployment.hash != good

    with deployment.serving():
        asyncio.run(story())
    print("in force after", ", ".join(f"{seconds:.1f} s" for seconds in times))  # shown by pytest -rP


@pytest.mark.slow
def test_a_hang_up_reloads_and_a_bad_policy_survives_it(deployment):
    def loads():
        return len(deployment.stage.ask_admin("/api/v1/policy").json()["reloads"])

    with deployment.serving():
        before = loads()  # files that stay as they are are loaded anew for a hang-up only
        os.kill(deployment.server.pid, signal.SIGHUP)
        wait_for(lambda: loads() == before + 1)
        good = deployment.hash
        deployment.map.swap("mode: [")
        os.kill(deployment.server.pid, signal.SIGHUP)
        wait_for(lambda: deployment.reloaded == 0)
        assert answers(f"{deployment.stage.admin}/readyz")
        assert deployment.hash == good


@pytest.mark.slow
def test_a_restart_with_a_bad_file_with_and_without_the_last_good_copy(deployment):
    options = ("--state-dir", str(deployment.state), "--last-good")
    with deployment.serving(*options):
        good = deployment.hash
        assert served(deployment, "a")
        copy = deployment.state / "last-good" / "current" / "0" / "guard.yaml"
        wait_for(copy.exists)
    deployment.map.swap(deployment.text(more="mode: maybe\n"))
    with pytest.raises(DidNotStart) as stopped, deployment.serving():
        pass
    assert stopped.value.code == 78
    with deployment.serving(GUARD_LAST_GOOD="1", GUARD_STATE_DIR=str(deployment.state)):
        assert (deployment.hash, deployment.reloaded) == (good, 0)
        assert served(deployment, "a")
        parts = deployment.stage.ask_admin("/readyz").json()["parts"]
        assert parts["policy_files"] == "bad: the last good copy is in force"
        deployment.map.swap(deployment.text(1))
        wait_for(lambda: deployment.reloaded == 1)
        assert deployment.hash != good
        assert deployment.stage.ask_admin("/readyz").json()["parts"]["policy_files"] == "ok"
    log = (deployment.folder / "guard.log").read_text()
    assert "THE LAST GOOD COPY IS IN FORCE" in log
    deployment.map.swap(deployment.text(5))
    with pytest.raises(DidNotStart) as stopped, deployment.serving():
        pass
    assert stopped.value.code == 78
    assert 'a dangerous change: "usage.limits.qwen-2024: 1 -> 5"' in (deployment.folder / "guard.log").read_text()
