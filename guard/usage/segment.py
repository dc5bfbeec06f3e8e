"""One spool segment: a file of fixed-size, checksummed sighting records under a header that names their scopes.

    header   magic (8 bytes), length of the JSON (4), JSON {"keys": {month: fingerprint}, "opened", "scopes": [[period,
             license], ...]}, CRC-32
    record   index into the scopes (4 bytes), pseudonym (8), CRC-32 over both, seeded with the header's CRC-32 (4)

Little-endian. The header's CRC in the record's makes a record valid in its own segment only. The file is held by
``flock`` for as long as its process lives; it appears under its name (``*.seg``) complete and locked.
"""

import fcntl
import json
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self
from zlib import crc32

from guard.usage.ledger import Scope
from guard.usage.period import month_of

MAGIC = b"grdspool"
RECORD_BYTES = 16
_PREFIX = struct.Struct("<8sI")
_BODY = struct.Struct("<Iq")
_RECORD = struct.Struct("<IqI")
_MAX_HEADER = 1 << 20

WriteCall = Callable[[int, bytes], int]


class SpoolError(Exception):
    """A sighting could not be made durable (disk full, no permission ...): the request must not be answered."""


class DamagedHeader(Exception):
    """A file in the spool directory that is no segment: its records cannot be told."""


class Batch(NamedTuple):
    """Records read from a segment, to be acknowledged once the ledger has them."""

    segment: "Segment"
    sightings: dict[Scope, list[int]]
    records: int
    """Records read, damaged ones included."""
    damaged: int
    """Records whose checksum is wrong; they were skipped."""
    oldest_left: float
    """No record that the batch leaves unread was written before (epoch seconds)."""


class Segment:
    """An open segment. The spool serializes ``append``; reading needs no lock."""

    __slots__ = (
        "_first",
        "_index",
        "_seed",
        "acknowledged",
        "adopted",
        "damaged",
        "fd",
        "keys",
        "oldest",
        "opened",
        "path",
        "scopes",
        "sealed",
        "written",
        "youngest",
    )

    def __init__(
        self, path: Path, fd: int, header: bytes, keys: Mapping[str, str], opened: float, scopes: Sequence[Scope]
    ) -> None:
        self.path = path
        self.fd = fd
        self.keys = keys
        """By month: the fingerprint of the key that its users are pseudonyms under."""
        self.opened = opened
        """Epoch seconds."""
        self.scopes = tuple(scopes)
        self.adopted = False
        """True if another process wrote it."""
        self.sealed = False
        """True once nothing may be appended any more."""
        self.oldest = self.youngest = opened
        """When the oldest record that is not acknowledged, and the last record, were written (epoch seconds)."""
        self.written = self.acknowledged = 0
        """Records."""
        self.damaged = 0
        self._first = len(header)
        self._seed = int.from_bytes(header[-4:], "little")
        self._index = {scope: number for number, scope in enumerate(self.scopes)}

    @classmethod
    def create(
        cls, path: Path, keys: Mapping[str, str], scopes: Sequence[Scope], now: float, *, sync: bool, write: WriteCall
    ) -> Self:
        """Return a new, locked segment under ``path``. Raises OSError."""
        text = json.dumps({"keys": keys, "opened": now, "scopes": scopes}, separators=(",", ":")).encode()
        header = _PREFIX.pack(MAGIC, len(text)) + text
        header += crc32(header).to_bytes(4, "little")
        draft = path.with_suffix(".draft")
        fd = os.open(draft, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if write(fd, header) != len(header):
                raise OSError("short write: disk full")
            if sync:
                os.fsync(fd)
            draft.rename(path)
            if sync:
                sync_directory(path.parent)
        except OSError:
            os.close(fd)
            with suppress(OSError):
                draft.unlink()
            raise
        return cls(path, fd, header, keys, now, scopes)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """Return the segment at ``path``, now locked and sealed, if the process that wrote it is gone; else None.

        A torn last record was never acknowledged to anybody and is not counted. Raises DamagedHeader, OSError.
        """
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink == 0:  # its process finished and deleted it between the two calls
                os.close(fd)
                return None
            segment = cls._read_header(path, fd)
        except BlockingIOError:
            os.close(fd)
            return None
        except (OSError, DamagedHeader):
            os.close(fd)
            raise
        segment.adopted = segment.sealed = True
        return segment

    @classmethod
    def peek(cls, path: Path) -> Self:
        """Return the segment at ``path`` for reading only, whoever holds it. Raises DamagedHeader, OSError."""
        fd = os.open(path, os.O_RDONLY)
        try:
            return cls._read_header(path, fd)
        except (OSError, DamagedHeader):
            os.close(fd)
            raise

    @classmethod
    def _read_header(cls, path: Path, fd: int) -> Self:
        prefix = os.pread(fd, _PREFIX.size, 0)
        if len(prefix) < _PREFIX.size or not prefix.startswith(MAGIC):
            raise DamagedHeader(f"{path}: no header of a spool segment")
        length = _PREFIX.unpack(prefix)[1]
        rest = os.pread(fd, min(length, _MAX_HEADER) + 4, _PREFIX.size)
        text, checksum = rest[:length], rest[length:]
        if len(rest) != length + 4 or crc32(prefix + text) != int.from_bytes(checksum, "little"):
            raise DamagedHeader(f"{path}: the header's checksum is wrong")
        fields = json.loads(text)
        scopes = [Scope(period, license_) for period, license_ in fields["scopes"]]
        keys = fields.get("keys") or {
            month_of(scope.period): fields["key"] for scope in scopes
        }  # as earlier versions wrote it
        segment = cls(path, fd, prefix + rest, keys, fields["opened"], scopes)
        segment.written = (os.fstat(fd).st_size - segment._first) // RECORD_BYTES
        return segment

    def knows(self, scopes: Sequence[Scope]) -> bool:
        """Return True if the header names all of ``scopes``."""
        return all(scope in self._index for scope in scopes)

    def append(self, scopes: Sequence[Scope], user: int, now: float, *, sync: bool, write: WriteCall) -> None:
        """Add one record per scope with one write; on return they survive kill -9 (with ``sync``, a power cut).

        Raises SpoolError: then the segment is as before, or sealed if even that could not be had.
        """
        data = b""
        for scope in scopes:
            body = _BODY.pack(self._index[scope], user)
            data += body + crc32(body, self._seed).to_bytes(4, "little")
        try:
            count = write(self.fd, data)
            if count != len(data):
                raise OSError(f"{count} of {len(data)} bytes written: disk full")
            if sync:
                self.sealed = True  # stays so if the next line raises: a later fdatasync would not tell of lost pages
                os.fdatasync(self.fd)
                self.sealed = False
            if os.fstat(self.fd).st_nlink == 0:
                self.sealed = True
                raise OSError("the file was removed, and nothing written to it is found again")
        except OSError as error:
            self._undo()
            raise SpoolError(f"usage spool {self.path}: {error}") from error
        if self.acknowledged == self.written:
            self.oldest = now
        self.youngest = now
        self.written += len(scopes)

    def _undo(self) -> None:
        # A part of a record would put every later one out of step.
        try:
            os.ftruncate(self.fd, self._first + self.written * RECORD_BYTES)
        except OSError:
            self.sealed = True

    def read(self, limit: int) -> Batch:
        """Return up to ``limit`` records after the acknowledged ones. Raises OSError."""
        return self.read_at(self.acknowledged, limit)

    def read_at(self, first: int, limit: int) -> Batch:
        """Return up to ``limit`` records from the one numbered ``first`` on. Raises OSError."""
        youngest, unread = self.youngest, self.written - first
        count = min(limit, unread)
        data = os.pread(self.fd, count * RECORD_BYTES, self._first + first * RECORD_BYTES)
        if len(data) < count * RECORD_BYTES:
            raise OSError(f"{self.path}: shorter than the {self.written} records written to it")
        sightings: dict[Scope, list[int]] = {}
        damaged, scopes, seed = 0, self.scopes, self._seed
        for position, (number, user, checksum) in enumerate(_RECORD.iter_unpack(data)):
            start = position * RECORD_BYTES
            if crc32(data[start : start + 12], seed) == checksum and number < len(scopes):
                sightings.setdefault(scopes[number], []).append(user)
            else:
                damaged += 1
        return Batch(self, sightings, count, damaged, youngest if count == unread else self.oldest)

    def acknowledge(self, batch: Batch) -> None:
        """The ledger has the records of ``batch``."""
        self.acknowledged += batch.records
        self.damaged += batch.damaged
        self.oldest = batch.oldest_left

    def close(self) -> None:
        """Give up the lock; a segment with records left is adopted by the next process that looks."""
        os.close(self.fd)


def sync_directory(path: Path) -> None:
    """Make the names in the directory ``path`` survive a power cut. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
