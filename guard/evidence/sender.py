"""Brings heads off the machine, behind everything else: nobody waits for a place that does not answer."""

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread

from guard.evidence.checkpoint import Checkpoint
from guard.evidence.place import Place, PlaceError

log = logging.getLogger(__name__)

QUEUE = 64
"""Heads that wait for a place at most. The oldest goes first: a newer head speaks for all that is before it."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
"""Seconds between attempts on a place that fails; they double."""


class HeadSender:
    """Sends every head to each of ``places``, each with a thread of its own. ``clock`` returns epoch seconds.

    The log says of a place when it begins to fail, and why, and when it takes heads again.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        clock: Callable[[], float] = time.time,
        first_wait: float = FIRST_WAIT,
    ) -> None:
        self._couriers = [_Courier(place, clock, first_wait) for place in places]

    def start(self) -> None:
        """Begin to send."""
        for courier in self._couriers:
            courier.start()

    def send(self, head: Checkpoint) -> None:
        """Have ``head`` brought to every place; returns at once and never fails."""
        line = json.dumps(head.line(), separators=(",", ":")).encode()
        for courier in self._couriers:
            courier.take(line)

    def close(self, timeout: float = 5.0) -> None:
        """Send what waits, one attempt each and within ``timeout`` seconds; idempotent."""
        deadline = time.monotonic() + timeout
        for courier in self._couriers:
            courier.close()
        for courier in self._couriers:
            courier.join(max(0.0, deadline - time.monotonic()))

    @property
    def last_sent(self) -> float | None:
        """When a head last reached the place that is furthest behind, in epoch seconds; None if one has none yet."""
        times = [courier.last_sent for courier in self._couriers]
        return None if None in times else min((each for each in times if each is not None), default=None)

    @property
    def failures(self) -> int:
        """Attempts that failed, at all places."""
        return sum(courier.failures for courier in self._couriers)

    @property
    def error(self) -> str | None:
        """Which place does not take heads, and why; None if all do."""
        return next((f"{courier.name}: {courier.error}" for courier in self._couriers if courier.error), None)


class _Courier:
    """Brings lines to one place."""

    def __init__(self, place: Place, clock: Callable[[], float], first_wait: float) -> None:
        self.name = place.name
        self.last_sent: float | None = None
        self.failures = 0
        self.error: str | None = None
        self._place, self._clock, self._first_wait = place, clock, first_wait
        self._waiting: deque[bytes] = deque(maxlen=QUEUE)
        self._turn, self._closing = Condition(), False
        self._thread = Thread(target=self._run, name="heads", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, line: bytes) -> None:
        with self._turn:
            self._waiting.append(line)
            self._turn.notify()

    def close(self) -> None:
        with self._turn:
            self._closing = True
            self._turn.notify()

    def join(self, timeout: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        wait = self._first_wait
        while (line := self._next()) is not None:
            if self._attempt(line):
                wait = self._first_wait
                continue
            with self._turn:
                if self._closing:
                    continue
                if len(self._waiting) < QUEUE:
                    self._waiting.appendleft(line)
                self._rest(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def _next(self) -> bytes | None:
        """Return the next line once there is one; None when there is none left at the end."""
        with self._turn:
            while not self._waiting and not self._closing:
                self._turn.wait()
            return self._waiting.popleft() if self._waiting else None

    def _rest(self, seconds: float) -> None:
        """Wait, whatever else is to be sent meanwhile, unless it ends."""
        until = time.monotonic() + seconds
        while not self._closing and (left := until - time.monotonic()) > 0:
            self._turn.wait(left)

    def _attempt(self, line: bytes) -> bool:
        try:
            self._place.put(line)
        except PlaceError as error:
            self.failures += 1
            before, self.error = self.error, str(error)
        else:
            self.last_sent = self._clock()
            before, self.error = self.error, None
        if self.error != before:
            level = logging.ERROR if self.error else logging.INFO
            log.log(level, "audit: heads: %s: %s", self.name, self.error or "takes heads again")
        return self.error is None
