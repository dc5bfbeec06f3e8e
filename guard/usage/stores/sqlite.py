"""The embedded ledger: one SQLite file in WAL mode, exact, good for some 50 million users a month.

    meta       name, value                                 schema, key fingerprint, zone
    scopes     id, period, license, users, unidentified    the totals, kept in the transaction that changes them
    sightings  (scope, user) WITHOUT ROWID                 about 19 bytes a user

Commits survive kill -9 of every process (WAL, synchronous=NORMAL); with ``survives_power_loss`` each commit is synced
to the medium (synchronous=FULL).
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from guard.usage.ledger import LedgerError, LedgerMismatch, LedgerUnavailable, Scope, Totals, Written

SCHEMA = "1"
APPLICATION = 0x67726431
"""``PRAGMA application_id`` of a ledger: "grd1"."""
WRITE_PATIENCE = 5.0
"""Seconds that a write waits for another process's transaction."""
READ_PATIENCE = 0.05
"""Seconds that a read waits; in WAL mode only the recovery after a crash makes readers wait at all."""

_META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
_SCOPES = """
CREATE TABLE IF NOT EXISTS scopes (
    id INTEGER PRIMARY KEY, period TEXT NOT NULL, license TEXT NOT NULL,
    users INTEGER NOT NULL DEFAULT 0, unidentified INTEGER NOT NULL DEFAULT 0, UNIQUE (period, license))"""
_SIGHTINGS = """
CREATE TABLE IF NOT EXISTS sightings (
    scope INTEGER NOT NULL, user INTEGER NOT NULL, PRIMARY KEY (scope, user)) WITHOUT ROWID"""


class SqliteLedger:
    """A Ledger in one SQLite file (see guard.usage.ledger.Ledger and ``open_ledger`` for what it promises)."""

    def __init__(
        self,
        path: str,
        key_fingerprint: str | None,
        *,
        survives_power_loss: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self.survives_power_loss = survives_power_loss
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._ids: dict[Scope, int] = {}
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        try:
            if key_fingerprint is not None:
                self._open_writer(path, sleep)
                self._claim("schema", SCHEMA)
                self._claim("key", key_fingerprint)
            self._reader = _connect(path, "ro", READ_PATIENCE)
            if (schema := self._meta("schema")) != SCHEMA:
                raise LedgerMismatch(f"ledger {path}: schema {schema}; this version of Guard reads schema {SCHEMA}")
            self.key_fingerprint = self._meta("key") or ""
            self._file = _identity(path)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise LedgerError(f"ledger {path}: {error}; allowed: a ledger of Guard on a writable local disk") from error
        except LedgerError:
            self.close()
            raise

    def bind(self, zone: str) -> None:
        """Record the zone of the ledger's months. Raises LedgerMismatch for another, LedgerUnavailable."""
        with self._guarded():
            self._claim("zone", zone)

    def zone(self) -> str | None:
        """Return the zone the ledger is bound to, None if it never was. Raises LedgerUnavailable."""
        with self._reading():
            return self._meta("zone")

    def write(
        self, sightings: Mapping[Scope, Collection[int]], unidentified: Mapping[Scope, int]
    ) -> Mapping[Scope, Written]:
        """Insert users and unidentified totals in one transaction. Raises LedgerUnavailable: then nothing changed."""
        written: dict[Scope, Written] = {}
        ids: dict[Scope, int] = {}
        with self._guarded(), self._write_lock, self._transaction() as connection:
            for scope in dict.fromkeys((*sightings, *unidentified)):
                ids[scope] = number = self._ids.get(scope) or _number(connection, scope)
                before = connection.total_changes
                connection.executemany(
                    "INSERT OR IGNORE INTO sightings VALUES (?, ?)",
                    [(number, user) for user in sorted(sightings.get(scope, ()))],
                )
                new = connection.total_changes - before
                users, anonymous = connection.execute(
                    "UPDATE scopes SET users = users + ?, unidentified = unidentified + ? WHERE id = ? "
                    "RETURNING users, unidentified",
                    (new, unidentified.get(scope, 0), number),
                ).fetchone()
                written[scope] = Written(new, users, anonymous)
        self._ids.update(ids)  # only after the commit: a rolled back scope has no number
        return written

    def totals(self, period: str) -> Mapping[str, Totals]:
        """Return the totals of ``period`` by license. Raises LedgerUnavailable."""
        with self._reading() as connection:
            rows = connection.execute("SELECT license, users, unidentified FROM scopes WHERE period = ?", (period,))
            return {name: Totals(users, unidentified) for name, users, unidentified in rows}

    def users(self, scope: Scope) -> int:
        """Return the number of distinct users in ``scope``. Raises LedgerUnavailable."""
        with self._reading() as connection:
            row = connection.execute("SELECT users FROM scopes WHERE period = ? AND license = ?", scope).fetchone()
            return int(row[0]) if row else 0

    def contains(self, scope: Scope, user: int) -> bool:
        """Return True if ``user`` is counted in ``scope``. Raises LedgerUnavailable."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM scopes JOIN sightings ON scope = id WHERE period = ? AND license = ? AND user = ?",
                (*scope, user),
            ).fetchone()
            return row is not None

    def periods(self) -> list[str]:
        """Return the periods with any count, oldest first. Raises LedgerUnavailable."""
        with self._reading() as connection:
            return [period for (period,) in connection.execute("SELECT DISTINCT period FROM scopes ORDER BY period")]

    def close(self) -> None:
        """Close the file; the last connection of the last process folds the write-ahead log into it."""
        with self._write_lock, self._read_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()

    def _open_writer(self, path: str, sleep: Callable[[float], None]) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._writer = connection = _connect(path, "rw", WRITE_PATIENCE)
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if objects and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise LedgerError(
                f"ledger {path}: an SQLite file of another application; allowed: one of Guard, or none yet"
            )
        for attempt in range(100):  # the switch to WAL ignores the busy timeout when processes start together
            try:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                break
            except sqlite3.OperationalError:
                if attempt == 99:
                    raise
                sleep(0.05)
        if mode != "wal":
            raise LedgerError(f"ledger {path}: this file system refuses SQLite's WAL mode; allowed: a local disk")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.survives_power_loss else 'NORMAL'}")
        connection.execute("PRAGMA cache_size = -8000")
        with self._transaction():
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            for statement in (_META, _SCOPES, _SIGHTINGS):
                connection.execute(statement)

    def _claim(self, name: str, value: str) -> None:
        with self._write_lock, self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
            (found,) = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        if found != value:
            raise LedgerMismatch(
                f"ledger {self.path}: it was counted under {name} {found} and refuses to mix that with {name} {value}; "
                f"allowed: the {name} it was counted under, or a ledger of its own for the new one"
            )

    def _meta(self, name: str) -> str | None:
        assert self._reader is not None
        row = self._reader.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            if (now := _identity(self.path)) != self._file:
                raise LedgerUnavailable(f"ledger {self.path}: the open file {self._file} was replaced by {now}")
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailable(f"ledger {self.path}: {error}") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._guarded(), self._read_lock:
            assert self._reader is not None
            yield self._reader

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._writer is None:
            raise LedgerUnavailable(f"ledger {self.path}: opened for reading only")
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer
            self._writer.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a failed COMMIT may have rolled back already
                self._writer.execute("ROLLBACK")
            raise


def _connect(path: str, mode: str, patience: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(path)}?mode={mode}", uri=True, timeout=patience, isolation_level=None, check_same_thread=False
    )


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  (once a transaction; Path would cost more than the call)
    return status.st_dev, status.st_ino


def _number(connection: sqlite3.Connection, scope: Scope) -> int:
    connection.execute("INSERT OR IGNORE INTO scopes (period, license) VALUES (?, ?)", scope)
    (number,) = connection.execute("SELECT id FROM scopes WHERE period = ? AND license = ?", scope).fetchone()
    return int(number)
