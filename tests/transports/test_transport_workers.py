"""``guard serve`` with two workers: one port, one ledger, one admin port, and deaths that lose nobody."""

import asyncio
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from drain_world import serving, wait_for
from test_transport_kill import Load

from guard.cli.demo_scene.deployment import serve_embedded
from guard.cli.demo_scene.process import Server, free_port
from guard.cli.demo_scene.script import Script
from guard.cli.demo_scene.upstream import Upstream
from guard.observability.merged import families
from guard.usage.pseudonym import Pseudonymizer, load_or_create_key

pytestmark = pytest.mark.slow

POLICY = "models: {{tiny: {{license: qwen-2024}}{more}}}\n"


class Workers:
    """``guard serve`` with ``workers: 2`` in ``folder``."""

    def __init__(self, folder, upstream, extra=""):
        self.folder, self.port, self.admin = folder, free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.head = (
            f"upstream: {upstream}\nlisten: {self.address}\nadmin: 127.0.0.1:{self.admin}\nworkers: 2\n"
            f"state_dir: {folder / 'state'}\nscreening: {{neural: {{scope: 'off'}}}}\n{extra}"
        )
        self.write()
        command = [sys.executable, "-m", "guard", "serve", "--config", str(folder / "guard.yaml")]
        self.server = Server("guard", command, f"http://127.0.0.1:{self.admin}/readyz", folder / "guard.log")

    def write(self, more=""):
        (self.folder / "guard.yaml").write_text(self.head + POLICY.format(more=more))

    def start(self):
        self.server.wait_ready(60)
        return self

    def pids(self):
        pid = self.server.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def get(self, path, data=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", data=data)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ready(self):
        status, text = self.get("/readyz")
        return status == 200, json.loads(text).get("parts", {})

    def until(self, what):
        end = time.monotonic() + 60
        while not (found := what()):
            assert time.monotonic() < end, (self.folder / "guard.log").read_text()
            time.sleep(0.05)
        return found

    def ask(self, user, model="tiny"):
        """Ask on a connection of its own, so that it may be any worker's turn."""
        body = {"model": model, "user": user, "messages": [{"role": "user", "content": "Hello"}]}
        request = urllib.request.Request(
            f"http://{self.address}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status


@contextmanager
def workers(folder, extra=""):
    with serve_embedded(Upstream(("tiny", "another"), Script({}), 0)) as upstream:
        guard = Workers(folder, upstream, extra)
        try:
            yield guard.start()
        finally:
            guard.server.stop()


def test_one_admin_port_answers_for_both(tmp_path):
    with workers(tmp_path) as guard:
        for number in range(40):
            assert guard.ask(f"user-{number % 10}") == 200
        found = families(guard.get("/metrics")[1])
        assert sum(found["guard_requests_total"].values.values()) == 40
        assert found["guard_workers_up"].values == {"guard_workers_up": 2}
        usage = guard.until(
            lambda: (rows := json.loads(guard.get("/api/v1/usage")[1])["usage"]) and rows[0]["users"] == 10 and rows
        )
        assert [row["license"] for row in usage] == ["qwen-2024"]
        parts = {each["name"]: each for each in json.loads(guard.get("/api/v1/health")[1])["parts"]}
        assert parts["workers"]["state"] == "ok"
        assert parts["workers"]["facts"]["ready"] == 2
        assert guard.get("/")[0] == 200

        guard.write(", another: {license: gemma}")
        status, text = guard.get("/-/reload", b"")
        assert (status, json.loads(text)["ok"]) == (200, True), text
        after = families(guard.get("/metrics")[1])["guard_policy_info"].values
        assert len(after) == 1  # the same in both
        assert after != found["guard_policy_info"].values
        for _ in range(20):  # whoever serves it, it is served under the new policy
            assert guard.ask("user-1", "another") == 200

        (tmp_path / "guard.yaml").write_text("no policy: [")
        status, text = guard.get("/-/reload", b"")
        assert (status, json.loads(text)["ok"]) == (422, False)
        assert guard.ask("user-1") == 200
        assert {path.name for path in (tmp_path / "state" / "audit").glob("*.jsonl")} >= {
            "guard-0.jsonl", "guard-1.jsonl",
        }  # fmt: skip
    assert guard.server.stop() == 0
    assert not list((tmp_path / "state" / "spool").glob("*.seg"))


def test_ready_is_who_has_all_workers_and_the_others_serve_meanwhile(tmp_path):
    with workers(tmp_path) as guard:
        for turn in (1, 0):
            pids = guard.pids()
            os.kill(pids[0], signal.SIGKILL)
            if turn:
                guard.until(lambda: not guard.ready()[0])
            guard.until(lambda killed=pids[0]: killed not in guard.pids())
            for number in range(20):
                assert guard.ask(f"user-{number}") == 200
            guard.until(lambda: guard.ready()[0])
            assert pids[0] not in guard.pids()
            assert len(guard.pids()) == 2
        told = families(guard.get("/metrics")[1])["guard_worker_restarts_total"].values
        assert told == {"guard_worker_restarts_total": 2}


def test_the_admin_port_answers_while_the_first_worker_hangs(tmp_path):
    with workers(tmp_path) as guard:
        first = guard.pids()[0]
        os.kill(first, signal.SIGSTOP)
        try:
            assert guard.get("/readyz") == (503, '{"ready": false}')  # within some seconds, by the supervisor
            assert guard.get("/healthz")[0] == 200
            assert guard.get("/api/v1/usage")[0] == 503
        finally:
            os.kill(first, signal.SIGCONT)
        guard.until(lambda: guard.get("/metrics")[0] == 200)  # the supervisor leaves it to the worker
        guard.until(lambda: guard.ready()[0])
        assert first in guard.pids()


def test_a_worker_is_replaced_under_a_bad_policy_with_the_last_good_one(tmp_path):
    with workers(tmp_path) as guard:
        (tmp_path / "guard.yaml").write_text("no policy: [")
        guard.until(lambda: "last good" in str(guard.ready()[1].get("policy_files")))
        for _ in range(2):  # the older one each time: both workers in the end
            killed = guard.pids()[0]
            os.kill(killed, signal.SIGKILL)
            guard.until(lambda killed=killed: killed not in guard.pids() and len(guard.pids()) == 2)
            guard.until(lambda: guard.ready()[0])
        for number in range(20):
            assert guard.ask(f"user-{number}") == 200
        parts = {each["name"]: each for each in json.loads(guard.get("/api/v1/health")[1])["parts"]}
        assert parts["policy"]["state"] == "bad"
        assert "THE LAST GOOD COPY IS IN FORCE" in (tmp_path / "guard.log").read_text()

        guard.write(", another: {license: gemma}")
        guard.until(lambda: guard.get("/-/reload", b"")[0] == 200)
        for _ in range(20):
            assert guard.ask("user-1", "another") == 200


def test_workers_that_are_killed_under_load_lose_no_user_and_count_none_twice(tmp_path):
    with workers(tmp_path) as guard:
        load = Load(guard.port)

        async def run():
            until = asyncio.Event()
            driving = asyncio.ensure_future(load.drive(until))
            for number in itertools.count(1):
                await load.reaches(number * 400, driving)
                if driving.done():
                    return
                await asyncio.sleep(random.uniform(0, 0.02))
                pids = guard.pids()
                if len(pids) == 2:  # a sibling is there to go on
                    os.kill(random.choice(pids), signal.SIGKILL)

        asyncio.run(run())
        guard.until(lambda: guard.ready()[0])  # else it may be the supervisor who answers, and knows no metrics
        restarts = families(guard.get("/metrics")[1])["guard_worker_restarts_total"].values
    assert sum(restarts.values()) > 0
    pseudonyms = Pseudonymizer(load_or_create_key(tmp_path / "state" / "pseudonym.key"))
    ledger = sqlite3.connect(tmp_path / "state" / "ledger.db")
    try:
        counted = [row[0] for row in ledger.execute("SELECT user FROM sightings")]
        (total,) = ledger.execute("SELECT users FROM scopes").fetchone()
    finally:
        ledger.close()
    answered = {pseudonyms.key("", user) for user in load.answered}
    assert len(load.answered) > 1000
    assert answered <= set(counted), f"{len(answered - set(counted))} answered users are not in the ledger"
    assert set(counted) <= {pseudonyms.key("", user) for user in load.tried}
    assert len(counted) == len(set(counted)) == total


def test_a_bad_configuration_and_a_taken_port_end_it_with_their_codes(tmp_path):
    guard = tmp_path / "guard.yaml"
    head = (
        f"screening: {{neural: {{scope: 'off'}}}}\nworkers: 2\nlisten: 127.0.0.1:{free_port()}\nadmin: 'off'\n"
        f"state_dir: {tmp_path / 'state'}\n"
    )
    command = [sys.executable, "-m", "guard", "serve", "--config", str(guard)]
    guard.write_text(f"{head}license: nobody-knows-it\n")
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "nobody-knows-it" in ended.stderr) == (78, True), ended.stderr
    assert all(line.startswith("worker ") for line in ended.stderr.splitlines() if "nobody-knows-it" in line)
    guard.write_text(f"{head}license: gemma\nworkers: 0\n")
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 78
    guard.write_text(f"{head}license: gemma\n")
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / "pseudonym.key").write_text("no key")
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "pseudonym key" in ended.stderr) == (78, True), ended.stderr


def test_a_unix_socket_is_accepted_from_by_all(tmp_path):
    with serve_embedded(Upstream(("tiny", "another"), Script({}), 0)) as upstream:
        guard = Workers(tmp_path, upstream)
        path = tmp_path / "guard.sock"
        guard.head = guard.head.replace(f"listen: {guard.address}", f"listen: unix://{path}")
        guard.write()
        guard.start()
        try:
            for _ in range(10):
                assert asyncio.run(_models(path)).startswith(b"HTTP/1.1 200 ")
            os.kill(guard.pids()[1], signal.SIGKILL)
            assert asyncio.run(_models(path)).startswith(b"HTTP/1.1 200 ")
        finally:
            guard.server.stop()
        assert not path.exists()


async def _models(path):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


def test_streams_of_all_workers_come_whole_and_the_admin_port_answers_until_the_last(tmp_path):
    with serving(tmp_path, "workers: 2\nscreening: {neural: {scope: 'off'}}\ndrain: {seconds: 60}\n") as (guard, held):
        guard.ready()
        streams = [guard.ask(f"user-{number}") for number in range(12)]  # 1 in 2,048 that all are of one worker
        guard.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not guard.accepts(), "the client port goes on accepting")
        status, parts = guard.readyz()
        assert (status, parts["draining"]) == (503, True)
        held.go.set()
        for stream in streams:
            assert stream.read().endswith(b"data: [DONE]\n\n")
            stream.owner.close()
        assert guard.process.wait(30) == 0
        assert guard.users() == 12


def test_a_second_signal_cuts_the_answers_of_all_of_them(tmp_path):
    with serving(tmp_path, "workers: 2\nscreening: {neural: {scope: 'off'}}\ndrain: {seconds: 300}\n") as (guard, _):
        guard.ready()
        streams = [guard.ask(f"user-{number}") for number in range(8)]
        guard.process.send_signal(signal.SIGTERM)
        wait_for(lambda: guard.readyz()[0] == 503)
        guard.process.send_signal(signal.SIGTERM)
        for stream in streams:
            assert b"upstream_unavailable" in stream.read()
            stream.owner.close()
        assert guard.process.wait(30) == 0
        assert guard.users() == 8


def test_workers_whose_supervisor_is_killed_finish_what_they_answer(tmp_path):
    with serving(tmp_path, "workers: 2\nscreening: {neural: {scope: 'off'}}\ndrain: {seconds: 60}\n") as (guard, held):
        guard.ready()
        streams = [guard.ask(f"user-{number}") for number in range(8)]
        guard.process.kill()
        wait_for(lambda: not guard.accepts(), "the client port goes on accepting")
        held.go.set()
        for stream in streams:
            assert stream.read().endswith(b"data: [DONE]\n\n")
            stream.owner.close()
        wait_for(lambda: guard.users() == 8)
        wait_for(lambda: guard.journal()[-1]["kind"] == "close")
