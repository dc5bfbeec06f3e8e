"""Sightings in, counts out: who was active in this period, under which license, and may one more be?"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from guard.usage.count import Count
from guard.usage.flusher import Flusher
from guard.usage.ledger import Ledger, LedgerError, LedgerUnavailable, Scope, Written
from guard.usage.period import Calendar
from guard.usage.reservation import Admission, Reservation
from guard.usage.segment import Batch
from guard.usage.spool import Spool, SpoolError
from guard.usage.thresholds import AtLimit, Limit, State
from guard.usage.window import Tally, Window

__all__ = ["Admission", "Count", "Reservation", "UsageCounter"]

GROUP = 4096
"""Records that one ledger transaction takes at most."""
LATE = 3600.0
"""Seconds into a period after which the seen cache of the period before is dropped."""
NEAR = 1000
"""Users below a limit from which on a newcomer's sighting goes to the ledger at once, for sibling processes to see."""


_ADMITTED = Reservation(Admission.ADMITTED)


class UsageCounter:
    """Counts distinct users per license and period; durable before ``sight`` returns; never discards.

    ``sight``, ``reserve``, ``settle``, ``counts`` and ``states`` are synchronous and may be called from any thread.
    A thread of its own brings first sights from the spool to the ledger, every 50 ms. Make one counter per process,
    after forking. ``clock`` gives epoch seconds. Raises LedgerError if spool and ledger do not fit together.

    Limits. With ``refuse_newcomers`` and ``refuse_all`` the users of a standing limit never exceed ``limit.allowed``
    by what this process admits, however many requests run at once: a newcomer holds a place from ``reserve`` until
    ``sight`` counts it or ``settle`` gives it back. Sibling processes on one ledger see each other's users when they
    have reached the ledger (at once within 1,000 users of a limit, else within 50 ms) but not each other's places, so
    together they can exceed a limit by at most the newcomers the others had in flight or in the spool at that moment.
    """

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        calendar: Calendar,
        *,
        seen_capacity: int = 1_000_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if spool.key_fingerprint != ledger.key_fingerprint:
            raise LedgerError(
                f"usage spool {spool.directory} is of pseudonym key {spool.key_fingerprint}, the ledger of key "
                f"{ledger.key_fingerprint}; allowed: one key for both"
            )
        if spool.fsync and not ledger.survives_power_loss:
            raise LedgerError(
                f"usage spool {spool.directory} is to survive power loss, but not the ledger it is emptied into; "
                "allowed: a ledger with ?synchronous=full, or a spool without fsync"
            )
        self._ledger, self._spool, self._calendar = ledger, spool, calendar
        self._seen_capacity, self._clock = seen_capacity, clock
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._commits = 0
        """Odd while a commit is under way whose users are in the ledger and in ``pending``."""
        self._tallies: dict[Scope, Tally] = {}
        self._reservations: dict[int, tuple[Tally, ...]] = {}
        self._serial = 0
        self._first_sightings = 0
        self.spool_error: SpoolError | None = None
        """Why the last sighting could not be made durable; None once the spool can be written again."""
        self._bound = self._ledger_up = False
        self._unread = False
        """True if the window is new and its totals were not read yet."""
        self._window = Window(calendar.period(clock()), seen_capacity, self._tallies)
        self._other: Window | None = None
        """The period before or after, for requests that are late at the boundary and clocks that are set back."""
        self._flusher = Flusher(self._round)

    def start(self) -> None:
        """Adopt what killed processes left in the spool, read the totals and start the flusher.

        A ledger that cannot be reached now is no error (``ledger_up`` is False and sightings wait in the spool).
        Raises LedgerMismatch for a ledger of another zone and SpoolError for a spool of another key.
        """
        self._spool.adopt(self._clock())
        with suppress(LedgerUnavailable):
            self.refresh()
            self.flush()
        self._flusher.start()

    def stop(self, timeout: float) -> bool:
        """Flush and stop within about ``timeout`` seconds; ``sight`` raises SpoolError from then on.

        Returns True if the ledger has everything; what it does not have stays in the spool for the next start. The
        ledger is not closed.
        """
        if not self._flusher.stop(timeout):
            return False
        with suppress(LedgerUnavailable, LedgerError, SpoolError):
            self.flush()
        done = not self._spool.records
        self._spool.close()
        return done

    def reserve(self, limits: Sequence[Limit], key: int | None, at_limit: AtLimit, now: float) -> Reservation:
        """Decide whether a request may go on and keep a place for a newcomer under a standing limit.

        ``observe``: always admitted. Otherwise only limits that act do so, each by these rules:

        - A user already counted in this period (seen cache, else the ledger) passes; with ``refuse_all`` only while
          the count is not over ``limit.allowed``: then the license's condition is broken and nobody is served.
        - A newcomer passes only if count + places of other newcomers < ``limit.allowed``, so that it stays fulfilled.
        - ``key`` None is a newcomer that can never become known. It holds no place, as it never adds to the users.

        A user whom this process has not seen costs two reads of the ledger. Raises LedgerUnavailable if they fail.
        """
        if at_limit is AtLimit.OBSERVE:
            return _ADMITTED
        window = self._window_at(now)
        newcomer: list[tuple[Limit, Tally]] = []
        for limit in limits:
            if not limit.acts:
                continue
            tally = window.tallies.get(limit.license) or self._tally(window, limit.license)
            if key is not None and self._knows(window, tally, key):
                if at_limit is AtLimit.REFUSE_ALL and limit.state(tally.count) is State.OVER:
                    return Reservation(Admission.REFUSED, limit)
            else:
                self._reread(tally)
                newcomer.append((limit, tally))
        return self._admit(window, newcomer, key) if newcomer else _ADMITTED

    def settle(self, reservation: Reservation) -> None:
        """Give back the place that ``reservation`` holds; idempotent. To be called after ``sight``, or on failure."""
        if not reservation.serial:
            return
        key = reservation.key
        assert key is not None
        with self._lock:
            for tally in self._reservations.pop(reservation.serial, ()):
                requests = tally.places.get(key, 0)
                if requests > 1:
                    tally.places[key] = requests - 1
                elif requests:
                    del tally.places[key]

    def sight(self, licenses: Sequence[str], key: int | None, now: float) -> bool:
        """Make the sighting of ``key`` durable and return True if it is the first this process knows of in the period.

        ``now`` is epoch seconds. A repeat does no I/O. A user of before a restart, or of a sibling process, is first
        once more; the ledger counts it once. ``key`` None adds one to the unidentified total of each license, in
        memory (a kill -9 loses those not flushed), and returns False.

        Raises SpoolError when it cannot be made durable: then no byte of a 2xx answer may leave.
        """
        window = self._window
        if not window.start <= now < window.end:
            window = self._window_at(now)
        names = tuple(licenses)
        stack = window.stacks.get(names)
        if stack is None:
            with self._lock:
                stack = window.resolve(names)
        if key is None:
            with self._lock:
                for tally in stack.tallies:
                    tally.unidentified_pending += 1
            return False
        mask, seen = stack.mask, window.seen
        if (mask and seen.has(key, mask)) or not names:
            return False
        near = False
        with self._lock:
            known = seen.mask(key)
            if known:
                stack = stack.without(known)
                if not stack.tallies:  # another thread was faster
                    return False
            try:
                self._spool.append(stack.scopes, key, now)
            except SpoolError as error:
                self.spool_error = error
                raise
            self.spool_error = None
            seen.add(key, sum(stack.bits))
            for tally in stack.tallies:
                tally.pending += 1
                if tally.places and tally.places.pop(key, 0) and tally.near:
                    near = True
        if near:
            self._flusher.nudge()
        return True

    def seen(self, license: str, key: int, now: float) -> bool:
        """Return True if this process knows ``key`` to be counted under ``license``: from memory, no I/O."""
        window = self._window_at(now)
        bit = window.bits.get(license, 0)
        return bool(bit) and window.seen.has(key, bit)

    def counts(self, now: float) -> Mapping[str, Count]:
        """Return the current period's count by license id, from memory: no I/O."""
        window = self._window_at(now)
        with self._lock:
            return {
                name: Count(
                    name, window.period.id, tally.count, tally.unidentified + tally.unidentified_pending, tally.pending
                )
                for name, tally in window.tallies.items()
            }

    def states(self, limits: Sequence[Limit], now: float) -> Mapping[tuple[str, str], State]:
        """Return the state of each limit by (license, limit id), from memory: no I/O."""
        tallies = self._window_at(now).tallies
        return {
            (limit.license, limit.id): limit.state(tally.count if (tally := tallies.get(limit.license)) else 0)
            for limit in limits
        }

    @property
    def spool_records(self) -> int:
        """Records in this process's spool segments that the ledger has not acknowledged."""
        return self._spool.records

    @property
    def spool_oldest_seconds(self) -> float:
        """Age of the oldest of them; 0 if there are none."""
        return self._spool.oldest_seconds(self._clock())

    @property
    def damaged_records(self) -> int:
        """Spool records whose checksum is wrong, skipped and set aside: with any, counts are lower bounds."""
        return self._spool.damaged_records

    @property
    def ledger_up(self) -> bool:
        """True if the last attempt to reach the ledger succeeded and the flusher, once started, still runs."""
        return self._ledger_up and self._flusher.healthy

    @property
    def first_sightings(self) -> int:
        """Users that this process was the first to bring into the ledger since its start, over all licenses."""
        return self._first_sightings

    def flush(self) -> None:
        """Bring everything that is in the spool now to the ledger.

        Raises LedgerUnavailable, LedgerMismatch (the ledger is of another zone), SpoolError (a segment is unreadable).
        """
        with self._reaching_ledger():
            while self._flush_group():
                pass

    def refresh(self) -> None:
        """Read the current period's totals, which sibling processes add to. Raises as ``flush``."""
        window = self._window
        with self._reaching_ledger():
            totals = self._ledger.totals(window.period.id)
            with self._lock:
                self._unread = self._unread and window is not self._window
                for name, (users, unidentified) in totals.items():
                    tally = window.tally(name)
                    tally.users, tally.unidentified = users, unidentified

    @contextmanager
    def _reaching_ledger(self) -> Iterator[None]:
        with self._flushing:
            try:
                if not self._bound:
                    self._ledger.bind(self._calendar.zone)
                    self._bound = True
                yield
            except (LedgerUnavailable, LedgerError):
                self._ledger_up = False
                raise
            self._ledger_up = True

    def _round(self, *, refresh: bool, adopt: bool) -> None:
        """One round of the flusher. Raises LedgerUnavailable, LedgerMismatch, SpoolError."""
        now = self._clock()
        self._spool.rotate(now)
        if self.spool_error is not None:  # whoever is not ready gets no requests: find out without one
            self._spool.probe()
            self.spool_error = None
        if refresh or self._unread:
            self.refresh()
        self.flush()
        if adopt:
            self._spool.adopt(now)
            if self._other is not None and now - self._window.start > LATE:
                self._other = None

    def _flush_group(self) -> bool:
        batch = self._spool.next_batch(GROUP)
        with self._lock:
            unidentified = {
                tally.scope: tally.unidentified_pending
                for tally in self._tallies.values()
                if tally.unidentified_pending
            }
            if batch is None and not unidentified:
                return False
            self._commits += 1
        written: Mapping[Scope, Written] = {}
        try:
            written = self._ledger.write(batch.sightings if batch else {}, unidentified)
        finally:
            with self._lock:
                self._commits += 1
                self._apply(written, batch, unidentified)
        if batch:
            self._spool.acknowledge(batch)
        return True

    def _apply(self, written: Mapping[Scope, Written], batch: Batch | None, unidentified: Mapping[Scope, int]) -> None:
        for scope, (new, users, anonymous) in written.items():
            self._first_sightings += new
            tally = self._tallies.get(scope)
            if tally is None and scope.period == self._window.period.id:  # adopted from another process
                tally = self._window.tally(scope.license)
            if tally is None:
                continue
            tally.users, tally.unidentified = users, anonymous
            tally.unidentified_pending -= unidentified.get(scope, 0)
            if batch and not batch.segment.adopted:
                tally.pending -= len(batch.sightings.get(scope, ()))

    def _window_at(self, now: float) -> Window:
        window = self._window
        if window.start <= now < window.end:
            return window
        with self._lock:
            window, other = self._window, self._other
            if window.start <= now < window.end:
                return window
            if other is not None and other.start <= now < other.end:
                return other
            period = self._calendar.period(now)
            for scope in [scope for scope, tally in self._tallies.items() if tally.idle]:
                if scope.period not in {period.id, window.period.id}:
                    del self._tallies[scope]
            new = Window(period, self._seen_capacity, self._tallies)
            if new.start < window.start:
                self._other = new
            else:
                self._window, self._other, self._unread = new, window, True
            return new

    def _tally(self, window: Window, name: str) -> Tally:
        with self._lock:
            return window.tally(name)

    def _knows(self, window: Window, tally: Tally, key: int) -> bool:
        bit = window.bits[tally.scope.license]
        if bit and window.seen.has(key, bit):
            return True
        if not self._ledger.contains(tally.scope, key):
            return False
        with self._lock:
            window.seen.add(key, bit)
        return True

    def _reread(self, tally: Tally) -> None:
        before = self._commits
        users = self._ledger.users(tally.scope)
        with self._lock:
            # While a commit is under way its users may be in the ledger and in ``pending`` too: then the number of
            # the last commit, with all pending ones added, is the exact one.
            if before % 2 == 0 and before == self._commits:
                tally.users = users

    def _admit(self, window: Window, newcomer: Sequence[tuple[Limit, Tally]], key: int | None) -> Reservation:
        with self._lock:
            for limit, tally in newcomer:
                if key is not None and window.seen.mask(key) & window.bits[limit.license]:
                    continue  # a request that ran beside this one has just made the user known
                taken = tally.count + len(tally.places) - (key in tally.places)
                tally.near = taken + NEAR >= limit.allowed
                if taken >= limit.allowed:
                    return Reservation(Admission.REFUSED, limit)
            if key is None:
                return _ADMITTED
            tallies = tuple(dict.fromkeys(tally for _, tally in newcomer))
            for tally in tallies:
                tally.places[key] = tally.places.get(key, 0) + 1
            self._serial += 1
            self._reservations[self._serial] = tallies
            names = tuple(tally.scope.license for tally in tallies)
            return Reservation(Admission.ADMITTED, None, names, key, self._serial)
