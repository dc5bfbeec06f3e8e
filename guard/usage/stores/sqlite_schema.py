"""The tables of an embedded ledger, and how a file of the schema before becomes one of this.

    meta          name, value                                        schema, zone
    keys          month, fingerprint                                 the pseudonym key of each month
    scopes        id, period, license, users, unidentified, forgotten
                  the totals, kept in the transaction that changes them
    sightings     (scope, user) WITHOUT ROWID                        about 19 bytes a user; of a forgotten scope those
                                                                     who were late for it
    unidentified  (scope, owner), requests                           what each owner stated last
    growth        (scope, day), users, came_back                     first sights of a month by day
    claims        (scope, owner), places, expires                    places under a limit
    merges        (target, source)                                   merged for good
    declarations  (period, license, source), fields                  numbers from outside, as JSON

Schema 1 had one key for the whole ledger, as ``key`` in ``meta``, and of the tables only meta, scopes and sightings.
"""

import sqlite3

from guard.usage.ledger import LedgerError, LedgerMismatch

SCHEMA = "2"
APPLICATION = 0x67726431
"""``PRAGMA application_id`` of a ledger: "grd1"."""

_FIRST = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE scopes (
        id INTEGER PRIMARY KEY, period TEXT NOT NULL, license TEXT NOT NULL,
        users INTEGER NOT NULL DEFAULT 0, unidentified INTEGER NOT NULL DEFAULT 0, UNIQUE (period, license))""",
    """CREATE TABLE sightings (
        scope INTEGER NOT NULL, user INTEGER NOT NULL, PRIMARY KEY (scope, user)) WITHOUT ROWID""",
)
_SECOND = (
    "ALTER TABLE scopes ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE keys (month TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE unidentified (
        scope INTEGER NOT NULL, owner TEXT NOT NULL, requests INTEGER NOT NULL,
        PRIMARY KEY (scope, owner)) WITHOUT ROWID""",
    """CREATE TABLE growth (
        scope INTEGER NOT NULL, day TEXT NOT NULL, users INTEGER NOT NULL, came_back INTEGER,
        PRIMARY KEY (scope, day)) WITHOUT ROWID""",
    """CREATE TABLE claims (
        scope INTEGER NOT NULL, owner TEXT NOT NULL, places INTEGER NOT NULL, expires REAL NOT NULL,
        PRIMARY KEY (scope, owner)) WITHOUT ROWID""",
    """CREATE TABLE merges (
        target INTEGER NOT NULL, source INTEGER NOT NULL, PRIMARY KEY (target, source)) WITHOUT ROWID""",
    """CREATE TABLE declarations (
        period TEXT NOT NULL, license TEXT NOT NULL, source TEXT NOT NULL, fields TEXT NOT NULL,
        PRIMARY KEY (period, license, source)) WITHOUT ROWID""",
    "INSERT INTO keys SELECT DISTINCT substr(period, 1, 7), value FROM scopes, meta WHERE name = 'key'",
    "INSERT INTO unidentified SELECT id, '', unidentified FROM scopes WHERE unidentified",
    "DELETE FROM meta WHERE name = 'key'",
    "INSERT OR REPLACE INTO meta VALUES ('schema', '2')",
)


def schema_of(connection: sqlite3.Connection, path: str) -> str | None:
    """Return the schema of the ledger in the file, None if the file is empty.

    Nothing is changed. Raises LedgerError for a file of another application and sqlite3.Error for no SQLite file.
    """
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not objects:
        return None
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise LedgerError(f"ledger {path}: an SQLite file of another application; allowed: one of Guard, or none yet")
    row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    return str(row[0]) if row else "1"  # schema 1 was named only after its tables were made


def check_schema(connection: sqlite3.Connection, path: str) -> None:
    """Return if the file is of this schema. Raises LedgerMismatch for another, else as ``schema_of``."""
    found = schema_of(connection, path)
    if found != SCHEMA:
        hint = "; a gateway of this version brings it up to date when it starts" if found in {None, "1"} else ""
        raise LedgerMismatch(f"ledger {path}: schema {found or 'missing'}; allowed: schema {SCHEMA}{hint}")


def bring_up_to_date(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables in an empty file, or turn schema 1 into this one, whatever its size in the same time.

    To be called in a write transaction. Raises as ``check_schema``.
    """
    found = schema_of(connection, path)
    if found is None:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        for statement in _FIRST:
            connection.execute(statement)
    if found in {None, "1"}:
        for statement in _SECOND:
            connection.execute(statement)
    check_schema(connection, path)
