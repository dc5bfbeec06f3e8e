"""The journal: an append-only file per process instance in which every entry is tied to all before it by its hash.

``append`` only queues. A thread links and writes what has queued up, at most every ``linger`` seconds, so kill -9 loses
at most that moment. While entries keep coming it wakes once per ``linger``, and nobody has to wake it. ``append_all``
is for threads that work behind the answers: it writes before it returns. Nothing is dropped while the disk works: once
``limit`` entries wait, ``append`` writes them itself before it returns. While the disk refuses, ``error`` says why;
when the queue is full too, ``append`` raises, and the entries refused meanwhile are counted in a ``gap`` entry as soon
as the disk works again.

With a ``Signer`` the receipts and declarations of what was written are signed by a ``seal`` entry behind them, half a
second later at most, and the chain as a whole, now and then, by a ``checkpoint``.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from guard.evidence import checkpoint
from guard.evidence.checkpoint import Checkpoint
from guard.evidence.entry import CHECKPOINT, CLOSE, CONTINUE, DAMAGED, LEAVES, OPEN, ROTATE, SEAL, Canonical, Facts
from guard.evidence.journals import journals
from guard.evidence.links import Links, Run
from guard.evidence.live import LiveFile, month_ends
from guard.evidence.seal import Sealer
from guard.evidence.selfcheck import SelfCheck
from guard.evidence.signing import Signer
from guard.evidence.tail import Tail
from guard.evidence.walk import Bad

log = logging.getLogger(__name__)

BATCH = 512
"""Entries written with one system call."""
RETRY = 0.5
"""Seconds between attempts on a disk that refuses."""
ROTATE_BYTES = 256 * 1024 * 1024
CHECKPOINT_SECONDS = 3600.0


class JournalError(Exception):
    """The journal cannot take or keep an entry; the text says which file and why."""


class Journal:
    """The hash chain that ends in ``<directory>/<instance>.jsonl``, safe to append to from several threads.

    Give every process that shares the directory an ``instance`` of its own that stays the same over restarts: the chain
    of that name is continued. ``clock`` returns epoch seconds. With ``fsync`` every batch is on the medium before the
    next one begins; without it the operating system decides, and a power cut may lose what kill -9 does not. A file
    of ``rotate_bytes``, and one of a UTC month that is over, is closed and followed by another.
    With a ``signer`` leaves are sealed and the chain has checkpoints: at the start, every ``checkpoint_seconds``, at
    each rotation and at the close. ``heads`` gets each of them, in a thread that writes, once it is on the medium.
    With ``self_check`` the files are read again in the background: see ``damage``.
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
        rotate_bytes: int = ROTATE_BYTES,
        signer: Signer | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        heads: Callable[[Checkpoint], None] | None = None,
        self_check: bool = False,
    ) -> None:
        self.directory, self.instance = directory, instance
        self._live = LiveFile(directory, instance)
        self.path = self._live.path
        self.error: str | None = None
        """Why the disk refuses, or None."""
        self.damage: str | None = None
        """Why the chain is not intact: what the check of it found, or a chain that was set aside and is still there."""
        self.refused = 0
        """Entries that ``append`` has refused since ``start``."""
        self.standing: Mapping[str, Any] = {}
        """What is in force, in words of its user: each file that continues another begins with it. Replace it whole."""
        self._clock, self._fsync, self._limit, self._linger = clock, fsync, limit, linger
        self._rotate_bytes, self._interval = rotate_bytes, checkpoint_seconds
        self._signer, self._heads = signer, heads
        self._sealer = Sealer(signer, clock) if signer is not None else None
        self._check = SelfCheck(directory, instance, self._found, signer) if self_check else None
        self._pending: deque[tuple[float, str, Facts | Run]] = deque()
        self._unwritten = memoryview(b"")
        self._lock = Lock()
        self._ready, self._closing = Event(), Event()
        self._thread: Thread | None = None
        self._running = self._due = self._turning = False
        self._checkpoint: Checkpoint | None = None
        self._next = self._month_ends = 0.0
        self._carried = 0
        """0 until the file has another entry than those that begin it: one that has none is not rotated."""
        self._told = 0
        self._last: float | None = None
        """Time of the last entry of the file that was closed, but for those that close it; None if that was before."""
        self._links = Links()
        self._length, self._head = 0, b""

    def start(self) -> None:
        """Claim the file, continue its chain with an ``open`` entry and begin to take entries.

        An unfinished last line is moved to ``<instance>.torn-<seq>`` and reported by a ``torn`` entry. A chain whose
        tail does not verify is set aside as ``<instance>.damaged-<n>``; then a new one begins and reports it by a
        ``damaged`` entry. A rotation that was interrupted is finished.
        Raises JournalError if the file cannot be claimed or is in use by another process.
        """
        if self._running:
            raise JournalError(f"{self.path}: is started already")
        try:
            tail = self._live.claim()
            aside = [chain.name for chain in journals(self.directory) if chain.instance == self.instance != chain.name]
        except (OSError, ValueError) as error:
            self._live.close()
            raise JournalError(f"{self.path}: {getattr(error, 'strerror', None) or error}") from error
        self._links.restart(tail.seq, tail.hash, tail.time or 0.0)
        self._length, self._head = tail.seq, tail.hash
        self.damage = (
            f"{self.directory}: the chain {aside[0]} did not verify, was set aside and is still there"
            if aside
            else None
        )
        if self._sealer is not None:
            self._sealer.resume(tail.unsealed)
        self._pending.clear()
        self._unwritten = memoryview(b"")
        self._turning, self._checkpoint, self._last, self._carried = False, None, None, self._live.size
        self._ready.clear()
        self._closing.clear()
        self._running = True
        self.append(OPEN, {"instance": self.instance, "follows": tail.state})
        now = self._pending[0][0]
        self._month_ends = month_ends(now if tail.time is None else min(tail.time, now))
        self._report(tail)
        self._due = self._signer is not None
        self._thread = Thread(target=self._write_behind, name=f"journal-{self.instance}", daemon=True)
        self._thread.start()
        if self._check is not None:
            self._check.start(tail.seq, tail.hash)

    def append(self, kind: str, facts: Facts) -> None:
        """Queue an entry; ``facts`` must be JSON and must not change afterwards.

        Raises JournalError before ``start`` and after ``close``, and when the disk refuses while the queue is full.
        """
        self._queue(kind, facts)
        if not self._ready.is_set():
            self._ready.set()

    def append_all(self, kind: str, each: Sequence[Facts]) -> int:
        """Write an entry of ``kind`` for each, behind all that waits; return how many were not refused.

        For a thread that may wait for the disk. While that refuses they are queued as by ``append``, and where each
        batch has to be on the medium (``fsync``) they always are.
        """
        run = [facts for facts in each if isinstance(facts, Canonical)]
        if len(run) == len(each) > 0 and self._running and self.error is None and len(self._pending) < self._limit:
            self._pending.append((self._clock(), kind, Run(run)))
            taken = len(run)
        else:
            taken = sum(self._queued(kind, facts) for facts in each)
        if self._fsync or not self._drain():
            self._ready.set()
        elif self._sealer is not None and self._sealer.full:
            self._seal()
        elif self._sealer is not None and self._sealer.forgotten:
            self._ready.set()
        return taken

    def _queued(self, kind: str, facts: Facts) -> bool:
        with suppress(JournalError):
            self._queue(kind, facts)
            return True
        return False

    def _queue(self, kind: str, facts: Facts) -> None:
        pending = self._pending
        if len(pending) >= self._limit and not self._drain():
            with self._lock:
                self.refused += 1
            raise JournalError(f"{self.path}: {self.error}; {self._limit} entries wait already")
        if not self._running:
            raise JournalError(f"{self.path}: is not started")
        pending.append((self._clock(), kind, facts))

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
        if self._check is not None:
            self._check.stop()
        try:
            self._drain_by(deadline)
            self._join(deadline)
            self._queue_seals()
            self._due = self._signer is not None
            self._drain_by(deadline)
            self._pending.append((self._clock(), CLOSE, {}))
            self._drain_by(deadline)
        finally:
            self._join(deadline)
            with self._lock:
                self._live.close()

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
        """Entries in the chain, those of closed files included, wherever these are."""
        return self._length

    @property
    def head(self) -> str:
        """Hash of the last entry in the file, in hexadecimal: keep it elsewhere to make cutting the file visible."""
        return self._head.decode()

    @property
    def healthy(self) -> bool:
        """True while entries are being written."""
        return self.error is None and self._thread is not None and self._thread.is_alive()

    @property
    def intact(self) -> bool:
        """False once the chain was found to be other than it was written; ``damage`` says how."""
        return self.damage is None

    def _report(self, tail: Tail) -> None:
        if tail.torn is not None:
            self.append("torn", tail.torn._asdict())
        if self.damage is not None:
            log.error("audit: %s", self.damage)
        if tail.damage is not None:
            self.append(DAMAGED, tail.damage._asdict())

    def _found(self, bad: Bad) -> None:
        """Take what the check of the chain found: once, as it stops at the first."""
        self.damage = str(bad)
        log.error("audit: the chain is not as it was written: %s", bad)
        with suppress(JournalError):
            self.append(DAMAGED, {"file": Path(bad.file).name, "line": bad.line, "what": bad.what})

    def _write_behind(self) -> None:
        """Write what waits, sign what is due. ``_ready`` stays set while entries keep coming."""
        self._next, busy = time.monotonic() + self._interval, False
        while not self._closing.is_set():
            if self._ready.wait(self._rest()):
                if busy or self._pending:
                    self._closing.wait(self._linger)
                busy = bool(self._pending)
                if not busy:
                    self._ready.clear()
                    if self._pending:  # came just now, and may have found it set
                        self._ready.set()
            if self._signer is not None and time.monotonic() >= self._next:
                self._due, self._next = True, time.monotonic() + self._interval
            if not self._drain():
                self._ready.set()
                self._closing.wait(RETRY)
            elif self._sealer is not None:
                self._sealer.turn(time.monotonic(), self._seal)

    def _rest(self) -> float | None:
        """Return after how many seconds there is something to sign, if nothing happens before; None: never."""
        if self._sealer is None:
            return None
        until = self._next if self._sealer.until is None else min(self._next, self._sealer.until)
        return max(0.0, until - time.monotonic())

    def _seal(self) -> bool:
        """Seal the leaves that have been written; True if there are any."""
        return self._queue_seals() and self._drain()

    def _queue_seals(self) -> bool:
        with self._lock:  # seals stand in the order of the leaves that they are over
            seals = self._sealer.seals(self.head) if self._sealer is not None else ()
            self._pending.extend((self._clock(), SEAL, facts) for facts in seals)
        return bool(seals)

    def _drain(self) -> bool:
        """Write everything that waits, in order; False if the disk refuses (then ``error`` says why)."""
        with self._lock:
            try:
                while self._unwritten or self._turning or self._checkpoint or self._link_batch():
                    self._write()
            except OSError as error:
                self.error = error.strerror or str(error)
                return False
            self.error = None
            return True

    def _link_batch(self) -> bool:
        """Link what waits, up to a batch or to the end of the file; False if nothing does."""
        pending = self._pending
        lines: list[bytes] = []
        if self.refused > self._told and pending:
            pending.appendleft((pending[0][0], "gap", {"entries": self.refused - self._told}))
            self._told = self.refused
        if self._live.before is not None and (pending or self._due):
            self._link_beginning(lines, self._live.before)
        size = self._live.size + sum(map(len, lines))
        while pending and len(lines) < BATCH:
            moment, kind, facts = pending[0]
            if self._carried and (size >= self._rotate_bytes or moment >= self._month_ends):
                self._link_end(lines)
                self._month_ends = month_ends(moment)
                break
            pending.popleft()
            self._carried += 1
            if isinstance(facts, Run):
                run, leaves = self._links.lines(moment, kind, facts)
                lines.append(run)
                size += len(run)
                if self._sealer is not None:
                    self._sealer.take_all(leaves)
                continue
            size += self._link(lines, kind, facts, moment)
            if kind in LEAVES and self._sealer is not None:
                self._sealer.take(kind, facts)
        if self._due and not self._turning:
            self._due = False
            self._link_checkpoint(lines)
        self._unwritten = memoryview(b"".join(lines))
        return bool(lines)

    def _link(self, lines: list[bytes], kind: str, facts: Facts, moment: float | None = None) -> int:
        """Link an entry; one of the journal's own has the time of what waits behind it, if anything does."""
        if moment is None:
            moment = self._pending[0][0] if self._pending else self._clock()
        lines.append(self._links.line(moment, kind, facts))
        return len(lines[-1])

    def _link_checkpoint(self, lines: list[bytes]) -> None:
        links = self._links
        if self._signer is None or links.seq == 0:
            return
        made = checkpoint.make(self._signer, self.instance, links.seq, links.hash.decode(), self._clock())
        self._link(lines, CHECKPOINT, made.facts())
        self._checkpoint = made

    def _link_beginning(self, lines: list[bytes], before: str) -> None:
        facts = {"number": self._live.number, "file": before, "seq": self._links.seq, "hash": self._links.hash.decode()}
        ended = {"last": self._last} if self._last is not None else {}
        self._link(lines, CONTINUE, {**self.standing, "instance": self.instance, **facts, **ended})
        self._link_checkpoint(lines)
        self._live.before = None

    def _link_end(self, lines: list[bytes]) -> None:
        self._last = self._links.time
        self._link_checkpoint(lines)
        self._link(lines, ROTATE, {"file": self._live.closed_name, "number": self._live.number})
        self._turning = True

    def _write(self) -> None:
        """Write what is linked, and do what is to be done behind it. After an OSError, go on from where it was."""
        while self._unwritten:
            self._unwritten = self._unwritten[self._live.write(self._unwritten) :]
        if self._fsync or self._checkpoint is not None:
            self._live.sync()
        self._length, self._head = self._links.seq, self._links.hash
        if self._checkpoint is not None:
            self._publish(self._checkpoint)
            self._checkpoint = None
        if self._turning:
            self._live.rotate()
            self._turning, self._carried = False, 0

    def _publish(self, made: Checkpoint) -> None:
        if self._heads is not None:
            self._heads(made)
        if self._check is not None:
            self._check.reach(made.seq, made.head.encode(), in_place=self._live.in_place)
