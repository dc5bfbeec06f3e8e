"""The spool: a directory of segments that holds every first sight until the ledger has it.

Each process appends to a segment of its own; several may share a directory. What a killed process leaves behind is
adopted by whoever looks next, and a segment is deleted only when the ledger has all of it, so a record reaches the
ledger at least once; the ledger ignores repetitions. One directory belongs to one ledger, on a local disk (``flock``).

A ledger that may forget what it acknowledged (a server restarted without its data) wants the sightings again: for it
finished segments are kept, as ``*.kept``, for as long as their periods run.
"""

import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from guard.usage.ledger import Scope
from guard.usage.memory import Memory
from guard.usage.period import month_of
from guard.usage.segment import RECORD_BYTES, Batch, DamagedHeader, Segment, SpoolError, WriteCall

__all__ = ["Leftover", "Spool", "SpoolError", "inspect"]

SEGMENT_BYTES = 4 * 1024 * 1024
SEGMENT_SECONDS = 60.0
KEPT_SECONDS = 3600.0
"""Seconds after which a segment is sealed where it is kept: some hundred files a month."""
_DRAFT_SECONDS = 60.0

log = logging.getLogger(__name__)


class Spool:
    """An open spool directory, created with mode 0700 if it is missing. Raises SpoolError if it cannot be used.

    ``fingerprint_of`` gives the fingerprint of the pseudonym key that users of a month (``2026-11``) are under.
    ``fsync``: every append waits for the medium (some milliseconds), so that sightings survive a power cut too.
    ``keep``: finished segments stay until ``discard``. ``write`` is ``os.write``; tests give one that fails.
    """

    def __init__(
        self,
        directory: Path | str,
        fingerprint_of: Callable[[str], str],
        *,
        fsync: bool = False,
        keep: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float | None = None,
        write: WriteCall = os.write,
    ) -> None:
        self.directory = Path(directory)
        self.fsync = fsync
        self.fingerprint_of = fingerprint_of
        self._keep = keep
        self.tag = "none"
        """Names the life of the ledger that acknowledges now; kept segments carry the one that has them."""
        self._capacity = max(1, segment_bytes // RECORD_BYTES)
        self._seconds = segment_seconds or (KEPT_SECONDS if keep else SEGMENT_SECONDS)
        self._write = write
        self._lock = threading.Lock()
        self._active: Segment | None = None
        self._segments: list[Segment] = []
        self._closed = False
        self._set_aside_records = 0
        self._known: tuple[Scope, ...] = ()
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SpoolError(f"usage spool {directory}: {error}; allowed: a writable local directory") from error
        self.probe()

    def probe(self) -> None:
        """Find out, by writing a file and deleting it, whether a sighting could be made durable. Raises SpoolError."""
        path = self.directory / f"{_name()}.probe"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                if self._write(fd, bytes(RECORD_BYTES)) != RECORD_BYTES:
                    raise OSError("short write: disk full")
            finally:
                os.close(fd)
                path.unlink()
        except OSError as error:
            raise SpoolError(f"usage spool {self.directory}: {error}; allowed: a writable local directory") from error

    def append(self, scopes: Sequence[Scope], user: int, now: float) -> None:
        """Make the sighting of ``user`` in ``scopes`` durable: one write. Raises SpoolError: then it is not counted."""
        with self._lock:
            segment = self._active
            if segment is None or segment.sealed or segment.written >= self._capacity or not segment.knows(scopes):
                segment = self._open_segment(scopes, now)
            segment.append(scopes, user, now, sync=self.fsync, write=self._write)

    def next_batch(self, limit: int) -> Batch | None:
        """Return up to ``limit`` unacknowledged records of one segment, oldest first, or None if there are none.

        Only one thread may be between ``next_batch`` and ``acknowledge``. Raises SpoolError if a segment cannot be
        read back.
        """
        with self._lock:
            segment = next((each for each in self._segments if each.acknowledged < each.written), None)
        if segment is None:
            return None
        try:
            return segment.read(limit)
        except OSError as error:
            with self._lock:  # the other segments are to have their turn before this one is tried again
                self._segments.remove(segment)
                self._segments.append(segment)
            raise SpoolError(f"usage spool {self.directory}: {error}") from error

    def acknowledge(self, batch: Batch) -> None:
        """The ledger has committed ``batch``; a sealed segment that it has wholly is deleted."""
        if batch.damaged:
            log.error("usage spool: %d damaged records skipped in %s", batch.damaged, batch.segment.path)
        with self._lock:
            batch.segment.acknowledge(batch)
            self._sweep()

    def adopt(self, now: float) -> None:
        """Take over the segments of processes that are gone; those of living processes are left alone.

        Raises SpoolError, after the rest is adopted, for segments that cannot be read or were written under another
        pseudonym key. For the one thread that reads batches.
        """
        problems: list[str] = []
        with self._lock:
            own = {segment.path for segment in self._segments}
        for path in sorted(self.directory.glob("*.seg")):
            if path in own:
                continue
            try:
                segment = Segment.adopt(path)
                if segment is None:
                    continue
            except DamagedHeader as error:
                log.error("usage spool: %s; set aside", error)  # noqa: TRY400  (expected: no traceback)
                self._set_aside(path, _records_in(path))
                continue
            except OSError as error:
                problems.append(str(error))
                continue
            other = [(month, key) for month, key in segment.keys.items() if key != self.fingerprint_of(month)]
            if other:
                segment.close()
                month, key = other[0]
                problems.append(
                    f"{path.name} was counted in {month} under pseudonym key {key} and is not mixed with key "
                    f"{self.fingerprint_of(month)}; allowed: the old key, or the file moved to where that key is used"
                )
                continue
            with self._lock:
                self._segments.insert(0, segment)
        for path in self.directory.glob("*.draft"):  # of a process killed before the segment got its name and records
            with suppress(OSError):
                if now - path.stat().st_mtime > _DRAFT_SECONDS:
                    path.unlink()
        with self._lock:
            self._sweep()
            self._set_aside_records = sum(_damaged_in(path) for path in self.directory.glob("*.damaged"))
        if problems:
            raise SpoolError(f"usage spool {self.directory}: {'; '.join(problems)}")

    def kept(self, limit: int) -> Iterator[Batch]:
        """Yield what another life of the ledger acknowledged (see ``tag``), in batches of up to ``limit`` records.

        Those of other processes in the directory too. A kept segment that was gone through has this life's tag. For the
        one thread that reads batches; nothing is to be acknowledged. Raises SpoolError.
        """
        try:
            for path in sorted(self.directory.glob("*.kept")):
                if path.suffixes[-2:-1] == [f".{self.tag}"]:
                    continue
                try:
                    segment = Segment.peek(path)
                except FileNotFoundError:  # a sibling discarded it, or went through it
                    continue
                except DamagedHeader as error:
                    log.error("usage spool: %s; what it held may be lost", error)  # noqa: TRY400  (expected)
                    continue
                try:
                    if any(key != self.fingerprint_of(month) for month, key in segment.keys.items()):
                        continue
                    for first in range(0, segment.written, limit):
                        yield segment.read_at(first, limit)
                    with suppress(FileNotFoundError):
                        path.rename(self._kept_name(path))
                finally:
                    segment.close()
        except OSError as error:
            raise SpoolError(f"usage spool {self.directory}: {error}") from error

    def acknowledged(self, limit: int) -> Iterator[Batch]:
        """Yield what the ledger acknowledged of the segments that this process still holds. Raises as ``kept``."""
        with self._lock:
            own = [(segment, segment.acknowledged) for segment in self._segments]
        try:
            for segment, acknowledged in own:
                for first in range(0, acknowledged, limit):
                    yield segment.read_at(first, min(limit, acknowledged - first))
        except OSError as error:
            raise SpoolError(f"usage spool {self.directory}: {error}") from error

    def _kept_name(self, path: Path) -> Path:
        return path.with_name(f"{path.name.partition('.')[0]}.{self.tag}.kept")

    def discard(self, before: float) -> None:
        """Delete kept segments whose last record was written before ``before`` (epoch seconds)."""
        for path in self.directory.glob("*.kept"):
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def rotate(self, now: float) -> None:
        """Seal the segment in use if it is old enough, so that it can be deleted."""
        with self._lock:
            active = self._active
            if active is not None and active.written and now - active.opened >= self._seconds:
                self._seal()
            self._sweep()

    def close(self) -> None:
        """Seal and let go of every segment; what the ledger does not have yet stays for the next process."""
        with self._lock:
            self._closed = True
            self._seal()
            self._sweep()
            for segment in self._segments:
                segment.close()
            self._segments.clear()

    @property
    def records(self) -> int:
        """Records that the ledger has not acknowledged yet, those adopted from other processes included."""
        with self._lock:
            return sum(segment.written - segment.acknowledged for segment in self._segments)

    @property
    def damaged_records(self) -> int:
        """Damaged records found, in segments and in files set aside (``*.damaged``): each may be a user not counted."""
        with self._lock:
            return self._set_aside_records + sum(segment.damaged for segment in self._segments)

    def oldest_seconds(self, now: float) -> float:
        """Return the age of the oldest unacknowledged record at ``now`` (epoch seconds); 0 if there is none."""
        with self._lock:
            ages = [now - segment.oldest for segment in self._segments if segment.acknowledged < segment.written]
        return max(0.0, *ages) if ages else 0.0

    def _open_segment(self, scopes: Sequence[Scope], now: float) -> Segment:
        if self._closed:
            raise SpoolError(f"usage spool {self.directory}: it is closed")
        path = self.directory / f"{_name()}.seg"
        try:
            named = _scopes(self._known, scopes)
            keys = {
                month: self.fingerprint_of(month) for month in dict.fromkeys(month_of(each.period) for each in named)
            }
            segment = Segment.create(path, keys, named, now, sync=self.fsync, write=self._write)
        except OSError as error:
            raise SpoolError(f"usage spool {self.directory}: {error}") from error
        self._seal()
        self._segments.append(segment)
        self._active, self._known = segment, segment.scopes
        return segment

    def _seal(self) -> None:
        if self._active is not None:
            self._active.sealed = True
            self._active = None

    def _sweep(self) -> None:
        for segment in [each for each in self._segments if each.sealed and each.acknowledged >= each.written]:
            try:
                if segment.damaged:
                    self._set_aside(segment.path, segment.damaged)
                elif self._keep:
                    segment.path.rename(self._kept_name(segment.path))
                else:
                    segment.path.unlink(missing_ok=True)
            except FileNotFoundError:
                log.error("usage spool: %s was removed by somebody else", segment.path)  # noqa: TRY400  (expected)
            except OSError as error:  # tried again with the next sweep; a repetition is harmless
                log.warning("usage spool: %s is done with but cannot be deleted: %s", segment.path, error)
                continue
            segment.close()
            self._segments.remove(segment)

    def _set_aside(self, path: Path, damaged: int) -> None:
        with suppress(FileNotFoundError):
            path.rename(path.with_suffix(f".{damaged}.damaged"))
            self._set_aside_records += damaged


class Leftover(NamedTuple):
    """What a look into a spool directory found that is on its way to the ledger, and what is remembered of that one."""

    sightings: dict[Scope, set[int]]
    damaged: int
    highest: Mapping[Scope, int]
    """The most users the ledger was seen with: where it has fewer, it lost some."""


def inspect(directory: Path, fingerprint_of: Callable[[str], str | None]) -> Leftover:
    """Return every sighting in the spool ``directory`` under the ledger's keys, touching nothing.

    ``fingerprint_of`` gives the key of a month in the ledger; None: it has none yet, and any is that month's. Sightings
    whose segment is still in use may be in the ledger already. Raises SpoolError.
    """
    sightings: dict[Scope, set[int]] = {}
    try:
        damaged = sum(_damaged_in(path) for path in directory.glob("*.damaged"))
        for path in sorted(directory.glob("*.seg")):
            try:
                segment = Segment.peek(path)
            except FileNotFoundError:  # its process has just deleted it: the ledger has it
                continue
            except DamagedHeader:
                damaged += _records_in(path)
                continue
            try:
                batch = segment.read(segment.written)
            finally:
                segment.close()
            if all(fingerprint_of(month) in {None, key} for month, key in segment.keys.items()):
                damaged += batch.damaged
                for scope, users in batch.sightings.items():
                    sightings.setdefault(scope, set()).update(users)
    except OSError as error:
        raise SpoolError(f"usage spool {directory}: {error}") from error
    return Leftover(sightings, damaged, Memory(directory).highest)


def _name() -> str:
    return f"{os.getpid()}-{secrets.token_hex(6)}"


def _records_in(path: Path) -> int:
    """Return how many records a file without a header may hold; 0 if a sibling has set it aside by now."""
    try:
        return max(1, path.stat().st_size // RECORD_BYTES)
    except FileNotFoundError:
        return 0


def _damaged_in(path: Path) -> int:
    count = path.suffixes[-2].lstrip(".") if len(path.suffixes) > 1 else ""
    return int(count) if count.isdigit() else 0


def _scopes(known: Sequence[Scope], wanted: Sequence[Scope]) -> list[Scope]:
    """Return the scopes of the next segment: those wanted, and those likely to come so that they cost no segment each.

    These are the known licenses in the periods of ``wanted``, and the period before (a late request of last month).
    """
    periods = dict.fromkeys(scope.period for scope in (*wanted, *known[:1]))
    licenses = dict.fromkeys(scope.license for scope in (*wanted, *known))
    return [Scope(period, name) for period in periods for name in licenses]
