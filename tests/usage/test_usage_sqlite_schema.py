"""A ledger of schema 1 becomes one of schema 2 when it is opened for writing: all of it or nothing."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from usage_world import PRINT, rows_of, sqlite_ledger

from guard.usage.ledger import Growth, LedgerError, LedgerMismatch, Scope, Totals
from guard.usage.stores.sqlite_schema import APPLICATION, SCHEMA

OCTOBER, QWEN, KIMI = Scope("2026-10", "qwen"), Scope("2026-11", "qwen"), Scope("2026-11", "kimi")
OLD = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE scopes (
        id INTEGER PRIMARY KEY, period TEXT NOT NULL, license TEXT NOT NULL,
        users INTEGER NOT NULL DEFAULT 0, unidentified INTEGER NOT NULL DEFAULT 0, UNIQUE (period, license))""",
    """CREATE TABLE sightings (
        scope INTEGER NOT NULL, user INTEGER NOT NULL, PRIMARY KEY (scope, user)) WITHOUT ROWID""",
    f"INSERT INTO meta VALUES ('schema', '1'), ('key', '{PRINT}'), ('zone', 'Europe/Berlin')",
    "INSERT INTO scopes VALUES (1, '2026-10', 'qwen', 2, 0), (2, '2026-11', 'qwen', 3, 4), (3, '2026-11', 'kimi', 0, 5)",
    "INSERT INTO sightings VALUES (1, -7), (1, 8), (2, 1), (2, 2), (2, -7)",
)


def old_ledger(directory, *more, statements=OLD):
    with closing(sqlite3.connect(directory / "ledger.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        for statement in (*statements, *more):
            connection.execute(statement)


def schema_in(directory):
    with closing(sqlite3.connect(directory / "ledger.db")) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master").fetchall())


def test_nothing_that_was_counted_is_lost(tmp_path):
    old_ledger(tmp_path)
    before = rows_of(tmp_path)
    for _ in range(2):
        ledger = sqlite_ledger(tmp_path)
        assert ledger.totals("2026-10") == {"qwen": Totals(2, 0, 2, 2)}
        assert ledger.totals("2026-11") == {"qwen": Totals(3, 4, 3, 3), "kimi": Totals(0, 5, 0, 0)}
        assert ledger.zone() == "Europe/Berlin"
        assert [ledger.key_of(month) for month in ("2026-09", "2026-10", "2026-11")] == [None, PRINT, PRINT]
        assert ledger.periods() == ["2026-10", "2026-11"]
        ledger.close()
    assert rows_of(tmp_path) == before


def test_it_goes_on_counting(tmp_path):
    old_ledger(tmp_path)
    ledger = sqlite_ledger(tmp_path)
    written = ledger.write({QWEN: [2, 8, 9]}, {QWEN: 3}, owner="gateway-1", day="2026-11-22")
    assert written == {QWEN: (2, Totals(5, 7, 5, 5))}
    assert ledger.growth("qwen", "2026-11") == [Growth("2026-11-22", 1, 1)]
    assert ledger.write({}, {QWEN: 6}, owner="", day=None) == {QWEN: (0, Totals(5, 9, 5, 5))}
    with pytest.raises(LedgerMismatch, match="2026-11 was counted under key"):
        ledger.claim_key("2026-11", "f" * 16)
    ledger.claim_key("2026-12", "f" * 16)
    ledger.forget(OCTOBER)
    assert ledger.totals("2026-10") == {"qwen": Totals(2, 0, 2, 2)}
    ledger.close()


def test_it_has_the_tables_of_a_new_one(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old_ledger(tmp_path / "old")
    for name in ("old", "new"):
        sqlite_ledger(tmp_path / name).close()
    assert schema_in(tmp_path / "old") == schema_in(tmp_path / "new")


def test_a_migration_that_fails_changes_nothing(tmp_path):
    old_ledger(tmp_path, "CREATE TABLE declarations (somebody TEXT)")
    before = schema_in(tmp_path)
    with pytest.raises(LedgerError, match="declarations already exists"):
        sqlite_ledger(tmp_path)
    assert schema_in(tmp_path) == before
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert dict(connection.execute("SELECT * FROM meta").fetchall()) == {
            "schema": "1", "key": PRINT, "zone": "Europe/Berlin"
        }  # fmt: skip


def test_a_process_killed_before_it_had_named_its_schema_left_schema_1(tmp_path):
    old_ledger(tmp_path, statements=OLD[:3])
    ledger = sqlite_ledger(tmp_path)
    assert ledger.write({QWEN: [1]}, {}, owner="gateway-1", day=None) == {QWEN: (1, Totals(1, 0, 1, 1))}
    ledger.close()


def test_reading_migrates_nothing(tmp_path):
    old_ledger(tmp_path)
    before = schema_in(tmp_path)
    with pytest.raises(LedgerMismatch, match="schema 1; allowed: schema 2; a gateway of this version brings it up"):
        sqlite_ledger(tmp_path, read_only=True)
    assert schema_in(tmp_path) == before


def test_processes_that_start_together_migrate_it_once(tmp_path):
    old_ledger(tmp_path)
    barrier = threading.Barrier(4)

    def work(number):
        barrier.wait()
        ledger = sqlite_ledger(tmp_path)
        written = ledger.write({KIMI: [number]}, {}, owner=f"gateway-{number}", day=None)
        ledger.close()
        return written[KIMI].new

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [1, 1, 1, 1]
    ledger = sqlite_ledger(tmp_path)
    assert ledger.totals("2026-11") == {"qwen": Totals(3, 4, 3, 3), "kimi": Totals(4, 5, 4, 4)}
    ledger.close()


def test_a_gateway_of_the_version_before_may_end_its_work_beside_this_one(tmp_path):
    """What it executes per write, on the file as it is now: rolling updates share the file for a moment."""
    old_ledger(tmp_path)
    ledger = sqlite_ledger(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as old:
        old.execute("INSERT OR IGNORE INTO sightings VALUES (?, ?)", (2, 77))
        old.execute("UPDATE scopes SET users = users + 1, unidentified = unidentified + 2 WHERE id = 2")
    assert ledger.write({QWEN: [77, 78]}, {QWEN: 1}, owner="gateway-1", day=None) == {QWEN: (1, Totals(5, 7, 5, 5))}
    ledger.close()


def test_the_schema_it_makes_is_the_one_it_reads(tmp_path):
    sqlite_ledger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == (SCHEMA,)
