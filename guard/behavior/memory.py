"""The profiles of identities that are active, over the store that remembers all of them."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from guard.behavior.ladder import Standing
from guard.behavior.profile import Profile
from guard.behavior.store import Change, Store, StoreUnavailable

HOT = 512
"""Profiles that are kept in memory, at most some 60 KB each as objects."""
ROUNDS = 8
"""Times that a profile is read again because another process changed it meanwhile."""


class Changed(NamedTuple):
    """Where an identity stood before a change, and its profile after it."""

    before: Standing
    profile: Profile


class Memory:
    """Changes profiles. For one thread."""

    def __init__(self, store: Store, hot: int = HOT) -> None:
        self._store, self._hot_most = store, hot
        self._hot: OrderedDict[str, tuple[int, Profile]] = OrderedDict()

    def change(self, changes: Mapping[str, Callable[[Profile], object]]) -> dict[str, Changed]:
        """Apply each function to the profile of its name and write it; return what was written.

        A function is applied again, to what the other wrote, where another process or gateway was faster. Raises
        StoreUnavailable: then the changes are lost, and what is in the store stays as it is.
        """
        done: dict[str, Changed] = {}
        left = dict(changes)
        for _ in range(ROUNDS):
            if not left:
                return done
            profiles = self._read(list(left))
            before = {name: profile.standing for name, (_, profile) in profiles.items()}
            rows = []
            try:
                for name, (revision, profile) in profiles.items():
                    left[name](profile)
                    rows.append(Change(name, revision, profile.pack(), profile.standing.step, profile.last))
                late = frozenset(self._store.write(rows))
            except BaseException:
                self._drop(left)
                raise
            for name, (revision, profile) in profiles.items():
                if name not in late:
                    done[name] = Changed(before[name], profile)
                    self._keep(name, revision + 1, profile)
                    del left[name]
            self._drop(late)
        raise StoreUnavailable(f"behavior: {len(left)} profiles are changed by others again and again")

    def known(self, name: str) -> Profile | None:
        """Return the profile of ``name`` as it was written last, None if it is not in memory."""
        found = self._hot.get(name)
        return None if found is None else found[1]

    def peek(self, name: str) -> Profile | None:
        """Return the profile of ``name`` as it is in the store, None if there is none. Raises StoreUnavailable."""
        row = self._store.read([name]).get(name)
        return _unpacked(row.data) if row is not None else None

    def _read(self, names: list[str]) -> dict[str, tuple[int, Profile]]:
        found = {name: self._hot[name] for name in names if name in self._hot}
        missing = [name for name in names if name not in found]
        if missing:
            rows = self._store.read(missing)
            for name in missing:
                row = rows.get(name)
                found[name] = (0, Profile()) if row is None else (row.revision, _unpacked(row.data))
        return found

    def _keep(self, name: str, revision: int, profile: Profile) -> None:
        self._hot[name] = revision, profile
        self._hot.move_to_end(name)
        if len(self._hot) > self._hot_most:
            self._hot.popitem(last=False)

    def _drop(self, names: "frozenset[str] | dict[str, Callable[[Profile], object]]") -> None:
        for name in names:
            self._hot.pop(name, None)


def _unpacked(data: bytes) -> Profile:
    """Return the profile in ``data``; one that cannot be read, of another version, begins anew."""
    try:
        return Profile.unpack(data)
    except ValueError:
        return Profile()
