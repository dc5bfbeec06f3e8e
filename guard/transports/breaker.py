"""A circuit breaker: a service that keeps failing is left alone for a while, then tried with one request."""

from collections import deque
from enum import Enum


class Turn(Enum):
    """Leave to make one attempt. It ends in ``succeeded``, ``failed`` or ``gave_up``."""

    ATTEMPT = 0
    PROBE = 1
    """The one attempt that decides whether it closes."""


class Breaker:
    """Closed: everybody may try. Open: nobody, for ``rest`` seconds. Then one may, and what becomes of it decides.

    It opens after ``failures`` in a row, or when at least ``rate`` of the last ``window`` attempts failed. Attempts
    that were begun before it opened change nothing any more. Times are seconds of one monotonic clock. Not for several
    threads.
    """

    __slots__ = ("_failures", "_opened", "_outcomes", "_probing", "_rate", "_rest", "_row")

    def __init__(self, *, failures: int, rate: float, window: int, rest: float) -> None:
        self._failures, self._rate, self._rest = failures, rate, rest
        self._outcomes: deque[bool] = deque(maxlen=window)
        self._row = 0
        self._opened: float | None = None
        self._probing = False

    @property
    def open(self) -> bool:
        """True from when it opened until a probe has succeeded."""
        return self._opened is not None

    def admit(self, now: float) -> Turn | None:
        """Return leave to make one attempt, or None."""
        if self._opened is None:
            return Turn.ATTEMPT
        if self._probing or now - self._opened < self._rest:
            return None
        self._probing = True
        return Turn.PROBE

    def succeeded(self, turn: Turn) -> None:
        """The attempt succeeded."""
        if turn is Turn.PROBE:
            self._opened, self._probing, self._row = None, False, 0
            self._outcomes.clear()
        elif self._opened is None:
            self._row = 0
            self._outcomes.append(True)

    def failed(self, turn: Turn, now: float) -> None:
        """The attempt failed at ``now``."""
        if turn is Turn.PROBE:
            self._opened, self._probing = now, False
        elif self._opened is None:
            self._row += 1
            self._outcomes.append(False)
            if self._row >= self._failures or self._too_many():
                self._opened = now

    def gave_up(self, turn: Turn) -> None:
        """Whoever made the attempt gave it up: nothing is known of the service."""
        if turn is Turn.PROBE:
            self._probing = False

    def _too_many(self) -> bool:
        seen = len(self._outcomes)
        return seen == self._outcomes.maxlen and self._outcomes.count(False) >= self._rate * seen
