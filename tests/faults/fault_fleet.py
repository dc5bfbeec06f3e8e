"""Gateways, upstream, clients and Redis as processes that are killed, paused and started again, and never left behind."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import yaml
from fault_load import Notes

from guard.cli.demo_scene.process import Server

HERE = Path(__file__).parent
LICENSE = "qwen-2024"
QUIET = {"evidence": {"audit": False}, "outputs": {"receipts": False}}
"""What costs time and is not looked at here."""
REAPER = """
import os, signal, sys
pids = set()
for line in sys.stdin:
    pid = int(line)
    pids.add(pid) if pid > 0 else pids.discard(-pid)
for pid in pids:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""
"""Kills what is still named when its input ends: the test may die of anything, even of kill -9."""


def free_port():
    """A loopback port below those that outgoing connections get: whoever is started again finds it free again."""
    while True:
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", random.SystemRandom().randrange(20_000, 32_000)))
            except OSError:
                continue
            return listener.getsockname()[1]


class Reaper:
    """Ends every process it was told of, at the latest when this process is gone."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", REAPER], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def watch(self, pid):
        self._tell(pid)

    def release(self, pid):
        self._tell(-pid)

    def _tell(self, number):
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Gateway:
    """One ``guard serve`` with a state directory of its own, killed and started again on the same ports."""

    def __init__(self, name, folder, reaper, settings):
        self.name, self.reaper = name, reaper
        self.port, self.admin = free_port(), free_port()
        self.log = folder / f"{name}.log"
        self.config = folder / f"{name}.yaml"
        self.settings = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            **settings,
        }
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        self.server = None

    def start(self):
        command = [sys.executable, "-m", "guard", "serve", "--config", str(self.config)]
        self.server = Server(self.name, command, f"http://127.0.0.1:{self.admin}/readyz", self.log)
        self.reaper.watch(self.server.pid)

    def kill(self):
        self.server.kill()
        self._gone()

    def stop(self):
        self.server.stop()
        self._gone()

    def _gone(self):
        self.reaper.release(self.server.pid)
        self.server = None

    @property
    def serving(self):
        """True if it takes connections."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def wait_ready(self):
        self.server.wait_ready(60)

    def ready(self):
        """The status of /readyz and what it says; (None, {}) from a process that does not answer."""
        status, body = self._get("/readyz")
        return status, json.loads(body) if body else {}

    def metrics(self):
        """The samples of /metrics by name and labels as they are written; {} from a process that does not answer."""
        _, body = self._get("/metrics")
        lines = (line.rpartition(" ") for line in body.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def _get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()

    @property
    def users(self):
        """The count it tells of."""
        return self.metrics()[f'guard_license_mau{{kind="exact",license="{LICENSE}"}}']

    def ask(self, user):
        """Ask once for ``user``, past the load; returns the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            body = {"model": "tiny", "user": user, "messages": [{"role": "user", "content": "Hello"}]}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()


class Redis:
    """A redis-server; ``keeps`` False: nothing is written to disk, and a restart loses everything."""

    def __init__(self, folder, reaper, *, keeps):
        self.reaper = reaper
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder / "redis"
        self.folder.mkdir()
        self.command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.command += ["--dir", str(self.folder), "--logfile", str(self.folder / "redis.log")]
        self.command += ["--appendonly", "yes", "--appendfsync", "everysec"] if keeps else ["--appendonly", "no"]
        self.process = None
        self.paused = False

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, start_new_session=True)
        self.reaper.watch(self.process.pid)

    def pause(self):
        self.paused = True
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        self.paused = False
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self):
        if self.process is not None:
            self.process.kill()  # kill -9 ends a stopped process too
            self.process.wait()
            self.reaper.release(self.process.pid)
            self.process, self.paused = None, False


class Fleet:
    """The upstream, and whatever is set up before it; all of it ends with the context."""

    upstream = None
    """Its port, once it is there."""

    def __init__(self, folder):
        self.folder = folder
        self.key = folder / "users.key"
        self.gateways = []
        self.redis = None
        self.loads = []

    def __enter__(self):
        self.reaper = Reaper()
        return self

    def __exit__(self, *_):
        for gateway in self.gateways:
            if gateway.server is not None:
                gateway.kill()
        if self.redis is not None:
            self.redis.kill()
        self.reaper.end()
        for process in self._spawned:
            process.wait()

    _spawned = ()

    def _spawn(self, name, *arguments):
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.reaper.watch(process.pid)
        self._spawned = (*self._spawned, process)
        return process

    def start_upstream(self, seconds=0.0):
        """Start the inference server, which answers after that many ``seconds``."""
        self.upstream = free_port()
        self._spawn("upstream", HERE / "fault_upstream.py", self.upstream, seconds)

    def start_redis(self, *, keeps):
        self.redis = Redis(self.folder, self.reaper, keeps=keeps)
        self.redis.start()
        return self.redis

    def add_gateways(self, number, ledger, *, key=None, state=None, usage=None):
        """Start gateways on one ``ledger`` and wait until they are ready; each has a state directory in ``state``."""
        if self.upstream is None:
            self.start_upstream()
        added = []
        for _ in range(number):
            name = f"gateway-{len(self.gateways)}"
            settings = {
                "upstream": f"http://127.0.0.1:{self.upstream}",
                "state_dir": str((state or self.folder) / name),
                "models": {"tiny": {"license": LICENSE}},
                "identity": {"pseudonym_key_file": str(key or self.key)},
                "usage": {"ledger": ledger, **(usage or {})},
                **QUIET,
            }
            added.append(Gateway(name, self.folder, self.reaper, settings))
            self.gateways.append(added[-1])
            added[-1].start()
        for gateway in added:
            gateway.wait_ready()
        return added

    def load(self, users, seed, *, callers=24, repeats=1 / 3, pause=0.0, processes=2):
        """Start clients that ask for ``users`` distinct users at every gateway; returns what they note.

        Each of the ``callers`` of a process rests for ``pause`` seconds after an answer.
        """
        notes = Notes(self.folder / "states", users)
        ports = json.dumps([gateway.port for gateway in self.gateways])
        for process in range(processes):
            first, last = users * process // processes, users * (process + 1) // processes
            arguments = (notes.path, process, ports, first, last, f"{seed}-{process}", callers, repeats, pause)
            self.loads.append(self._spawn(f"clients-{process}", HERE / "fault_load.py", *arguments))
        return notes

    @property
    def loading(self):
        """True until every user has been asked for."""
        codes = [load.poll() for load in self.loads]
        assert not any(codes), f"clients ended with {codes}; their logs are in {self.folder}"
        return None in codes


def within(seconds, holds, what):
    """Wait until ``holds()``; fails with ``what()`` otherwise."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)
