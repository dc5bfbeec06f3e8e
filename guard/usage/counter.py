"""Sightings in, counts out: who was active in this period, under which license, and may one more be?"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from guard.usage.admission import Admissions
from guard.usage.count import Count
from guard.usage.courier import UNSPOOLED, Courier
from guard.usage.flusher import Flusher
from guard.usage.ledger import Ledger, LedgerError, LedgerMismatch, LedgerUnavailable, Scope
from guard.usage.period import Calendar, Kind, month_of
from guard.usage.reservation import Admission, Reservation
from guard.usage.seen import SeenCache
from guard.usage.spool import Spool, SpoolError
from guard.usage.thresholds import AtLimit, Limit
from guard.usage.window import Stack, Tallies, Tally, Window

__all__ = ["Admission", "Count", "Reservation", "UsageCounter"]

LATE = 3600.0
"""Seconds into a period after which the seen cache of the period before is dropped."""
EXPIRE = 3600.0
"""Seconds that the clock has to say the same month before older ones are forgotten, and between such looks."""


class UsageCounter:
    """Counts distinct users per license and period; durable before ``sight`` returns; never discards.

    ``sight``, ``reserve``, ``ask``, ``settle`` and ``counts`` are synchronous and may be called from any thread; only
    ``ask`` waits for the ledger. A thread of its own brings first sights from the spool to the ledger, 50 ms after.
    Make one counter per process, after forking. ``clock`` gives epoch seconds; ``keep`` is the number of months whose
    users the ledger keeps. ``serve_unspooled``: where the spool cannot be written, sightings wait in memory for the
    ledger instead of failing the request. Raises LedgerError if spool and ledger do not fit together.

    Limits. With ``refuse_newcomers`` and ``refuse_all`` the users of an acting limit never exceed ``limit.allowed`` by
    what all processes on one exact ledger admit, however many requests run at once: every newcomer holds a place that
    the ledger granted (see ``Ledger.claim``) from ``reserve`` until it is counted there or ``settle`` gives it back. A
    process that is killed with newcomers in its spool, and comes back only after ``LEASE_SECONDS``, may exceed it by
    those; as may a ledger that lost users. They are counted all the same.
    """

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        calendar: Calendar,
        *,
        seen_capacity: int = 1_000_000,
        keep: int = 3,
        serve_unspooled: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if spool.fsync and not (
            ledger.survives_power_loss or ledger.forgetful
        ):  # the spool keeps what may be forgotten
            raise LedgerError(
                f"usage spool {spool.directory} is to survive power loss, but not the ledger it is emptied into; "
                "allowed: a ledger that syncs every commit (SQLite with ?synchronous=full), or a spool without fsync"
            )
        self._spool, self._calendar = spool, calendar
        self._seen_capacity, self._keep, self._clock = seen_capacity, keep, clock
        self._serve_unspooled = serve_unspooled
        self._tallies = Tallies(calendar)
        self._courier = Courier(ledger, spool, self._tallies, secrets.token_hex(8))
        self._admissions = Admissions(self._courier, self._tallies)
        self.spool_error: SpoolError | None = None
        """Why the last sighting could not be made durable; None once the spool can be written again."""
        self._unread = False
        """True if the window is new and its totals were not read yet."""
        self._window = self._new_window(clock())
        self._other: Window | None = None
        """The period before or after, for requests that are late at the boundary and clocks that are set back."""
        self._turning = threading.Lock()
        self._expiring = "", 0.0
        """The month that the clock says, and since when it was seen to say so."""
        self._flusher = Flusher(self._round)

    def start(self) -> None:
        """Adopt what killed processes left in the spool, read the totals and start the flusher.

        A ledger that cannot be reached now is no error (``ledger_up`` is False and sightings wait in the spool).
        Raises LedgerMismatch for a ledger of another zone or pseudonym key, SpoolError for a spool of another key.
        """
        now = self._clock()
        self._spool.adopt(now)
        with suppress(LedgerUnavailable):
            self._courier.agree_on_key(month_of(self._window.period.id))
            self.flush()
            self._courier.refresh(self._window, now)
            self._courier.replay(now)
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
            self._courier.give_back()
        done = not self._spool.records and not self.unspooled
        self._spool.close()
        return done

    def reserve(self, limits: Sequence[Limit], key: int | None, at_limit: AtLimit, now: float) -> Reservation | None:
        """Decide from memory whether a request may go on, and keep a place for a newcomer; None: ``ask`` has to.

        ``observe``: always admitted. Otherwise only limits that act do so, each by these rules:

        - A user already counted in the period passes; with ``refuse_all`` only while the count is not over what is
          allowed: then the license's condition is broken and nobody is served.
        - A newcomer passes only while the ledger has a place for it, so that the condition stays fulfilled.
        - ``key`` None is a newcomer that can never become known. It holds no place, as it never adds to the users.

        Numbers declared for services that Guard does not see leave fewer places.
        """
        return self._admissions.reserve(self._window_at(now), limits, key, at_limit, now)

    def ask(self, limits: Sequence[Limit], key: int | None, at_limit: AtLimit, now: float) -> Reservation:
        """Decide as ``reserve`` does, by a trip to the ledger: for a worker thread, not for an event loop.

        Raises LedgerUnavailable, LedgerError or SpoolError if the ledger cannot be asked.
        """
        return self._admissions.ask(self._window_at(now), limits, key, at_limit, now)

    def settle(self, reservation: Reservation) -> None:
        """Give back the place that ``reservation`` holds; idempotent. To be called after ``sight``, or on failure."""
        if reservation.serial:
            self._admissions.settle(reservation)

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
            with self._tallies.lock:
                stack = window.resolve(names)
        if key is None:
            with self._tallies.lock:
                for member in stack.members:
                    for tally in member.tallies:
                        tally.unidentified += 1
            self._flusher.due()
            return False
        mask, seen = stack.mask, window.seen
        if (mask and seen.has(key, mask)) or not names:
            return False
        return self._first(window, stack, key, now)

    def _first(self, window: Window, stack: Stack, key: int, now: float) -> bool:
        scarce = False
        with self._tallies.lock:
            known = window.seen.mask(key)
            if known:
                stack = stack.without(known)
                if not stack.members:  # another thread was faster
                    return False
            fresh = [member.scope for member in stack.members]
            try:
                self._spool.append(fresh, key, now)
                self.spool_error = None
            except SpoolError as error:
                self.spool_error = error
                held = self._hold(stack, key)
                if held is None:
                    self._flusher.due()  # it is to find out when there is room again
                    raise
                fresh = held
            window.seen.add(key, sum(member.bit for member in stack.members))
            for member in stack.members:
                for tally in member.tallies:
                    tally.pending += member.scope in fresh
                    tally.places.pop(key, None)
                    scarce = scarce or (tally.allowed is not None and tally.scarce)
        if scarce:
            self._flusher.nudge()
        else:
            self._flusher.due()
        return True

    def _hold(self, stack: Stack, key: int) -> list[Scope] | None:
        """Keep in memory a sighting that could not be spooled, if that is wanted and there is room for it.

        Returns the scopes in which it was not waiting already; None if it is not kept.
        """
        waiting = self._courier.unspooled
        if not self._serve_unspooled or sum(map(len, waiting.values())) >= UNSPOOLED:
            return None
        fresh = [member.scope for member in stack.members if key not in waiting.get(member.scope, ())]
        for scope in fresh:
            waiting.setdefault(scope, set()).add(key)
        return fresh

    def seen(self, license: str, key: int, now: float) -> bool:
        """Return True if this process knows ``key`` to be counted under ``license``: from memory, no I/O."""
        window = self._window_at(now)
        member = window.members.get(license)
        return member is not None and bool(member.bit) and window.seen.has(key, member.bit)

    def counts(self, now: float, kind: Kind = Kind.MONTH) -> Mapping[str, Count]:
        """Return the count of the current period of ``kind`` by license, from memory: no I/O.

        A kind that is not tracked has no counts.
        """
        window = self._window_at(now)
        period = window.periods.get(kind)
        if period is None:
            return {}
        complete, known = self._courier.complete(period), period in self._courier.known
        with self._tallies.lock:
            tallies = [(name, self._tallies.of(Scope(period, name))) for name in window.members]
            return {name: _count(name, kind, tally, complete=complete, known=known) for name, tally in tallies}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of periods that are counted."""
        return self._calendar.kinds

    @property
    def exact(self) -> bool:
        """False if the ledger estimates."""
        return self._courier.ledger.exact

    @property
    def spool_records(self) -> int:
        """Records in this process's spool segments that the ledger has not acknowledged."""
        return self._spool.records

    @property
    def spool_oldest_seconds(self) -> float:
        """Age of the oldest of them; 0 if there are none."""
        return self._spool.oldest_seconds(self._clock())

    @property
    def refusing(self) -> bool:
        """True while a first sighting would be refused: the spool cannot be written, and memory may not take it."""
        if self.spool_error is None:
            return False
        return not self._serve_unspooled or self.unspooled >= UNSPOOLED

    @property
    def unspooled(self) -> int:
        """Sightings that could not be spooled and wait in memory for the ledger: a crash now would lose them."""
        with self._tallies.lock:
            return sum(map(len, self._courier.unspooled.values()))

    @property
    def damaged_records(self) -> int:
        """Spool records whose checksum is wrong, skipped and set aside: with any, counts are lower bounds."""
        return self._spool.damaged_records

    @property
    def ledger_up(self) -> bool:
        """True if the ledger answered last and took what it was last given, and the flusher, if started, still runs."""
        return self._courier.up and self._courier.mismatch is None and self._flusher.healthy

    @property
    def mismatch(self) -> LedgerMismatch | None:
        """Why the ledger takes nothing from this process at all: another zone or key. None if it does."""
        return self._courier.mismatch

    @property
    def replays(self) -> int:
        """Times that the ledger was restarted or replaced, and got everything kept once more."""
        return self._courier.replays

    @property
    def first_sightings(self) -> int:
        """Users that this process was the first to bring into a month of the ledger since its start."""
        return self._courier.first_sightings

    def flush(self) -> None:
        """Bring everything that is in the spool now to the ledger.

        Raises LedgerUnavailable, LedgerMismatch (the ledger is of another zone), SpoolError (a segment is unreadable).
        """
        self._courier.flush(self._clock())

    def refresh(self) -> None:
        """Read the current periods' numbers, which sibling processes add to. Raises as ``flush``."""
        now = self._clock()
        window = self._window_at(now)
        if self._courier.refresh(window, now):
            window.seen = SeenCache(self._seen_capacity)  # whoever was never spooled has to be seen once more
        self._unread = self._unread and window is not self._window

    def _round(self, *, refresh: bool, adopt: bool) -> None:
        """One round of the flusher. Raises LedgerUnavailable, LedgerError, SpoolError."""
        now = self._clock()
        self._spool.rotate(now)
        if self.spool_error is not None:  # whoever is not ready gets no requests: find out without one
            with suppress(*[SpoolError] * self._serve_unspooled):  # what waits in memory is to go on
                self._spool.probe()
                self.spool_error = None
        try:
            self.flush()
        finally:  # a segment that cannot be read keeps no number from being read
            if refresh or self._unread:
                self._window_at(now)  # midnight comes without requests too
                self.refresh()
        if adopt:
            self._expire(now)
            if self._other is not None and now - self._window.start > LATE:
                self._other = None
            self._courier.replay(now)
            self._spool.adopt(now)
            self._flusher.due()  # what was adopted is brought by the next round

    def _expire(self, now: float) -> None:
        """Let periods that are over be forgotten, once an hour: not by a clock that is ahead for less than that."""
        month = month_of(self._calendar.day(now))
        if month != self._expiring[0] or now < self._expiring[1]:
            self._expiring = month, now
        elif now >= self._expiring[1] + EXPIRE:
            self._courier.expire(now, self._keep)
            self._expiring = month, now

    def _window_at(self, now: float) -> Window:
        window = self._window
        if window.start <= now < window.end:
            return window
        with self._turning:
            window, other = self._window, self._other
            if window.start <= now < window.end:
                return window
            if other is not None and other.start <= now < other.end:
                return other
            new = self._new_window(now)
            with self._tallies.lock:
                self._tallies.forget([*new.periods.values(), *window.periods.values()])
            if new.start < window.start:
                self._other = new
            else:
                self._window, self._other, self._unread = new, window, True
                self._flusher.due()
            return new

    def _new_window(self, now: float) -> Window:
        return Window(self._calendar.period(now), self._calendar.periods(now), self._seen_capacity, self._tallies)


def _count(name: str, kind: Kind, tally: Tally, *, complete: bool, known: bool) -> Count:
    return Count(
        name,
        kind,
        tally.scope.period,
        tally.users,
        tally.totals,
        tally.totals.unidentified + tally.unidentified - tally.unidentified_sent,
        tally.pending,
        tally.lost,
        tally.declarations,
        complete,
        known,
    )
