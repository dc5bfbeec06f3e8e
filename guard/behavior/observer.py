"""Takes in finished requests behind their answers, and moves identities on the ladder, by a thread of its own.

A request hands its texts over and goes on. What does not fit into the queue, or cannot be kept because the store is
down, is counted as not evaluated: the behavior of those identities is unknown for that time, and no request waits or
fails for it. Steps that were taken before stay in force from memory. What a process that is killed had not yet written,
some seconds of behavior, is lost.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock, Thread
from typing import Any, Protocol

from guard.behavior.ladder import BehaviorPolicy, Step
from guard.behavior.observation import Observation
from guard.behavior.store import Store, StoreUnavailable
from guard.behavior.study import Study
from guard.behavior.table import Table

BATCH = 512
"""Observations, at most, whose profiles are written together."""
LIMIT, LIMIT_CHARACTERS = 8192, 32 * 1024 * 1024
LINGER, IDLE = 2.0, 5.0
"""Seconds that a batch gathers, and that an idle thread sleeps at most."""
PAUSE = 1e-4
"""Seconds that the thread sleeps after each observation, so that it never has the interpreter for longer than one
takes: merely to give it up would not do, it would be back before the event loop is awake."""
REFRESH, REVIEW, FORGET = 15.0, 60.0, 3600.0
"""Seconds between looks at what other processes did, at who may step down, and at what is old."""


class BehaviorMeter(Protocol):
    """Where it is counted."""

    def intent(self, reason: str) -> None:
        """Count one request with that reason."""

    def behavior_step(self, step: str, reason: str) -> None:
        """Count one identity that came to ``step``."""

    def not_evaluated(self, reason: str) -> None:
        """Count one observation that was lost."""


class Journal(Protocol):
    """Where every step is written down."""

    def append(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Chain one entry."""


class Observer:
    """Behavior of one process's traffic. ``key`` is the same for all gateways on one store.

    ``clock`` returns epoch seconds. Raises ValueError for a key that is not 16 to 64 bytes long.
    """

    def __init__(
        self,
        store: Store,
        key: bytes,
        meter: BehaviorMeter,
        journal: Journal | None,
        *,
        clock: Callable[[], float] = time.time,
        failed: Callable[[str, BaseException], None] = lambda _what, _error: None,
        linger: float = LINGER,
    ) -> None:
        self.table = Table()
        self.error: str | None = None
        """Why behavior is unknown, or None."""
        self._store, self._meter, self._clock, self._failed, self._linger = store, meter, clock, failed, linger
        self._study = Study(store, key, meter, journal, self.table, self._pause)
        self._policy = BehaviorPolicy()
        self._tasks: deque[Observation] = deque()
        self._characters = 0
        self._lock = Lock()
        self._ready, self._closing = Event(), Event()
        self._thread: Thread | None = None
        self._due = dict.fromkeys((self._refresh, self._review, self._forget), 0.0)

    def start(self) -> None:
        """Begin to work; the first observation does so too. What the store does not answer is asked again later."""
        self._thread = Thread(target=self._run, name="behavior", daemon=True)
        self._thread.start()

    def step(self, identity: int) -> Step:
        """Return where an identity stands, from memory."""
        return self.table.step(identity)

    def admit(self, identity: int, per_minute: int) -> bool:
        """Return False if a clamped identity has had its requests of the minute (of this process)."""
        return self.table.admit(identity, per_minute, self._clock())

    def observe(self, observation: Observation, policy: BehaviorPolicy) -> None:
        """Take a finished request, and the policy it was served under; never waits, never raises."""
        size = observation.size
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self.start()
            full = len(self._tasks) >= LIMIT or self._characters + size > LIMIT_CHARACTERS
            if not full:
                self._tasks.append(observation)
                self._characters += size
                self._policy = policy
        if full:
            self._meter.not_evaluated("behavior")
        elif not self._ready.is_set():
            self._ready.set()

    def close(self, timeout: float = 10.0) -> None:
        """Take in what waits, for at most ``timeout`` seconds, and close the store; idempotent."""
        self._closing.set()
        self._ready.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self._store.close()

    def _run(self) -> None:
        self._look()
        while not self._closing.is_set() or self._tasks:
            self._ready.wait(IDLE)
            self._closing.wait(self._linger)
            self._ready.clear()
            while self._tasks:
                self._take([self._tasks.popleft() for _ in range(min(BATCH, len(self._tasks)))])
            self._look()

    def _take(self, observations: Sequence[Observation]) -> None:
        with self._lock:
            self._characters -= sum(each.size for each in observations)
        try:
            self._study.take(observations, self._policy, self._clock())
            self.error = None
        except Exception as error:  # noqa: BLE001 - whatever broke, it is no reason to stop watching
            self._unknown(error)
            for _ in observations:
                self._meter.not_evaluated("behavior")

    def _pause(self) -> None:
        if not self._closing.is_set():
            time.sleep(PAUSE)

    def _look(self) -> None:
        now = self._clock()
        for work, at in self._due.items():
            if now >= at:
                self._due[work] = now + {"_refresh": REFRESH, "_review": REVIEW, "_forget": FORGET}[work.__name__]
                try:
                    work()
                except Exception as error:  # noqa: BLE001 - as above
                    self._unknown(error)

    def _refresh(self) -> None:
        self.table.refresh(self._store.standing())
        self.error = None

    def _review(self) -> None:
        self._study.review([identity for identity, _ in self.table.standing()], self._policy, self._clock())

    def _forget(self) -> None:
        self._study.forget(self._clock())

    def _unknown(self, error: Exception) -> None:
        expected = isinstance(error, StoreUnavailable)
        if self.error is None or not expected:
            self._failed("behavior", error)
        self.error = str(error) if expected else type(error).__name__
