"""The candidate: a second configuration beside the active one, loaded, watched and reloaded with it.

Nothing of it is ever enforced. One that has a problem is no candidate: there is nothing then to compare with, and the
problems are kept for whoever asks. The active policy neither knows of it nor depends on it.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from guard.policy.document import PolicyError, Problem, foreseen
from guard.policy.load import Loaded, RuleCache, digest_of, load, load_config, watched_paths
from guard.policy.remote_keys import KeySets


def load_candidate(
    path: Path,
    overrides: Mapping[str, object] | None = None,
    *,
    today: date | None = None,
    rules: RuleCache | None = None,
    key_sets: KeySets | None = None,
) -> Loaded:
    """Return the candidate in ``path``, as ``load`` does. Raises PolicyError, also for one that names a candidate."""
    loaded = load(path, overrides, today=today, rules=rules, key_sets=key_sets)
    if loaded.config.candidate is not None:
        found, allowed = "a candidate with a candidate of its own", "none: only the active policy names one"
        raise PolicyError([loaded.document.problem(("candidate",), found, allowed)])
    return loaded


class CandidatePolicy:
    """The candidate that ``path`` names at the moment; ``follow`` brings it up to date. Belongs to one thread.

    Its rules are compiled for it alone: a RuleSet belongs to the thread that uses it. ``key_sets`` are the active
    policy's, so that what both name is fetched once.
    """

    def __init__(
        self,
        overrides: Mapping[str, object] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        key_sets: KeySets | None = None,
    ) -> None:
        self.path: Path | None = None
        self.loaded: Loaded | None = None
        """None where no candidate is set, and while it has problems."""
        self.problems: tuple[Problem, ...] = ()
        self.at = 0.0
        """When it was last tried, in epoch seconds."""
        self._overrides = {name: value for name, value in (overrides or {}).items() if name != "candidate"}
        self._clock = clock
        self._key_sets = key_sets
        self._rules = RuleCache()
        self._watched: tuple[Path, ...] = ()
        self._seen = ""
        self._tried = date.min

    def follow(self, name: str | None) -> bool:
        """Make the configuration called ``name`` the candidate, as its files are now; return True if that was news."""
        path = Path(name) if name is not None else None
        if path == self.path and (path is None or not self._changed()):
            return False
        loaded: Loaded | None = None
        problems: tuple[Problem, ...] = ()
        self._tried, self._watched = self._today(), () if path is None else (path,)
        self._seen = digest_of(self._watched)
        if path is not None:
            try:  # which takes a second where rules are compiled: until then the one before is compared with
                with foreseen(str(path)):
                    loaded = load_candidate(
                        path, self._overrides, today=self._tried, rules=self._rules, key_sets=self._key_sets
                    )
            except PolicyError as error:
                problems = error.problems
                self._watch_named(path)
            else:
                self._watched, self._seen = loaded.watched, loaded.digest
        self.path, self.loaded, self.problems, self.at = path, loaded, problems, self._clock()
        return True

    def _changed(self) -> bool:
        expires = self.loaded.expires if self.loaded is not None else None
        overdue = expires is not None and self._tried < expires <= self._today()
        return overdue or digest_of(self._watched) != self._seen

    def _watch_named(self, path: Path) -> None:
        """Watch what a candidate with problems names, so that mending any of its files is noticed."""
        try:
            watched = watched_paths(path, load_config(path, self._overrides))
        except PolicyError:  # nothing can be told of what it names
            return
        self._watched, self._seen = watched, digest_of(watched)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()
