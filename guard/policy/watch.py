"""The active policy: the last good snapshot, reloaded when its files change, unchanged when they are bad (invariant 7).

Contents are compared, not times or events: a ConfigMap update swaps a symlink, editors rename over a file, and both
escape a watch on the file itself. No loop or thread of its own: the transport asks ``changed`` every few seconds.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock

from guard.exchange.snapshot import Snapshot
from guard.policy.config import Config
from guard.policy.document import PolicyError, Problem
from guard.policy.load import Loaded, RuleCache, digest_of, load, load_config, watched_paths

HISTORY = 50
"""Reloads that are remembered."""

STARTING: tuple[str, ...] = (
    "upstream", "upstream_timeouts", "upstream_ca", "upstream_connections", "listen", "admin", "admin_token_file",
    "state_dir", "usage.ledger", "usage.zone", "usage.fsync", "identity.pseudonym_key_file", "outputs.receipts",
    "outputs.fingerprints", "evidence",
)  # fmt: skip
"""Settings that a process reads once, at its start: a reload takes the policy, not these."""


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """How a load or reload went."""

    ok: bool
    hash: str
    """Of the snapshot that is active afterwards."""
    problems: tuple[Problem, ...] = ()
    changed: bool = False
    """True if the active snapshot is another than before."""
    at: float = 0.0
    """Seconds since the epoch."""
    restart: tuple[str, ...] = ()
    """Settings that differ from those the process started with and wait for a restart."""


class ActivePolicy:
    """Holds the snapshot requests begin with. Reading ``snapshot`` is one attribute access; reloads take turns."""

    def __init__(
        self,
        path: Path | None,
        overrides: Mapping[str, object] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Load ``path``. Raises PolicyError: a process does not start with a bad policy."""
        self._path = path
        self._overrides = dict(overrides or {})
        self._clock = clock
        self._lock = Lock()
        self._history: deque[ReloadResult] = deque(maxlen=HISTORY)
        self._rules = RuleCache()
        self._tried = self._today()
        self.loaded: Loaded = load(path, self._overrides, today=self._tried, rules=self._rules)
        self.snapshot: Snapshot = self.loaded.snapshot
        self.config: Config = self.loaded.config
        """The configuration the process started with; ``loaded.config`` is the latest good one."""
        self._watched, self._seen = self.loaded.watched, self.loaded.digest
        self._history.append(ReloadResult(ok=True, hash=self.snapshot.hash, changed=True, at=clock()))

    @property
    def history(self) -> tuple[ReloadResult, ...]:
        """The last loads, oldest first."""
        return tuple(self._history)

    def changed(self) -> bool:
        """Return True if the files differ from what was last tried, or something relaxed expired since the load."""
        expires = self.loaded.expires
        overdue = expires is not None and self._tried < expires <= self._today()
        return overdue or digest_of(self._watched) != self._seen

    def reload(self) -> ReloadResult:
        """Load the files anew. On any problem the active snapshot stays, and the result says why."""
        with self._lock:
            seen = digest_of(self._watched)
            self._tried = self._today()
            try:
                loaded = load(self._path, self._overrides, today=self._tried, rules=self._rules)
            except PolicyError as error:
                self._follow(seen)
                result = ReloadResult(False, self.snapshot.hash, error.problems, at=self._clock())
            else:
                changed = loaded.snapshot.hash != self.snapshot.hash
                if changed:
                    self.loaded, self.snapshot = loaded, loaded.snapshot
                self._watched, self._seen = loaded.watched, loaded.digest
                restart = _starting_differences(self.config, loaded.config)
                result = ReloadResult(True, self.snapshot.hash, (), changed, self._clock(), restart)
            self._history.append(result)
            return result

    def _follow(self, seen: str) -> None:
        """Watch what a bad policy names, so that mending any of its files is noticed; do not try the same one again."""
        try:
            watched = watched_paths(self._path, load_config(self._path, self._overrides))
        except PolicyError:
            self._seen = seen
            return
        if watched == self._watched:
            self._seen = seen
        else:
            self._watched, self._seen = watched, digest_of(watched)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()


def _starting_differences(old: Config, new: Config) -> tuple[str, ...]:
    return tuple(name for name in STARTING if _get(old, name) != _get(new, name))


def _get(config: object, name: str) -> object:
    for part in name.split("."):
        config = getattr(config, part)
    return config
