"""What the hot path counts waits here and is added up in batches: a family's own lock and sums are paid once for many.

Nothing waits unseen. A scrape empties it first, because it is registered before the families that it adds to, and so do
a full batch, the end of the process and whoever calls ``gather`` from time to time.
"""

from collections import deque
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, TypeVar

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

BATCH = 256
"""Notes of one kind that wait at most."""

Note = TypeVar("Note")


class Gathered(Collector):
    """Counts and observations on their way into their families.

    Any thread may note and gather: a deque takes and gives each note once.
    """

    def __init__(self) -> None:
        self._kinds: list[tuple[deque[Any], Callable[[list[Any]], None]]] = []
        self._gathering = Lock()

    def taker(self, add_all: Callable[[list[Note]], None]) -> Callable[[Note], None]:
        """Return what takes one note; ``add_all`` gets many at once, in their order, and one call at a time."""
        waiting: deque[Note] = deque()
        self._kinds.append((waiting, add_all))
        append, gather = waiting.append, self.gather

        def take(note: Note) -> None:
            append(note)
            if len(waiting) >= BATCH:
                gather()

        return take

    def gather(self) -> None:
        """Add everything that waits to where it belongs."""
        with self._gathering:
            for waiting, add_all in self._kinds:
                if waiting:
                    add_all([waiting.popleft() for _ in range(len(waiting))])

    def describe(self) -> Iterable[Metric]:
        """Return nothing: it has no families of its own."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Gather, so that the families behind it in the registry are complete, and return nothing."""
        self.gather()
        return ()
