"""Profiles in one SQLite file, for the processes of one gateway.

    states  name, revision, step, seen, data      a profile or the cohort
    crowd   (day, template, identity)             which identities had a template with an intent on a day

What is lost here is a memory of behavior, no count and no evidence: commits are not synced to the disk.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from guard.behavior.ladder import Step
from guard.behavior.store import Change, Row, StoreUnavailable

APPLICATION, SCHEMA = 0x67726432, 1
"""``PRAGMA application_id`` ("grd2") and ``user_version`` of the file."""
PATIENCE = 5.0
"""Seconds that a write waits for another process's transaction."""
PAGE = 500
_TABLES = (
    """CREATE TABLE IF NOT EXISTS states (
        name TEXT PRIMARY KEY, revision INTEGER NOT NULL, step INTEGER NOT NULL, seen REAL NOT NULL,
        data BLOB NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS standing ON states (step) WHERE step > 0",
    "CREATE INDEX IF NOT EXISTS seen ON states (seen)",
    """CREATE TABLE IF NOT EXISTS crowd (
        day TEXT NOT NULL, template INTEGER NOT NULL, identity TEXT NOT NULL,
        PRIMARY KEY (day, template, identity)) WITHOUT ROWID""",
)


class SqliteStore:
    """A Store in the file ``path``, made with mode 0600 at the first question (see guard.behavior.store.Store)."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def read(self, names: Sequence[str]) -> Mapping[str, Row]:
        """Return rows (see Store)."""
        found: dict[str, Row] = {}
        with self._asking() as connection:
            for at in range(0, len(names), PAGE):
                page = names[at : at + PAGE]
                marks = ",".join("?" * len(page))
                rows = connection.execute(f"SELECT name, revision, data FROM states WHERE name IN ({marks})", page)  # noqa: S608 - question marks
                found.update((name, Row(revision, data)) for name, revision, data in rows)
        return found

    def write(self, changes: Sequence[Change]) -> Sequence[str]:
        """Write rows in one transaction (see Store)."""
        late = []
        with self._writing() as connection:
            for name, revision, data, step, seen in changes:
                if revision:
                    changed = connection.execute(
                        "UPDATE states SET revision = revision + 1, step = ?, seen = ?, data = ? "
                        "WHERE name = ? AND revision = ?",
                        (int(step), seen, data, name, revision),
                    )
                else:
                    changed = connection.execute(
                        "INSERT OR IGNORE INTO states VALUES (?, 1, ?, ?, ?)", (name, int(step), seen, data)
                    )
                if not changed.rowcount:
                    late.append(name)
        return late

    def standing(self) -> Mapping[str, Step]:
        """Return who is above the first step (see Store)."""
        with self._asking() as connection:
            return {
                name: Step(step) for name, step in connection.execute("SELECT name, step FROM states WHERE step > 0")
            }

    def saw(self, day: str, sightings: Iterable[tuple[int, str]]) -> Sequence[int]:
        """Note templates (see Store)."""
        with self._writing() as connection:
            counts = []
            for template, identity in sightings:
                connection.execute("INSERT OR IGNORE INTO crowd VALUES (?, ?, ?)", (day, template, identity))
                (count,) = connection.execute(
                    "SELECT count(*) FROM crowd WHERE day = ? AND template = ?", (day, template)
                ).fetchone()
                counts.append(count)
            return counts

    def forget(self, before: float, day: str) -> None:
        """Drop what is old (see Store)."""
        with self._writing() as connection:
            connection.execute("DELETE FROM states WHERE seen < ?", (before,))
            connection.execute("DELETE FROM crowd WHERE day < ?", (day,))

    def close(self) -> None:
        """Close the file (see Store)."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = self._open()
                yield self._connection
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"behavior {self.path}: {error}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._asking() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a failed COMMIT may have rolled back already
                    connection.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        mode = "ro" if self._read_only else "rw"
        if not self._read_only:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            f"file:{quote(str(self.path.absolute()))}?mode={mode}", uri=True, timeout=PATIENCE, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        try:
            (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            if objects and (application, schema) != (APPLICATION, SCHEMA):
                raise StoreUnavailable(f"behavior {self.path}: not Guard's own; allowed: its file, or none yet")
            if not self._read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection
