"""What starts, is asked, stands still and ends: the process of one system under test."""

import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress

from lab.machine import PROXY_CORE
from lab.tree import cpu_ns, members, resident

START_S = 120.0
_PR_SET_PDEATHSIG = 1


def free_port():
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(core):
    """Return what a child does first: take ``core`` (None: any one), and end when the benchmark ends."""
    libc = ctypes.CDLL(None)

    def before():
        if core is not None:
            os.sched_setaffinity(0, {core})
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return before


class System:
    """Something between load and upstream. Subclasses say which command it is; ``start`` runs it."""

    streams = 50
    """Paced streams at once that it holds without being saturated."""
    connections = 64
    """Closed-loop connections at once."""
    rate = 200
    """Requests a second that it holds."""
    every = 1
    """It takes part in every so-manieth round: what costs hundredfold needs fewer."""
    needed = False
    """Where it fails a question fails; without another the question goes on."""
    headers = ()

    def __init__(self, name, label):
        self.name, self.label = name, label
        self.port = 0
        self.process = None
        self.pids = []

    def version(self):
        """Return the version under test."""
        return ""

    def command(self, folder, upstream):
        """Write what it needs into ``folder``; return the command. Raises Absent if it cannot be had here."""
        raise NotImplementedError

    def environment(self):
        """Return what its environment has beyond this one's."""
        return {}

    def start(self, folder, upstream, core=PROXY_CORE):
        """Start it on ``core`` (None: on any) before the port ``upstream``; return at once. Raises Absent."""
        folder = folder / self.name
        folder.mkdir()
        self.port = free_port()
        command = [str(each) for each in self.command(folder, upstream)]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment()},
                start_new_session=True,
                preexec_fn=pinned(core),  # noqa: PLW1509 - nothing else runs here
            )
        self.log = folder / "log"

    def wait(self, body, seconds=START_S):
        """Return once it answers the request ``body`` with 200. Raises RuntimeError with the end of its log."""
        until, said = time.monotonic() + seconds, "no connection"
        headers = {"content-type": "application/json", **dict(each.split(": ", 1) for each in self.headers)}
        while time.monotonic() < until and (self.process is None or self.process.poll() is None):
            url = f"http://127.0.0.1:{self.port}/v1/chat/completions"
            request = urllib.request.Request(url, body.encode(), headers)
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    answer.read()
                self.pids = members(self.process.pid) if self.process else self.pids
                return
            except urllib.error.HTTPError as error:
                said = f"{error.code} {error.read()[:200]!r}"
            except OSError as error:
                said = str(error)
            time.sleep(0.1)
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-800:] if self.process else ""
        raise RuntimeError(f"{self.name} does not answer: {said}\n{tail}")

    def cpu_ns(self):
        """Return the CPU nanoseconds of all its processes."""
        return cpu_ns(self.pids)

    def resident(self):
        """Return the resident bytes of all its processes."""
        return resident(self.pids)

    def freeze(self):
        """Stop it: it uses no CPU until it is thawed."""
        self._signal(signal.SIGSTOP)

    def thaw(self):
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        for pid in self.pids:
            os.kill(pid, number)

    def stop(self):
        """End it and what it started."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
