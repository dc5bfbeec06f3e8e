"""The thread that brings sightings from the spool to the ledger, and waits longer while the ledger is down."""

import logging
import threading
import time
from typing import Protocol

from guard.usage.ledger import LedgerError, LedgerUnavailable
from guard.usage.segment import SpoolError

INTERVAL = 0.05
"""Seconds between group commits."""
REFRESH = 1.0
"""Seconds between readings of the totals."""
ADOPT = 10.0
"""Seconds between looks for segments of killed siblings."""
LONGEST_WAIT = 5.0
"""Seconds between attempts while the ledger is down."""

log = logging.getLogger(__name__)


class Round(Protocol):
    """One round of work."""

    def __call__(self, *, refresh: bool, adopt: bool) -> None:
        """Flush; ``refresh`` the totals; ``adopt`` orphans. Raises LedgerUnavailable, LedgerError, SpoolError."""


class Flusher:
    """Calls ``work`` in a daemon thread until stopped: every 50 ms while there is something to bring, else every
    second.

    Users who come back bring nothing: while nobody else comes there is nothing to wake up for.
    """

    def __init__(self, work: Round, *, interval: float = INTERVAL) -> None:
        self._work = work
        self._interval = interval
        self._stopping = threading.Event()
        self._due = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="guard-usage-flusher", daemon=True)
        self._thread.start()

    def due(self) -> None:
        """There is something to bring: flush at the end of the interval."""
        if not self._due.is_set():
            self._due.set()

    def nudge(self) -> None:
        """Flush now rather than at the end of the interval; while the ledger is down this changes nothing."""
        self._wake.set()
        self._due.set()

    def stop(self, timeout: float) -> bool:
        """End the thread; returns False if it still works after ``timeout`` seconds. Idempotent."""
        self._stopping.set()
        self._wake.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    @property
    def healthy(self) -> bool:
        """False if the thread was started and has died."""
        return self._thread is None or self._thread.is_alive() or self._stopping.is_set()

    def _run(self) -> None:
        refreshed = adopted = time.monotonic()
        while not self._stopping.is_set():
            if self._failures:
                self._stopping.wait(min(LONGEST_WAIT, self._interval * 2**self._failures))
            elif self._due.wait(max(0.0, refreshed + REFRESH - time.monotonic())):
                self._wake.wait(self._interval)  # who else comes meanwhile is in the same commit
            self._due.clear()
            self._wake.clear()
            now = time.monotonic()
            refresh, adopt = self._failures > 0 or now >= refreshed + REFRESH, now >= adopted + ADOPT
            refreshed, adopted = now if refresh else refreshed, now if adopt else adopted
            try:
                self._work(refresh=refresh, adopt=adopt)
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
