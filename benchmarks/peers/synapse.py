"""The scheme that Matrix Synapse counts monthly active users by, in SQLite: what the ledger is compared with.

Written after the behavior of synapse/storage/databases/main/monthly_active_users.py: a row per user with the time of
the last activity, upserted at most once an hour per user (LAST_SEEN_GRANULARITY); the time last written is cached per
user, the count is cached and dropped with every upsert that adds a user. One transaction per upsert, in WAL mode with
synchronous=NORMAL, as the embedded ledger has.
"""

import sqlite3

GRANULARITY = 3600.0


class MonthlyActiveUsers:
    """Synapse's table, its two caches and its check before an upsert."""

    def __init__(self, path):
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute("CREATE TABLE monthly_active_users (user_id TEXT NOT NULL, timestamp BIGINT NOT NULL)")
        self.connection.execute("CREATE UNIQUE INDEX monthly_active_users_users ON monthly_active_users (user_id)")
        self.connection.execute("CREATE INDEX monthly_active_users_time ON monthly_active_users (timestamp)")
        self.last_seen = {}
        self.count = None

    def populate(self, user, now):
        """Note activity of ``user`` at ``now``, if the last note is older than an hour."""
        seen = self.last_seen.get(user)
        if seen is not None and now - seen < GRANULARITY:
            return
        if seen is None:
            row = self.connection.execute(
                "SELECT timestamp FROM monthly_active_users WHERE user_id = ?", (user,)
            ).fetchone()
            if row is None:
                self.active()  # at the limit nobody new is inserted, so the count is looked at first
                self.count = None
        self.connection.execute(
            "INSERT INTO monthly_active_users VALUES (?, ?) ON CONFLICT (user_id) DO UPDATE SET timestamp = ?",
            (user, int(now * 1000), int(now * 1000)),
        )
        self.last_seen[user] = now

    def active(self):
        """Return the number of users, from the cache if it holds."""
        if self.count is None:
            (self.count,) = self.connection.execute("SELECT COUNT(*) FROM monthly_active_users").fetchone()
        return self.count
