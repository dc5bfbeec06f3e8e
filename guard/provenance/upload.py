"""Hands every segment that is over to a command of the operator, which copies it somewhere else.

A segment is over when nobody holds its lock any more: it was ended, or its gateway was killed. What has been copied has
an empty marker file beside it, so nothing is forgotten over a restart, and what was there before uploads were turned on
is copied too. One process of those that share an index copies for all of them; when it goes, another one takes over.

The command runs without a shell, in a thread of its own. Its output is discarded: it may show what is secret. It may be
run twice for the same segment, after a crash between the copy and the marker.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from string import Formatter
from threading import Event, Thread
from typing import NamedTuple

from guard.provenance.counts import counts_path
from guard.provenance.layout import SEGMENT_SUFFIX
from guard.provenance.tally import settle

PLACEHOLDERS = ("file", "month", "name")
"""Filled into each argument of the command: the path, ``2026-11`` and the name of the file."""
UPLOADED_SUFFIX = ".uploaded"
LOCK = ".uploading"
"""File in the index whose lock the process holds that copies for all."""
LOOK = 10.0
"""Seconds between two looks for segments that are over."""
LOOK_AT_COMMAND = 0.5
"""Seconds between two looks whether a running command has to be ended because the process ends."""
TIMEOUT = 600.0
"""Seconds the command may take for one file."""
RETRY = (5.0, 600.0)
"""Seconds to wait after a failure, doubled with every further one in a row, and the most of them."""


class Attempt(NamedTuple):
    """One run of the command. It says nothing of its arguments: they may hold secrets."""

    month: str
    name: str
    outcome: str
    """``uploaded``, ``failed`` (its exit code was not 0), ``timed_out``, or ``not_started``."""
    code: int | None
    """Its exit code, negative for a signal; None if it did not end by itself."""
    wait: float
    """Seconds until the next attempt; 0 after a success."""

    @property
    def reason(self) -> str:
        """What became of it, in words."""
        others = {"timed_out": "the command took too long", "not_started": "the command cannot be started"}
        return others.get(self.outcome) or f"the command ended with exit code {self.code}"


def unknown_placeholders(argument: str) -> list[str]:
    """Return what stands in braces in ``argument`` and cannot be filled in; raises ValueError for unpaired braces."""
    return [
        "{" + name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}"
        for _, name, spec, conversion in Formatter().parse(argument)
        if name is not None and (name not in PLACEHOLDERS or spec or conversion)
    ]


class Uploader:
    """Copies the segments below ``directory`` with ``command``; ``attempted`` is told of every run, in its thread."""

    def __init__(
        self,
        directory: Path,
        command: Sequence[str],
        *,
        attempted: Callable[[Attempt], None] = lambda _attempt: None,
        look: float = LOOK,
        timeout: float = TIMEOUT,
        retry: tuple[float, float] = RETRY,
    ) -> None:
        self._directory, self._command, self._attempted = directory, tuple(command), attempted
        self._look, self._timeout, self._retry = look, timeout, retry
        self._failures: dict[Path, int] = {}
        self._in_a_row = 0
        self._unmarked: set[Path] = set()
        """What was copied, while the disk refuses its marker."""
        self._finished: set[str] = set()
        """Past months of which everything was copied when they were looked at last."""
        self._closing = Event()
        self._deadline = float("inf")
        self._lock = -1
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to copy. Raises OSError if the index directory cannot be written."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._thread = Thread(target=self._run, name="index-upload", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 10.0) -> None:
        """Try once more what is over by now, within ``timeout`` seconds; the rest waits for the next start. Idempotent.

        Close the writer before this, so that its last segment is over.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        thread.join(timeout + 1.0)
        os.close(self._lock)

    def _run(self) -> None:
        wait = 0.0
        while not self._closing.wait(wait):
            wait = self._round() or self._look
        self._in_a_row = 0
        self._round()

    def _round(self) -> float:
        """Copy what is over; return how many seconds to wait because something failed, or 0."""
        with suppress(OSError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._unmarked = {path for path in self._unmarked if not _mark(path)}
            for path in self._pending():
                wait = self._copy(path)
                if wait or time.monotonic() >= self._deadline:
                    return wait
        return 0.0

    def _pending(self) -> list[Path]:
        """Return the segments that are over and not copied, those first that failed least often."""
        months = sorted(path.name for path in self._directory.glob("[0-9]*"))
        pending: list[Path] = []
        for month in months:
            if month in self._finished:
                continue
            left = [
                path
                for path in sorted((self._directory / month).glob(f"*{SEGMENT_SUFFIX}"))
                if path not in self._unmarked and not _marker(path).exists()
            ]
            pending += filter(is_over, left)
            if not left and month != months[-1]:
                self._finished.add(month)
        self._failures = {path: self._failures[path] for path in pending if path in self._failures}
        return sorted(pending, key=lambda path: self._failures.get(path, 0))

    def _copy(self, segment: Path) -> float:
        """Copy one segment; what counted for a killed gateway goes before it. Return the seconds to wait, or 0."""
        counts = counts_path(segment)
        if counts.exists():
            settle(segment)
        for path in (counts, segment) if counts.exists() else (segment,):
            outcome, code = self._command_for(path)
            if self._closing.is_set() and outcome == "timed_out" and time.monotonic() >= self._deadline:
                return 0.0  # nobody's failure: it was cut short by the end of the process
            wait = 0.0
            if outcome != "uploaded":
                first, most = self._retry
                wait = min(most, first * 2.0**self._in_a_row)
                self._in_a_row = min(self._in_a_row + 1, 32)
                self._failures[segment] = self._failures.get(segment, 0) + 1
            self._attempted(Attempt(segment.parent.name, path.name, outcome, code, wait))
            if wait:
                return wait
        self._in_a_row = 0
        if not _mark(segment):
            self._unmarked.add(segment)
        return 0.0

    def _command_for(self, path: Path) -> tuple[str, int | None]:
        """Run the command for one file; return the outcome and the exit code."""
        values = {"file": str(path.absolute()), "month": path.parent.name, "name": path.name}
        silent = subprocess.DEVNULL
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
                [argument.format_map(values) for argument in self._command],
                stdin=silent,
                stdout=silent,
                stderr=silent,
                start_new_session=True,
            )
        except OSError:
            return "not_started", None
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < min(deadline, self._deadline):  # which ``close`` may have brought nearer
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(min(LOOK_AT_COMMAND, self._timeout))
                return ("failed" if code else "uploaded"), code
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the command may have started others
        process.wait()
        return "timed_out", None


def is_over(segment: Path) -> bool:
    """Return True if nobody writes to ``segment`` any more; a file that is gone or cannot be read is not over."""
    try:
        file = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def _marker(segment: Path) -> Path:
    return segment.with_name(segment.name + UPLOADED_SUFFIX)


def _mark(segment: Path) -> bool:
    """Remember that ``segment`` was copied; False if the disk refuses, True also where the segment is gone."""
    try:
        if segment.exists():
            _marker(segment).touch(mode=0o600)
    except FileNotFoundError:
        pass  # its month was shredded meanwhile
    except OSError:
        return False
    return True
