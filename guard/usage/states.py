"""The state of every limit as it was told last, so that a change is noticed once and jitter never."""

from collections import deque
from typing import NamedTuple

from guard.usage.thresholds import Limit, State


class Crossing(NamedTuple):
    """A limit came into another state."""

    limit: Limit
    before: State | None
    """None: it is the first look since the start."""
    after: State
    users: int
    """The most users that the license may count."""


class States:
    """Remembers the state of each limit. One per process; safe to call from several threads, in any order."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], State] = {}
        self._crossings: deque[Crossing] = deque(maxlen=1000)

    def see(self, limit: Limit, users: int, *, jitters: bool = True) -> State:
        """Return the state that ``users`` puts ``limit`` in, given the one it was in, and remember it.

        ``jitters``: the count may go up and down by itself, as an estimate does; otherwise it only rises in a period.
        """
        name = (limit.license, limit.id)
        before = self._states.get(name)
        after = limit.state(users, before if jitters else None)
        if after is not before:
            self._states[name] = after
            if before is not None or after is not State.OK:
                self._crossings.append(Crossing(limit, before, after, users))
        return after

    def crossings(self) -> list[Crossing]:
        """Return what changed since the last call, oldest first."""
        found = []
        while self._crossings:
            found.append(self._crossings.popleft())
        return found
