"""A ledger in memory that can fail, and a small world of counters on real spools and SQLite files."""

import sqlite3
import threading
from copy import copy
from datetime import UTC, datetime
from pathlib import Path

from guard.usage.address import open_ledger, sqlite_url
from guard.usage.counter import UsageCounter
from guard.usage.declaration import Declaration
from guard.usage.ledger import (
    LEASE_SECONDS,
    Claim,
    Growth,
    LedgerMismatch,
    LedgerUnavailable,
    Scope,
    Totals,
    Written,
)
from guard.usage.period import Calendar, Kind, kind_of, month_before
from guard.usage.spool import Spool
from guard.usage.thresholds import Limit

PRINT = "00112233aabbccdd"
NOVEMBER = datetime(2026, 11, 15, tzinfo=UTC).timestamp()
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


class MemoryLedger:
    """A Ledger whose rows a test can look at and whose failures it can choose."""

    exact = True
    survives_power_loss = True
    forgetful = False

    def __init__(self):
        self.rows: dict[tuple[str, str], set[int]] = {}
        """The users of each scope."""
        self.owners: dict[tuple[str, str], dict[str, int]] = {}
        """The unidentified requests of each scope by owner."""
        self.claims = 0
        """Calls of ``claim``."""
        self.writes = 0
        """Calls of ``write`` that reached it."""
        self.down = self.unreadable = self.read_only = False
        self.during_write = None
        self._lock = threading.RLock()
        self._facts: dict[tuple[str, ...], str] = {}
        self._kept: dict[tuple[str, str], int] = {}
        self._grown: dict[tuple[str, str], dict[str, list[int]]] = {}
        self._leases: dict[tuple[str, str], dict[str, tuple[int, float]]] = {}
        self._late: dict[tuple[str, str], set[int]] = {}
        self._merged: set[tuple[Scope, Scope]] = set()
        self._declared: dict[tuple[str, str, str], Declaration] = {}

    def handle(self, *, read_only=False):
        """Return another handle on the same store."""
        other = copy(self)
        other.read_only = read_only
        return other

    @property
    def anonymous(self) -> dict[tuple[str, str], int]:
        """The unidentified requests of each scope."""
        return {scope: sum(owners.values()) for scope, owners in self.owners.items()}

    def _change(self):
        if self.down or self.read_only:
            raise LedgerUnavailable("the ledger is " + ("opened for reading only" if self.read_only else "away"))

    def _read(self):
        if self.unreadable:
            raise LedgerUnavailable("the ledger is away")

    def _record(self, what, value):
        self._change()
        if (found := self._facts.setdefault(what, value)) != value:
            raise LedgerMismatch(f"the ledger was counted under {' '.join(what)} {found}, not {value}")

    def bind(self, zone):
        self._record(("zone",), zone)

    def zone(self):
        return self._facts.get(("zone",))

    def claim_key(self, month, fingerprint):
        self._record(("key", month), fingerprint)

    def key_of(self, month):
        self._read()
        return self._facts.get(("key", month))

    def write(self, sightings, unidentified, *, owner, day):
        self._change()
        with self._lock:
            self.writes += 1
            written = {}
            for scope in dict.fromkeys((*sightings, *unidentified)):
                new = self._insert(scope, set(sightings.get(scope, ())))
                if new and day is not None and kind_of(scope[0]) is Kind.MONTH:
                    there = self.rows.get((month_before(scope[0]), scope[1]), set())
                    grown = self._grown.setdefault(scope, {}).setdefault(day, [0, 0])
                    grown[0] += len(new - there)
                    grown[1] += len(new & there)
                if scope in unidentified:
                    self.owners.setdefault(scope, {})[owner] = unidentified[scope]
                written[scope] = Written(None if scope in self._kept else len(new), self._totals(scope))
        if self.during_write:
            self.during_write()
        return written

    def _insert(self, scope, users):
        """Return the users who were not there; who is late for a forgotten scope is one of its unidentified."""
        if scope in self._kept:
            self._late[scope] |= users
            return set()
        rows = self.rows.setdefault(scope, set())
        new = users - rows
        rows |= new
        return new

    def _totals(self, scope):
        users = self._kept.get(scope, len(self.rows.get(scope, ())))
        return Totals(users, self.anonymous.get(scope, 0) + len(self._late.get(scope, ())), users, users)

    def totals(self, period):
        self._read()
        with self._lock:
            names = [name for found, name in {**self.rows, **self.owners, **self._kept} if found == period]
            return {name: self._totals((period, name)) for name in names}

    def users(self, scope):
        self._read()
        return self._totals(scope).users

    def contains(self, scope, user):
        self._read()
        return user in self.rows.get(scope, ())

    def claim(self, scope, owner, *, need, extra, allowed, now):
        self.claims += 1
        self._change()
        self._read()
        with self._lock:
            leases = self._leases.setdefault(scope, {})
            leases.pop(owner, None)
            users = self._totals(scope).users
            room = max(allowed - users - sum(places for places, until in leases.values() if until > now), 0)
            granted = min(need, room)
            granted += min(extra, (room - granted) // 4)
            leases[owner] = (granted, now + LEASE_SECONDS)
            return Claim(granted, users)

    def merge(self, target, sources):
        self._change()
        with self._lock:
            for source in sources:
                if (target, source) not in self._merged:
                    self._merged.add((target, source))
                    self._insert(target, self.rows.get(source, set()))
                    self.owners.setdefault(target, {})[f"merged {source}"] = self._totals(source).unidentified

    def forget(self, scope):
        self._change()
        with self._lock:
            if scope in self.rows:
                self._kept[scope] = len(self.rows.pop(scope))
                self._late[scope] = set()

    def growth(self, license, month):
        self._read()
        keys = [self.key_of(each) for each in (month_before(month), month)]
        mixed = None not in keys and keys[0] != keys[1]
        grown = sorted(self._grown.get((month, license), {}).items())
        return [Growth(day, new + back, None) if mixed else Growth(day, new, back) for day, (new, back) in grown]

    def declare(self, declaration):
        self._change()
        self._declared[declaration.period, declaration.license, declaration.source] = declaration

    def declarations(self, period):
        self._read()
        return [each for key, each in sorted(self._declared.items()) if key[0] == period]

    def pseudonyms(self, scope):
        self._read()
        rows = list(self.rows.get(scope, ()))
        yield from (rows[start : start + 4096] for start in range(0, len(rows), 4096))

    def incarnation(self):
        self._read()
        return ""

    def periods(self):
        self._read()
        scopes = {**self.rows, **self.owners, **self._kept}
        return sorted({scope[0] for scope in scopes if any(self._totals(scope)[:2])})

    def close(self):
        pass


def counter_on(ledger, directory: Path, *, now=NOVEMBER, **options) -> UsageCounter:
    calendar = Calendar(options.pop("zone", "UTC"), options.pop("kinds", ()))
    seen = options.pop("seen_capacity", 1000)
    spool = Spool(directory, lambda month: PRINT, **options)
    return UsageCounter(ledger, spool, calendar, seen_capacity=seen, clock=lambda: now)


def abandon(counter: UsageCounter) -> None:
    """Leave ``counter`` as kill -9 leaves it: its locks are gone, its files stay."""
    for segment in counter._spool._segments:
        segment.close()
    counter._spool._segments.clear()


def sqlite_ledger(directory: Path, *, full=False, read_only=False):
    url = sqlite_url(directory / "ledger.db")
    return open_ledger(url + ("?synchronous=full" if full else ""), read_only=read_only)


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
