"""The active policy: the last good snapshot, reloaded when its files change, unchanged when they are bad (invariant 7).

Contents are compared, not times or events: a ConfigMap update swaps a symlink, editors rename over a file, and both
escape a watch on the file itself. No loop or thread of its own: the transport asks ``changed`` every few seconds.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock

from guard.exchange.snapshot import Snapshot
from guard.policy import lastgood
from guard.policy.config import Config
from guard.policy.deltas import Delta, dangerous, outlived, spent, unconfirmed
from guard.policy.document import PolicyError, Problem, foreseen, in_order
from guard.policy.load import Loaded, RuleCache, digest_of, load, load_config, watched_paths
from guard.policy.posture import Posture, posture
from guard.policy.record import Record, period_end, read_record, write_record
from guard.policy.remote_keys import KeySets
from guard.policy.selftest import SelfTest

HISTORY = 50
"""Reloads that are remembered."""

STARTING: tuple[str, ...] = (
    "upstream", "upstream_timeouts", "upstream_ca", "upstream_connections", "listen", "admin", "admin_token_file",
    "workers",
    "state_dir", "usage.ledger", "usage.zone", "usage.windows", "usage.keep", "usage.seen",
    "usage.fsync", "usage.disk_full", "identity.pseudonym_key_file", "outputs.receipts",
    "outputs.fingerprints", "outputs.segment_minutes", "outputs.keep_months", "outputs.upload", "evidence.audit",
    "evidence.fsync", "evidence.rotate_megabytes", "evidence.checkpoint_minutes", "evidence.heads",
    "screening.neural.threads", "screening.neural.queue", "screening.neural.weights", "screening.judge",
    "observability", "drain",
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


_Before = Callable[[Config], tuple[Posture | None, Sequence[Delta]]]
"""Returns what a policy is compared with, and the changes beside its posture."""


class ActivePolicy:
    """Holds the snapshot requests begin with. Reading ``snapshot`` is one attribute access; reloads take turns.

    A policy comes into force when it has passed its self-test and every dangerous change in it is confirmed. At the
    start it is compared with the record in the state directory, if it is to ``remember``.
    """

    def __init__(
        self,
        path: Path | None,
        overrides: Mapping[str, object] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        environment: Mapping[str, str] = os.environ,
        remember: bool = False,
        last_good: bool = False,
        copies: bool = False,
    ) -> None:
        """Load ``path``. Raises PolicyError: a process does not start with a bad policy.

        With ``last_good`` it starts from the last good copy of a bad one. The copy is in the state directory, which
        ``overrides`` have to name: a bad file cannot say where it is. With ``copies`` the copy is made for those that
        take this process's place, and not started from.
        """
        self._path = path
        self._overrides = dict(overrides or {})
        self._clock = clock
        self._environment = environment
        self._remember = remember
        self._copies = last_good or copies
        self._lock = Lock()
        self._history: deque[ReloadResult] = deque(maxlen=HISTORY)
        self._rules = RuleCache()
        self.key_sets = KeySets(clock=clock)
        """The key sets behind URLs, of every snapshot of the process."""
        self._self_test = SelfTest(environment)
        self._tried = self._today()
        self.checked = clock()
        """When the files were last compared with what was tried, in epoch seconds: the heartbeat of the watch."""
        self.restored: tuple[Problem, ...] = ()
        """What is wrong with the files, while the last good copy is in force; empty otherwise."""
        if last_good and "state_dir" not in self._overrides:
            found, allowed = "the last good copy cannot be found without the file", "--state-dir or GUARD_STATE_DIR"
            raise PolicyError([Problem("command line", 0, "last_good", found, allowed)])
        self.loaded: Loaded
        self._watched: tuple[Path, ...] = (path,) if path is not None else ()
        self._seen = digest_of(self._watched)
        self._posture: Posture
        self._gone: Posture
        """Facts of models and limits that were in force in this period, and about which nothing is any more."""
        try:
            with foreseen(self._name):
                self.loaded, self._posture, self._gone = self._admitted(self._load(self._path), self._recorded)
            self._watched, self._seen = self.loaded.watched, self.loaded.digest
        except PolicyError as error:
            if not last_good or path is None:
                raise
            self.loaded, self._posture, self._gone = self._copy(path, error)
            self.restored = error.problems
            self._follow(self._seen)
        self.snapshot: Snapshot = self.loaded.snapshot
        self.config: Config = self.loaded.config
        """The configuration the process started with; ``loaded.config`` is the latest good one."""
        self._period_end = period_end(self.config, clock())
        self._history.append(
            ReloadResult(not self.restored, self.snapshot.hash, self.restored, changed=True, at=clock())
        )

    @property
    def history(self) -> tuple[ReloadResult, ...]:
        """The last loads, oldest first."""
        return tuple(self._history)

    def changed(self) -> bool:
        """Return True if the files differ from what was last tried, or something relaxed expired since the load."""
        expires = self.loaded.expires
        overdue = expires is not None and self._tried < expires <= self._today()
        differs = digest_of(self._watched) != self._seen
        self.checked = self._clock()
        return overdue or differs

    def reload(self) -> ReloadResult:
        """Load the files anew. On any problem the active snapshot stays, and the result says why."""
        with self._lock:
            seen = digest_of(self._watched)
            self._tried = self._today()
            try:
                with foreseen(self._name):
                    loaded, facts, gone = self._admitted(self._load(self._path), lambda _: (self._standing(), ()))
            except PolicyError as error:
                self._follow(seen)
                result = ReloadResult(False, self.snapshot.hash, error.problems, at=self._clock())
            else:
                changed = loaded.snapshot.hash != self.snapshot.hash
                if changed or self.restored:
                    self._posture, self._gone = facts, gone
                    self.loaded, self.snapshot = loaded, loaded.snapshot
                self.restored = ()
                self._watched, self._seen = loaded.watched, loaded.digest
                restart = _starting_differences(self.config, loaded.config)
                result = ReloadResult(True, self.snapshot.hash, (), changed, self._clock(), restart)
            self._history.append(result)
            return result

    def keep(self) -> None:
        """Record what is in force in the state directory, and where that is asked for copy its files. Raises OSError.

        To be called by one process of a state directory, when it has started and after every change.
        """
        with self._lock:
            if self.restored or not self._remember:
                return
            now = self._clock()
            gone = self._gone if now < self._period_end else {}
            write_record(self.config, self.snapshot.hash, self._posture, gone, now)
            if self._copies and self._path is not None:
                lastgood.keep(Path(self.config.state_dir), self._path, self.loaded)

    def _load(self, path: Path | None, place: Callable[[str], str] | None = None) -> Loaded:
        return load(
            path,
            self._overrides,
            today=self._tried,
            environment=self._environment,
            rules=self._rules,
            key_sets=self.key_sets,
            place=place,
        )

    @property
    def _name(self) -> str:
        return "defaults" if self._path is None else str(self._path)

    def _standing(self) -> Posture:
        """What a policy is compared with. Facts of what is gone count for the period in which it went."""
        now = self._clock()
        if now >= self._period_end:
            self._gone, self._period_end = {}, period_end(self.config, now)
        return {**self._gone, **self._posture}

    def _admitted(self, loaded: Loaded, before: _Before, *, cases: bool = True) -> tuple[Loaded, Posture, Posture]:
        """Return ``loaded``, its posture and what that outlives, if it may come into force after ``before``.

        Raises PolicyError.
        """
        problems = self._self_test.problems(loaded, self._clock(), cases=cases)
        facts = posture(loaded.config, loaded.snapshot, loaded.own_rules)
        old, others = before(loaded.config)
        deltas = [*others, *(dangerous(old, facts) if old is not None else ())]
        problems += unconfirmed(deltas, loaded, self._overrides)
        if problems:
            raise PolicyError(in_order(problems))
        left = spent(deltas, loaded)
        if left:
            warnings = (*loaded.snapshot.warnings, *left)
            loaded = replace(loaded, snapshot=replace(loaded.snapshot, warnings=warnings))
        loaded = replace(loaded, confirmed=tuple(delta.line for delta in deltas))
        return loaded, facts, outlived(old, facts) if old is not None else {}

    def _recorded(self, config: Config) -> tuple[Posture | None, Sequence[Delta]]:
        """What was in force before the start, and what would be counted anew."""
        record: Record | None = read_record(config) if self._remember else None
        now = self._clock()
        return (None, ()) if record is None else (record.standing(now), record.recounts(config, now))

    def _copy(self, path: Path, error: PolicyError) -> tuple[Loaded, Posture, Posture]:
        """Return the last good copy. Raises PolicyError with the problems of the files, and of the copy."""
        try:
            with foreseen(self._name):
                copy = lastgood.find(Path(str(self._overrides["state_dir"])), path)
                loaded, facts, _ = self._admitted(
                    self._load(copy.config, copy.place), lambda _: (None, ()), cases=False
                )
            before: Posture | None = None
            with suppress(PolicyError):  # one that cannot be read stops a start, and not the way out of it
                before, _ = self._recorded(loaded.config)
            return loaded, facts, outlived(before, facts) if before is not None else {}
        except PolicyError as unusable:
            raise PolicyError([*error.problems, *unusable.problems]) from error

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
