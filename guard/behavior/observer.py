"""Takes in finished requests behind their answers, and moves identities on the ladder, by a thread of its own.

A request hands its texts over and goes on. What does not fit into the queue, or cannot be kept because the store is
down, is counted as not evaluated: the behavior of those identities is unknown for that time, and no request waits or
fails for it. Steps that were taken before stay in force from memory. What a process that is killed had not yet written
is lost: some seconds of behavior, half a minute of identities with nothing against them.
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

BATCH = 4096
"""Observations, at most, that are taken together: the more, the fewer times a profile is written for them."""
SOME = 256
"""Observations that are looked at without a pause, where next to nothing is done with each."""
LIMIT, LIMIT_CHARACTERS = 8192, 32 * 1024 * 1024
LINGER, IDLE = 2.0, 5.0
"""Seconds that a batch gathers, and that an idle thread sleeps at most."""
BUSY, PAUSE = 5e-4, 1e-4
"""Seconds that the thread works before it sleeps, and that it sleeps then, so that it never has the interpreter for
longer: merely to give it up would not do, it would be back before the event loop is awake. To sleep costs as much as an
observation or two, so it is not done after each."""
RIPEN, REFRESH, REVIEW, FORGET = 5.0, 15.0, 60.0, 3600.0
"""Seconds between looks at what has waited, at what other processes did, at who may step down, and at what is old."""
_EVERY = {"_ripen": RIPEN, "_refresh": REFRESH, "_review": REVIEW, "_forget": FORGET}


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
        self._rested = 0.0
        self._lock = Lock()
        self._ready, self._closing = Event(), Event()
        self._thread: Thread | None = None
        self._due = dict.fromkeys((self._ripen, self._refresh, self._review, self._forget), 0.0)

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
        self._attempt(lambda: self._study.ripen(self._policy, self._clock(), everything=True))

    def _take(self, observations: Sequence[Observation]) -> None:
        for at in range(0, len(observations), SOME):
            size = sum(each.size for each in observations[at : at + SOME])
            with self._lock:
                self._characters -= size
            self._pause()
        try:
            self._study.take(observations, self._policy, self._clock())
            self.error = None
        except Exception as error:  # noqa: BLE001 - whatever broke, it is no reason to stop watching
            self._unknown(error)
            for _ in observations:
                self._meter.not_evaluated("behavior")

    def _pause(self) -> None:
        if time.perf_counter() - self._rested >= BUSY and not self._closing.is_set():
            time.sleep(PAUSE)
            self._rested = time.perf_counter()

    def _look(self) -> None:
        now = self._clock()
        for work, at in self._due.items():
            if now >= at:
                self._due[work] = now + _EVERY[work.__name__]
                self._attempt(work)

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - as above
            self._unknown(error)

    def _ripen(self) -> None:
        self._study.ripen(self._policy, self._clock())

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
