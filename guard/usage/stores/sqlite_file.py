"""The file of an embedded ledger: its connections and transactions, and whether it still is the one opened."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from guard.usage.address import LedgerAbsent
from guard.usage.ledger import LedgerError, LedgerUnavailable
from guard.usage.stores.sqlite_schema import SCHEMA, bring_up_to_date, check_schema, schema_of

WRITE_PATIENCE = 5.0
"""Seconds that a write waits for another process's transaction."""
READ_PATIENCE = 0.05
"""Seconds that a read waits; in WAL mode only the recovery after a crash makes readers wait at all."""
PAUSE = 0.02
"""Seconds that work in many transactions leaves the file to others after each."""


class LedgerFile:
    """An SQLite file in WAL mode with one connection that writes and one that reads, each under a lock of its own.

    A missing file is made, with mode 0600, and one of an older schema is brought up to date; with ``read_only``
    neither. Commits survive kill -9 of every process (synchronous=NORMAL); with ``survives_power_loss`` each is synced
    to the medium (synchronous=FULL). The writing connection has a temporary table ``batch (user)``.

    Raises LedgerError for a file that cannot be used, with ``read_only`` LedgerAbsent for one that is not there.
    """

    def __init__(
        self, path: str, *, read_only: bool, survives_power_loss: bool, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.path = path
        self._sleep = sleep
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        try:
            if read_only:
                _must_exist(path)
            else:
                self._open_writer(survives_power_loss)
            self._reader = _connect(path, "ro", READ_PATIENCE)
            check_schema(self._reader, path)
            self._identity = _identity(path)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise LedgerError(f"ledger {path}: {error}; allowed: a ledger of Guard on a writable local disk") from error
        except LedgerError:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Enter with the connection that reads. Raises LedgerUnavailable."""
        with self._guarded(), self._read_lock:
            assert self._reader is not None
            yield self._reader

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Enter with one write transaction, committed at the end. Raises LedgerUnavailable: then nothing changed."""
        if self._writer is None:
            raise LedgerUnavailable(f"ledger {self.path}: opened for reading only")
        with self._guarded(), self._write_lock, _transaction(self._writer):
            yield self._writer

    def give_way(self) -> None:
        """Let others write between two transactions of one long piece of work: SQLite's lock is not a fair one."""
        self._sleep(PAUSE)

    def close(self) -> None:
        """Close the file; the last connection of the last process folds the write-ahead log into it."""
        with self._write_lock, self._read_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()

    def _open_writer(self, survives_power_loss: bool) -> None:
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self._writer = connection = _connect(self.path, "rw", WRITE_PATIENCE)
        schema = schema_of(connection, self.path)  # before anything changes a file that may be another's
        for attempt in range(100):  # the switch to WAL ignores the busy timeout when processes start together
            try:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                break
            except sqlite3.OperationalError as error:
                if attempt == 99 or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                self._sleep(0.05)
        if mode != "wal":
            raise LedgerError(f"ledger {self.path}: this file system refuses SQLite's WAL mode; allowed: a local disk")
        connection.execute(f"PRAGMA synchronous = {'FULL' if survives_power_loss else 'NORMAL'}")
        connection.execute("PRAGMA cache_size = -8000")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA main.secure_delete = ON")  # who is forgotten is not left in unused pages
        if schema != SCHEMA:
            with _transaction(connection):
                bring_up_to_date(connection, self.path)
        connection.execute("CREATE TEMP TABLE batch (user INTEGER PRIMARY KEY)")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            if (now := _identity(self.path)) != self._identity:
                raise LedgerUnavailable(f"ledger {self.path}: the open file {self._identity} was replaced by {now}")
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailable(f"ledger {self.path}: {error}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a failed COMMIT may have rolled back already
            connection.execute("ROLLBACK")
        raise


def _connect(path: str, mode: str, patience: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(path)}?mode={mode}", uri=True, timeout=patience, isolation_level=None, check_same_thread=False
    )


def _must_exist(path: str) -> None:
    try:
        _identity(path)
    except FileNotFoundError as error:
        raise LedgerAbsent(f"there is no ledger at {path} yet") from error


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  (once a transaction; Path would cost more than the call)
    return status.st_dev, status.st_ino
