"""A bucket of entries: strangers can knock as often as they like, but not fill the disk with their knocking."""

from collections.abc import Callable


class Throttle:
    """Lets ``burst`` events through at once and ``rate`` a second after that; counts the others."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = float(burst), clock()
        self._held_back = 0

    def admit(self) -> int | None:
        """Return None if this event is to be held back, else how many were since the last one that was not."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            self._held_back += 1
            return None
        self._left -= 1
        held_back, self._held_back = self._held_back, 0
        return held_back
