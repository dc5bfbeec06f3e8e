"""Churn: are the identities people, or sessions? An id that is new with every session inflates a count.

What tells them apart is whether anybody comes back. A person who asks twice is new once; a session's id is new with
every session. So the measure of a source is, over the last day, the share of its requests that came from an identity
never seen before. Where nobody ever comes back it is one over the requests per identity; where people return it falls
towards zero. A source whose share is above a half has fewer than two requests per new identity.

Everybody is new to an empty memory. A process remembers the identities of the running calendar month, or since its own
start if that is later, and measures nothing on the first day of that: who comes every day is known by its end. What
this cannot tell from sessions is a service that nearly everybody uses once, so it warns and changes nothing: no count
is ever corrected by it.

Memory is bounded by sampling: pseudonyms are keyed hashes, so those with k zero bits at the end are one identity in 2^k
by nobody's choice (adaptive sampling: Wegman, analyzed in Flajolet 1990). Requests are counted; new identities are
estimated from the sample, with a standard error of up to a tenth at the end of a month.
"""

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from guard.usage.period import Calendar, month_of

LEAST = 1000
"""Requests of a source in the last day below which nothing is said about it."""
THRESHOLD = 0.5
"""Share above which a source is suspected."""
SAMPLE = 4096
"""Identities of a source that are remembered at most."""
HOUR, DAY = 3600.0, 86400.0
HOURS = 24
"""Of the window; the last is the running one."""
LEARNING = 24
"""Hours of a new memory in which nothing is measured."""


class Measure(NamedTuple):
    """The churn of one source over the last day."""

    source: str
    ratio: float
    """Share of the requests that came from identities never seen before, 0 to 1."""
    requests: int

    @property
    def suspect(self) -> bool:
        """True if the source's ids may be sessions."""
        return self.ratio > THRESHOLD

    @property
    def reason(self) -> str:
        """What a suspected source means for a count."""
        return (
            f"{self.ratio:.0%} of {self.requests} requests identified by {self.source} in the last day came from "
            "identities never seen before: these may be sessions rather than people"
        )


class _Source:
    """What is known of one source of identities."""

    __slots__ = ("known", "mask", "new", "past", "requests", "warned")

    def __init__(self) -> None:
        self.known: set[int] = set()
        """The sample: pseudonyms of which no bit of ``mask`` is set."""
        self.mask = 0
        self.requests = self.new = 0
        """Of the running hour."""
        self.past: deque[tuple[int, int]] = deque(maxlen=HOURS - 1)
        """Requests and new identities of the hours before it."""
        self.warned = -DAY

    def remember(self, key: int) -> None:
        self.new += self.mask + 1
        self.known.add(key)
        while len(self.known) > SAMPLE:
            self.mask = 2 * self.mask + 1
            self.known = {other for other in self.known if not other & self.mask}

    def close(self, *, measured: bool) -> None:
        """End the running hour."""
        if measured:
            self.past.append((self.requests, self.new))
        self.requests = self.new = 0


class Churn:
    """The churn of one process, by source. ``warn`` is called at most once a day for each source that is suspected."""

    def __init__(self, calendar: Calendar, warn: Callable[[Measure], None]) -> None:
        self._calendar = calendar
        self._warn = warn
        self._sources: dict[str, _Source] = {}
        self._begun = self._hour_ends = self._month_ends = 0.0
        self._hours = 0
        """Hours that have ended since ``_begun``."""
        self._turning = Lock()

    def note(self, source: str, key: int, now: float) -> None:
        """Note an answered request that ``source`` identified as the pseudonym ``key``, at ``now`` (epoch seconds)."""
        if now >= self._hour_ends:
            with self._turning:
                self._turn(now)
        known = self._sources.get(source)
        if known is None:
            known = self._sources[source] = _Source()
        known.requests += 1
        if not key & known.mask and key not in known.known:
            known.remember(key)

    def measures(self, now: float) -> list[Measure]:
        """Return the churn of every source with enough requests in the last day; none on the memory's first day."""
        with self._turning:
            if now >= self._hour_ends:
                self._turn(now)
            return self._measured()

    def _measured(self) -> list[Measure]:
        found = []
        for name, source in list(self._sources.items()) if self._hours >= LEARNING else ():
            requests = source.requests + sum(hour[0] for hour in source.past)
            if requests >= LEAST:
                new = source.new + sum(hour[1] for hour in source.past)
                found.append(Measure(name, min(new / requests, 1.0), requests))
        return found

    def _turn(self, now: float) -> None:
        """Go on to the hour that ``now`` is in, and to an empty memory where a month begins: it may have a new key."""
        if now < self._hour_ends:
            return  # another thread was faster
        if now >= self._month_ends:
            month = self._calendar.parse(month_of(self._calendar.day(now)))
            self._begun = month.start if self._month_ends else now
            self._month_ends = month.end
            self._sources.clear()
            self._hours = 0
        hours = int((now - self._begun) // HOUR)
        for hour in range(self._hours, hours)[: HOURS + 1]:
            for source in self._sources.values():
                source.close(measured=hour >= LEARNING)
        self._hours = hours
        self._hour_ends = self._begun + (hours + 1) * HOUR
        for measure in self._measured():
            source = self._sources[measure.source]
            if measure.suspect and now - source.warned >= DAY:
                source.warned = now
                self._warn(measure)
