"""The thread that brings sightings from the spool to the ledger, and waits longer while the ledger is down."""

import logging
import threading
from typing import Protocol

from guard.usage.ledger import LedgerError, LedgerUnavailable
from guard.usage.segment import SpoolError

INTERVAL = 0.05
"""Seconds between group commits."""
REFRESH_ROUNDS = 20
"""Rounds between readings of the totals: at most a second."""
ADOPT_ROUNDS = 200
"""Rounds between looks for segments of killed siblings: some ten seconds."""
LONGEST_WAIT = 5.0
"""Seconds between attempts while the ledger is down."""

log = logging.getLogger(__name__)


class Round(Protocol):
    """One round of work."""

    def __call__(self, *, refresh: bool, adopt: bool) -> None:
        """Flush; ``refresh`` the totals; ``adopt`` orphans. Raises LedgerUnavailable, LedgerError, SpoolError."""


class Flusher:
    """Calls ``work`` every 50 ms in a daemon thread until stopped; sooner after ``nudge``."""

    def __init__(self, work: Round, *, interval: float = INTERVAL) -> None:
        self._work = work
        self._interval = interval
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="guard-usage-flusher", daemon=True)
        self._thread.start()

    def nudge(self) -> None:
        """Flush now rather than at the end of the interval; while the ledger is down this changes nothing."""
        self._wake.set()

    def stop(self, timeout: float) -> bool:
        """End the thread; returns False if it still works after ``timeout`` seconds. Idempotent."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    @property
    def healthy(self) -> bool:
        """False if the thread was started and has died."""
        return self._thread is None or self._thread.is_alive() or self._stopping.is_set()

    def _run(self) -> None:
        number = 0
        while not self._stopping.is_set():
            if self._failures:
                self._stopping.wait(min(LONGEST_WAIT, self._interval * 2**self._failures))
            else:
                self._wake.wait(self._interval)
            self._wake.clear()
            number += 1
            try:
                self._work(refresh=self._failures > 0 or number % REFRESH_ROUNDS == 0, adopt=number % ADOPT_ROUNDS == 0)
            except (LedgerUnavailable, LedgerError, SpoolError) as error:
                if not self._failures:
                    log.error("usage: %s; sightings stay in the spool until it is better", error)  # noqa: TRY400
                self._failures = min(self._failures + 1, 10)
            except Exception:
                # A mistake of ours, or data nobody foresaw: a thread that is gone would let the spool grow for ever.
                log.exception("usage: the round failed; sightings stay in the spool until it is better")
                self._failures = min(self._failures + 1, 10)
            else:
                if self._failures:
                    log.info("usage: the ledger is reached again")
                self._failures = 0
