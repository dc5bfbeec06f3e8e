"""A ledger in memory that can fail, and a small world of counters on real spools and SQLite files."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from guard.usage.counter import UsageCounter
from guard.usage.ledger import LedgerUnavailable, Totals, Written, open_ledger, sqlite_url
from guard.usage.period import Calendar
from guard.usage.spool import Spool
from guard.usage.thresholds import Limit

PRINT = "00112233aabbccdd"
NOVEMBER = datetime(2026, 11, 15, tzinfo=UTC).timestamp()
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


class MemoryLedger:
    """A Ledger whose rows a test can look at and whose failures it can choose."""

    def __init__(self):
        self.key_fingerprint = PRINT
        self.survives_power_loss = True
        self.rows: dict[tuple[str, str], set[int]] = {}
        self.anonymous: dict[tuple[str, str], int] = {}
        self.down = self.unreadable = False
        self.writes = 0
        self.during_write = None
        self._zone = None

    def _reach(self, down):
        if down:
            raise LedgerUnavailable("the ledger is away")

    def bind(self, zone):
        self._reach(self.down)
        self._zone = zone

    def zone(self):
        return self._zone

    def write(self, sightings, unidentified):
        self._reach(self.down)
        self.writes += 1
        written = {}
        for scope in dict.fromkeys((*sightings, *unidentified)):
            rows = self.rows.setdefault(scope, set())
            before = len(rows)
            rows.update(sightings.get(scope, ()))
            self.anonymous[scope] = self.anonymous.get(scope, 0) + unidentified.get(scope, 0)
            written[scope] = Written(len(rows) - before, len(rows), self.anonymous[scope])
        if self.during_write:
            self.during_write()
        return written

    def totals(self, period):
        self._reach(self.unreadable)
        scopes = [scope for scope in self.rows if scope[0] == period]
        return {scope[1]: Totals(len(self.rows[scope]), self.anonymous.get(scope, 0)) for scope in scopes}

    def users(self, scope):
        self._reach(self.unreadable)
        return len(self.rows.get(scope, ()))

    def contains(self, scope, user):
        self._reach(self.unreadable)
        return user in self.rows.get(scope, ())

    def periods(self):
        return sorted({scope[0] for scope in self.rows})

    def close(self):
        pass


def counter_on(ledger, directory: Path, *, now=NOVEMBER, **options) -> UsageCounter:
    zone = options.pop("zone", "UTC")
    seen = options.pop("seen_capacity", 1000)
    spool = Spool(directory, ledger.key_fingerprint, **options)
    return UsageCounter(ledger, spool, Calendar(zone), seen_capacity=seen, clock=lambda: now)


def abandon(counter: UsageCounter) -> None:
    """Leave ``counter`` as kill -9 leaves it: its locks are gone, its files stay."""
    for segment in counter._spool._segments:
        segment.close()
    counter._spool._segments.clear()


def sqlite_ledger(directory: Path, **query):
    url = sqlite_url(directory / "ledger.db")
    return open_ledger(url + ("?synchronous=full" if query.get("full") else ""), PRINT)


def rows_of(directory: Path) -> list[tuple[str, str, int]]:
    connection = sqlite3.connect(directory / "ledger.db")
    try:
        return connection.execute("SELECT period, license, user FROM sightings JOIN scopes ON scope = id").fetchall()
    finally:
        connection.close()


def totals_of(directory: Path) -> dict[tuple[str, str], int]:
    connection = sqlite3.connect(directory / "ledger.db")
    try:
        return {(p, n): users for p, n, users in connection.execute("SELECT period, license, users FROM scopes")}
    finally:
        connection.close()


def limit(allowed: int, *, license="qwen", standing=True, id="mau"):
    return Limit(license, id, allowed, exclusive=False, standing=standing, clause="4", consequence="separate_agreement")
