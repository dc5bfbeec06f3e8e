"""A server in a process of its own: started, waited for until it answers, stopped by its process id."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

STOP_SECONDS = 20.0


class DidNotStart(Exception):
    """The process ended, or did not answer in time; the text ends with the last lines of its log."""

    def __init__(self, what: str, log: Path, code: int | None) -> None:
        lines = log.read_text(errors="replace").splitlines()[-15:]
        how = "did not answer in time" if code is None else f"ended with exit code {code}"
        super().__init__("\n".join([f"{what} {how}; the end of {log}:", *lines]))
        self.code = code
        """Exit code, or None while it ran."""


class Server:
    """One process that serves HTTP; its output goes to ``log``. Use as a context manager, or call ``stop``."""

    def __init__(
        self, name: str, command: Sequence[str], probe: str, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.probe = probe
        self.base = probe.rpartition("/")[0]
        """The server's URL without a path."""
        self.log = log
        with log.open("ab") as output:
            # A session of its own: Ctrl-C reaches only the demo, which then stops its servers in order.
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours, an argument vector, no shell
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait_ready(self, seconds: float) -> Self:
        """Return once ``probe`` answers 200. Raises DidNotStart; the process is stopped then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            code = self._process.poll()
            if code is not None:
                raise DidNotStart(self.name, self.log, code)
            if answers(self.probe):
                return self
            time.sleep(0.05)
        self.stop()
        raise DidNotStart(self.name, self.log, None)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask the process to end, end it by force after a while, and return its exit code; idempotent."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def answers(url: str) -> bool:
    """Return whether a GET of ``url`` is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a loopback URL of our own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    """Return a loopback port that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
