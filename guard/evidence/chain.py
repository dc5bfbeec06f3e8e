"""The journal: an append-only file per process instance in which every entry is tied to all before it by its hash.

``append`` only queues. A thread links and writes what has queued up, at most every ``linger`` seconds, so kill -9 loses
at most that moment. Nothing is dropped while the disk works: once ``limit`` entries wait, ``append`` writes them itself
before it returns. While the disk refuses, ``error`` says why; when the queue is full too, ``append`` raises, and the
entries refused meanwhile are counted in a ``gap`` entry as soon as the disk works again.

With a ``Sealer`` the thread signs the receipts and declarations of what it has written by a ``seal`` entry behind them.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from guard.evidence.entry import CLOSE, LEAVES, OPEN, SEAL, SUFFIX, link
from guard.evidence.seal import Sealer
from guard.evidence.tail import Tail, claim

BATCH = 512
"""Entries written with one system call."""
RETRY = 0.5
"""Seconds between attempts on a disk that refuses."""


class JournalError(Exception):
    """The journal cannot take or keep an entry; the text says which file and why."""


class Journal:
    """A hash chain in ``<directory>/<instance>.jsonl``, safe to append to from several threads.

    Give every process that shares the directory an ``instance`` of its own that stays the same over restarts: the chain
    of a file of that name is continued. ``clock`` returns epoch seconds. With ``fsync`` every batch is on the medium
    before the next one begins; without it the operating system decides, and a power cut may lose what kill -9 does not.
    """

    def __init__(
        self,
        directory: Path,
        *,
        instance: str,
        clock: Callable[[], float] = time.time,
        fsync: bool = False,
        limit: int = 16384,
        linger: float = 0.05,
        sealer: Sealer | None = None,
    ) -> None:
        self.directory, self.instance = directory, instance
        self.path = directory / f"{instance}{SUFFIX}"
        self.error: str | None = None
        """Why the disk refuses, or None."""
        self.refused = 0
        """Entries that ``append`` has refused since ``start``."""
        self._clock, self._fsync, self._limit, self._linger = clock, fsync, limit, linger
        self._sealer = sealer
        self._pending: deque[tuple[float, str, Mapping[str, Any]]] = deque()
        self._unwritten = memoryview(b"")
        self._lock = Lock()
        self._ready, self._closing = Event(), Event()
        self._thread: Thread | None = None
        self._running = False
        self._file = -1
        self._told = 0
        self._seq = self._length = 0
        self._prev = self._head = b""

    def start(self) -> None:
        """Claim the file, continue its chain with an ``open`` entry and begin to take entries.

        An unfinished last line is moved to ``<instance>.torn-<seq>`` and reported by a ``torn`` entry. A file whose
        tail does not verify is set aside as ``<instance>.damaged-<n>.jsonl``; then a new chain begins and reports it by
        a ``damaged`` entry.
        Raises JournalError if the file cannot be claimed or is in use by another process.
        """
        if self._running:
            raise JournalError(f"{self.path}: is started already")
        try:
            self._file, tail = claim(self.directory, self.instance)
        except (OSError, ValueError) as error:
            raise JournalError(f"{self.path}: {getattr(error, 'strerror', None) or error}") from error
        self._seq, self._prev = tail.seq, tail.hash
        self._length, self._head = tail.seq, tail.hash
        if self._sealer is not None:
            self._sealer.resume(tail.unsealed)
        self._pending.clear()
        self._unwritten = memoryview(b"")
        self._ready.clear()
        self._closing.clear()
        self._running = True
        self.append(OPEN, {"instance": self.instance, "follows": tail.state})
        self._report(tail)
        self._thread = Thread(target=self._write_behind, name=f"journal-{self.instance}", daemon=True)
        self._thread.start()

    def append(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Queue an entry; ``facts`` must be JSON and must not change afterwards.

        Raises JournalError before ``start`` and after ``close``, and when the disk refuses while the queue is full.
        """
        pending = self._pending
        if len(pending) >= self._limit and not self._drain():
            with self._lock:
                self.refused += 1
            raise JournalError(f"{self.path}: {self.error}; {self._limit} entries wait already")
        if not self._running:
            raise JournalError(f"{self.path}: is not started")
        pending.append((self._clock(), kind, facts))
        if not self._ready.is_set():
            self._ready.set()

    def flush(self) -> None:
        """Write everything appended so far before returning. Raises JournalError if the disk refuses."""
        if not self._drain():
            raise JournalError(f"{self.path}: {self.error}")

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits and a ``close`` entry, and give the file up; idempotent.

        Threads that append must have stopped. Raises JournalError, with the file given up, if the disk still refuses
        after ``timeout`` seconds: then the chain ends without ``close``.
        """
        if not self._running:
            return
        self._running = False
        self._closing.set()
        self._ready.set()
        deadline = time.monotonic() + timeout
        try:
            self._drain_by(deadline)
            self._join(deadline)
            self._seal()
            self._pending.append((self._clock(), CLOSE, {}))
            self._drain_by(deadline)
        finally:
            self._join(deadline)
            with self._lock:
                os.close(self._file)
                self._file = -1

    def _drain_by(self, deadline: float) -> None:
        while not self._drain():
            if time.monotonic() >= deadline:
                raise JournalError(f"{self.path}: {self.error}; the last entries could not be written")
            time.sleep(0.05)

    def _join(self, deadline: float) -> None:
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()) + 1.0)

    @property
    def length(self) -> int:
        """Entries in the file."""
        return self._length

    @property
    def head(self) -> str:
        """Hash of the last entry in the file, in hexadecimal: keep it elsewhere to make cutting the file visible."""
        return self._head.decode()

    @property
    def healthy(self) -> bool:
        """True while entries are being written."""
        return self.error is None and self._thread is not None and self._thread.is_alive()

    def _report(self, tail: Tail) -> None:
        if tail.torn is not None:
            self.append("torn", tail.torn._asdict())
        if tail.damage is not None:
            self.append("damaged", tail.damage._asdict())

    def _write_behind(self) -> None:
        while not self._closing.is_set():
            self._ready.wait()
            self._closing.wait(self._linger)
            self._ready.clear()
            if not self._drain():
                self._ready.set()
                self._closing.wait(RETRY)
            elif self._seal():
                self._drain()

    def _seal(self) -> bool:
        """Queue the seals of the leaves that have been written; True if there are any."""
        seals = self._sealer.seals(self.head) if self._sealer is not None else ()
        self._pending.extend((self._clock(), SEAL, facts) for facts in seals)
        return bool(seals)

    def _drain(self) -> bool:
        """Write everything that waits, in order; False if the disk refuses (then ``error`` says why)."""
        with self._lock:
            try:
                while self._unwritten or self._link_batch():
                    self._write()
            except OSError as error:
                self.error = error.strerror or str(error)
                return False
            self.error = None
            return True

    def _link_batch(self) -> bool:
        pending = self._pending
        lines: list[bytes] = []
        if self.refused > self._told and pending:
            pending.appendleft((self._clock(), "gap", {"entries": self.refused - self._told}))
            self._told = self.refused
        while pending and len(lines) < BATCH:
            moment, kind, facts = pending.popleft()
            self._seq += 1
            line, self._prev = link(self._prev, self._seq, moment, kind, facts)
            lines.append(line)
            if kind in LEAVES and self._sealer is not None:
                self._sealer.take(kind, facts)
        self._unwritten = memoryview(b"".join(lines))
        return bool(lines)

    def _write(self) -> None:
        if self._file < 0:
            raise OSError("the journal is closed")
        while self._unwritten:
            written = os.write(self._file, self._unwritten)
            self._unwritten = self._unwritten[written:]
        if self._fsync:
            os.fsync(self._file)
        self._length, self._head = self._seq, self._prev
