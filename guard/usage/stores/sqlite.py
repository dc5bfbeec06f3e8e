"""The embedded ledger: one SQLite file, exact, good for some 50 million users a month (tables: ``sqlite_schema``)."""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from guard.usage.declaration import Declaration
from guard.usage.ledger import LEASE_SECONDS, Claim, Growth, LedgerMismatch, Scope, Totals, Written
from guard.usage.period import Kind, kind_of, month_before
from guard.usage.stores.sqlite_file import LedgerFile

PART = 50_000
"""Users that one transaction of ``merge`` and ``forget`` handles at most: it locks other writers out meanwhile."""
PAGE = 4096
"""Users that ``pseudonyms`` yields at a time."""
FIRST, LAST = -(2**63), 2**63 - 1


class _Row(NamedTuple):
    id: int
    forgotten: bool


class SqliteLedger:
    """A Ledger in one SQLite file (see guard.usage.ledger.Ledger and ``open_ledger`` for what it promises).

    A write is one transaction: if it raises LedgerUnavailable nothing changed. ``merge`` and ``forget`` are many, so
    that other processes write meanwhile; where they are interrupted, the next call goes on. The file does not shrink
    when users are forgotten: later ones take their room.
    """

    exact = True
    forgetful = False

    def __init__(
        self,
        path: str,
        *,
        read_only: bool = False,
        survives_power_loss: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self.survives_power_loss = survives_power_loss
        self._file = LedgerFile(path, read_only=read_only, survives_power_loss=survives_power_loss, sleep=sleep)

    def bind(self, zone: str) -> None:
        """Record the zone of the periods (see Ledger)."""
        with self._file.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('zone', ?)", (zone,))
            (found,) = connection.execute("SELECT value FROM meta WHERE name = 'zone'").fetchone()
        if found != zone:
            raise LedgerMismatch(
                f"ledger {self.path}: it was counted in zone {found} and refuses to mix that with zone {zone}; "
                "allowed: the zone it was counted in, or a ledger of its own for the new one"
            )

    def zone(self) -> str | None:
        """Return the zone of the periods (see Ledger)."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT value FROM meta WHERE name = 'zone'").fetchone()
            return row and str(row[0])

    def claim_key(self, month: str, fingerprint: str) -> None:
        """Record the key of ``month`` (see Ledger)."""
        with self._file.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (month, fingerprint))
            (found,) = connection.execute("SELECT fingerprint FROM keys WHERE month = ?", (month,)).fetchone()
        if found != fingerprint:
            raise LedgerMismatch(
                f"ledger {self.path}: {month} was counted under key {found} and refuses to mix that with key "
                f"{fingerprint}; allowed: the key it was counted under, or a ledger of its own for the new one"
            )

    def key_of(self, month: str) -> str | None:
        """Return the fingerprint of the key of ``month`` (see Ledger)."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT fingerprint FROM keys WHERE month = ?", (month,)).fetchone()
            return row and str(row[0])

    def write(
        self,
        sightings: Mapping[Scope, Collection[int]],
        unidentified: Mapping[Scope, int],
        *,
        owner: str,
        day: str | None,
    ) -> Mapping[Scope, Written]:
        """Insert users and set unidentified totals in one transaction (see Ledger)."""
        written: dict[Scope, Written] = {}
        batch: Collection[int] = ()
        with self._file.writing() as connection:
            connection.execute("DELETE FROM batch")
            for scope in dict.fromkeys((*sightings, *unidentified)):
                row, new, requests = _row(connection, scope), 0, 0
                if users := sightings.get(scope):
                    if users != batch:  # a month, a day and its windows are often given the same
                        _fill(connection, users)
                        batch = users
                    returning = _returning(connection, scope, row.id) if day and _grows(scope, row) else None
                    new = _insert(connection, row.id)
                    if new and day and _grows(scope, row):
                        _grow(connection, row.id, day, new, returning)
                if scope in unidentified:
                    requests = _restate(connection, row.id, owner, unidentified[scope])
                totals = _add(connection, row, new, requests)
                written[scope] = Written(None if row.forgotten else new, totals)
        return written

    def totals(self, period: str) -> Mapping[str, Totals]:
        """Return the totals of ``period`` by license (see Ledger)."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT license, users, unidentified FROM scopes WHERE period = ?", (period,))
            return {name: Totals(users, unidentified, users, users) for name, users, unidentified in rows}

    def users(self, scope: Scope) -> int:
        """Return the number of distinct users in ``scope`` (see Ledger)."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT users FROM scopes WHERE period = ? AND license = ?", scope).fetchone()
            return int(row[0]) if row else 0

    def contains(self, scope: Scope, user: int) -> bool:
        """Return True if ``user`` is counted in ``scope`` (see Ledger)."""
        with self._file.reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM scopes JOIN sightings ON scope = id "
                "WHERE period = ? AND license = ? AND user = ? AND NOT forgotten",
                (*scope, user),
            ).fetchone()
            return row is not None

    def claim(self, scope: Scope, owner: str, *, need: int, extra: int, allowed: int, now: float) -> Claim:
        """Let ``owner`` hold places for newcomers (see Ledger)."""
        with self._file.writing() as connection:
            number = _row(connection, scope).id
            connection.execute(
                "DELETE FROM claims WHERE scope = ? AND (owner = ? OR expires <= ?)", (number, owner, now)
            )
            users, held = connection.execute(
                "SELECT users, (SELECT coalesce(sum(places), 0) FROM claims WHERE scope = id) FROM scopes WHERE id = ?",
                (number,),
            ).fetchone()
            room = max(allowed - users - held, 0)
            granted = min(need, room)
            granted += min(extra, (room - granted) // 4)
            if granted:
                lease = (number, owner, granted, now + LEASE_SECONDS)
                connection.execute("INSERT INTO claims VALUES (?, ?, ?, ?)", lease)
            return Claim(granted, users)

    def merge(self, target: Scope, sources: Sequence[Scope]) -> None:
        """Add the users and unidentified totals of ``sources`` to ``target``, once (see Ledger)."""
        for source in sources:
            start = FIRST
            while start <= LAST:
                with self._file.writing() as connection:
                    start = _merge_part(connection, target, source, start)
                if start <= LAST:
                    self._file.give_way()

    def forget(self, scope: Scope) -> None:
        """Drop who was in ``scope`` and keep how many (see Ledger)."""
        with self._file.reading() as connection:
            row = connection.execute(
                "SELECT id FROM scopes WHERE period = ? AND license = ? "
                "AND (NOT forgotten OR EXISTS (SELECT 1 FROM sightings WHERE scope = id))",
                scope,
            ).fetchone()
        if row is None:
            return
        with self._file.writing() as connection:
            connection.execute("UPDATE scopes SET forgotten = 1 WHERE id = ?", row)
        end = FIRST
        while end < LAST:
            with self._file.writing() as connection:
                end = _end_of_part(connection, row[0], FIRST)
                connection.execute("DELETE FROM sightings WHERE scope = ? AND user <= ?", (row[0], end))
            if end < LAST:
                self._file.give_way()

    def growth(self, license: str, month: str) -> Sequence[Growth]:
        """Return the growth of ``month`` by day (see Ledger)."""
        with self._file.reading() as connection:
            (keys,) = connection.execute(
                "SELECT count(DISTINCT fingerprint) FROM keys WHERE month IN (?, ?)", (month, month_before(month))
            ).fetchone()
            rows = connection.execute(
                "SELECT day, growth.users, came_back FROM growth JOIN scopes ON scope = id "
                "WHERE period = ? AND license = ? ORDER BY day",
                (month, license),
            )
            told = [(day, users, None if keys > 1 else back) for day, users, back in rows]
        return [Growth(day, users - (back or 0), back) for day, users, back in told]

    def declare(self, declaration: Declaration) -> None:
        """Keep a number from outside (see Ledger)."""
        with self._file.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO declarations VALUES (?, ?, ?, ?)",
                (declaration.period, declaration.license, declaration.source, declaration.to_json()),
            )

    def declarations(self, period: str) -> Sequence[Declaration]:
        """Return the numbers from outside for ``period`` (see Ledger)."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT fields FROM declarations WHERE period = ? ORDER BY license, source", (period,)
            )
            return [Declaration.from_json(fields) for (fields,) in rows]

    def pseudonyms(self, scope: Scope) -> Iterator[Sequence[int]]:
        """Yield the users of ``scope``, in order (see Ledger)."""
        start = FIRST
        while start <= LAST:
            with self._file.reading() as connection:
                rows = connection.execute(
                    "SELECT user FROM scopes JOIN sightings ON scope = id "
                    "WHERE period = ? AND license = ? AND user >= ? AND NOT forgotten ORDER BY user LIMIT ?",
                    (*scope, start, PAGE),
                )
                users = [user for (user,) in rows]
            if users:
                yield users
            start = users[-1] + 1 if len(users) == PAGE else LAST + 1

    def incarnation(self) -> str:
        """Return ``""``: what was acknowledged stays (see Ledger)."""
        return ""

    def periods(self) -> Sequence[str]:
        """Return the periods with any count (see Ledger)."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT DISTINCT period FROM scopes WHERE users OR unidentified ORDER BY period")
            return [period for (period,) in rows]

    def close(self) -> None:
        """Close the file (see Ledger)."""
        self._file.close()


def _row(connection: sqlite3.Connection, scope: Scope) -> _Row:
    query = "SELECT id, forgotten FROM scopes WHERE period = ? AND license = ?"
    row = connection.execute(query, scope).fetchone()
    if row is None:
        connection.execute("INSERT INTO scopes (period, license) VALUES (?, ?)", scope)
        row = connection.execute(query, scope).fetchone()
    return _Row(row[0], bool(row[1]))


def _fill(connection: sqlite3.Connection, users: Collection[int]) -> None:
    connection.execute("DELETE FROM batch")
    connection.executemany("INSERT OR IGNORE INTO batch VALUES (?)", [(user,) for user in users])


def _insert(connection: sqlite3.Connection, number: int) -> int:
    """Return how many of the batch were not there."""
    return connection.execute("INSERT OR IGNORE INTO sightings SELECT ?, user FROM batch", (number,)).rowcount


def _grows(scope: Scope, row: _Row) -> bool:
    return kind_of(scope.period) is Kind.MONTH and not row.forgotten


def _returning(connection: sqlite3.Connection, scope: Scope, number: int) -> int | None:
    """Return how many of the batch are new in the month and were there in the one before; None if that is forgotten."""
    before = connection.execute(
        "SELECT id, forgotten FROM scopes WHERE period = ? AND license = ?", (month_before(scope.period), scope.license)
    ).fetchone()
    if before is None:
        return 0
    if before[1]:
        return None
    (found,) = connection.execute(
        "SELECT count(*) FROM batch CROSS JOIN sightings AS before ON before.scope = ? AND before.user = batch.user "
        "WHERE NOT EXISTS (SELECT 1 FROM sightings WHERE scope = ? AND user = batch.user)",
        (before[0], number),
    ).fetchone()
    return int(found)


def _grow(connection: sqlite3.Connection, number: int, day: str, new: int, returning: int | None) -> None:
    connection.execute(  # NULL, once part of a sum, stays
        "INSERT INTO growth VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
        "SET users = users + excluded.users, came_back = came_back + excluded.came_back",
        (number, day, new, returning),
    )


def _restate(connection: sqlite3.Connection, number: int, owner: str, requests: int) -> int:
    """Return by how much the owner's total grows."""
    query = "SELECT requests FROM unidentified WHERE scope = ? AND owner = ?"
    before = connection.execute(query, (number, owner)).fetchone()
    connection.execute("INSERT OR REPLACE INTO unidentified VALUES (?, ?, ?)", (number, owner, requests))
    return requests - (before[0] if before else 0)


def _add(connection: sqlite3.Connection, row: _Row, new: int, requests: int) -> Totals:
    """Add to the totals; new users of a forgotten scope are unidentified."""
    users, unidentified = connection.execute(
        "UPDATE scopes SET users = users + ?, unidentified = unidentified + ? WHERE id = ? "
        "RETURNING users, unidentified",
        (0 if row.forgotten else new, requests + (new if row.forgotten else 0), row.id),
    ).fetchone()
    return Totals(users, unidentified, users, users)


def _end_of_part(connection: sqlite3.Connection, number: int, start: int) -> int:
    row = connection.execute(
        "SELECT user FROM sightings WHERE scope = ? AND user >= ? ORDER BY user LIMIT 1 OFFSET ?",
        (number, start, PART - 1),
    ).fetchone()
    return int(row[0]) if row else LAST


def _merge_part(connection: sqlite3.Connection, target: Scope, source: Scope, start: int) -> int:
    """Merge the next users from ``start`` on and return where those after them begin; beyond LAST that was all."""
    into, origin = _row(connection, target), _row(connection, source)
    pair = (into.id, origin.id)
    if connection.execute("SELECT 1 FROM merges WHERE target = ? AND source = ?", pair).fetchone():
        return LAST + 1
    end = _end_of_part(connection, origin.id, start)
    new = connection.execute(
        "INSERT OR IGNORE INTO sightings SELECT ?, user FROM sightings WHERE scope = ? AND user BETWEEN ? AND ?",
        (into.id, origin.id, start, end),
    ).rowcount
    requests = 0
    if end == LAST:
        connection.execute("INSERT INTO merges VALUES (?, ?)", pair)
        (requests,) = connection.execute("SELECT unidentified FROM scopes WHERE id = ?", (origin.id,)).fetchone()
    _add(connection, into, new, requests)
    return end + 1
