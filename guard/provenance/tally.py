"""Counts what one process answers, in memory and in the page beside the segment that it writes.

The page is mapped shared, so what was stored survives kill -9 without a system call. See guard.provenance.counts for
what the numbers mean to a reader and why they are stored in this order.
"""

import errno
import fcntl
import mmap
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

from guard.provenance.counts import ANSWERED, BEGUN, DROPPED, ENDED, LAYOUT, SETTLED, WRITTEN, counts_path
from guard.provenance.segment import Totals, boot_id, read_begin

PAGE = 4096
"""Bytes of the file; they are written before they are mapped, because a store into a hole needs room on the disk."""


class Tally:
    """Exchanges and choices since the process began; every method may be called from any thread."""

    def __init__(self) -> None:
        self.answered = self.written = self.dropped = 0
        """Choices handed over, in the index, and left out; the others are waiting."""
        self._lock = Lock()
        self._page = memoryview(bytearray(PAGE)).cast("Q")

    @property
    def waiting(self) -> int:
        """Choices handed over, neither written nor dropped."""
        return self.answered - self.written - self.dropped

    @property
    def open(self) -> int:
        """Exchanges that began and have not ended."""
        return self._page[BEGUN] - self._page[ENDED]

    @property
    def used(self) -> bool:
        """True if a choice was written or dropped since the segment began."""
        return bool(self._page[WRITTEN] or self._page[DROPPED])

    def begin(self) -> None:
        """Count an exchange; call before its first byte leaves."""
        with self._lock:
            self._page[BEGUN] += 1

    def end(self) -> None:
        """Count the end of an exchange; call when all its choices were counted as answered."""
        with self._lock:
            self._page[ENDED] += 1

    def answer(self, count: int = 1) -> None:
        """Count choices that were handed over."""
        with self._lock:
            self.answered += count
            self._page[ANSWERED] += count

    def write(self, count: int) -> None:
        """Count choices that are in the segment now."""
        with self._lock:
            self.written += count
            self._page[WRITTEN] += count

    def drop(self, count: int = 1) -> None:
        """Count choices that were left out."""
        with self._lock:
            self.dropped += count
            self._page[DROPPED] += count

    def totals(self, written: int = 0, *, over: bool = False) -> Totals:
        """Return the counts of the segment, with ``written`` choices that are about to be in it.

        Choices that wait are among them unless it is ``over``: they will be counted in the next one.
        """
        with self._lock:
            done, dropped = self._page[WRITTEN] + written, self._page[DROPPED]
            return Totals(done + dropped if over else self._page[ANSWERED], done, dropped)

    def move(self, segment: Path) -> Totals:
        """Count beside ``segment`` from now on; what is open or waits counts there and no more in the one before.

        Return the totals of the one before. Raises OSError, and everything stays as it is.
        """
        page = _map(counts_path(segment))
        with self._lock:
            old, self._page = self._page, page
            page[BEGUN] = old[BEGUN] - old[ENDED]
            page[ANSWERED] = self.waiting
            old[ENDED] = old[BEGUN]
            old[ANSWERED] = old[WRITTEN] + old[DROPPED]
            return Totals(old[ANSWERED], old[WRITTEN], old[DROPPED])


def settle(segment: Path) -> bool:
    """Put the counts of a killed writer on the medium, its segment first, and mark them; True if that was done.

    Then they hold for ever, and not only in this boot of the machine. Nothing is done while its writer lives, in
    another boot than its own, or twice. Raises OSError.
    """
    begin = read_begin(segment)
    if begin is None or begin.boot != boot_id():
        return False
    with segment.open("rb") as data, counts_path(segment).open("r+b") as counts:
        try:
            fcntl.flock(data, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        counts.seek(LAYOUT.size)
        if counts.read(len(SETTLED)) == SETTLED:
            return False
        os.fsync(data.fileno())
        os.fsync(counts.fileno())
        counts.seek(LAYOUT.size)
        counts.write(SETTLED)
        counts.flush()
        os.fsync(counts.fileno())
    return True


def forget(segment: Path) -> None:
    """Remove the counts beside a segment that was ended: it says all of this itself."""
    with suppress(OSError):
        counts_path(segment).unlink()


def _map(path: Path) -> memoryview:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(file, bytes(PAGE)) < PAGE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return memoryview(mmap.mmap(file, PAGE)).cast("Q")
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(file)
