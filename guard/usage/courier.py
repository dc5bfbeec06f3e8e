"""The courier: brings sightings from the spool to the ledger and the ledger's numbers back, one trip at a time."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from itertools import chain, islice

from guard.usage.ledger import Ledger, LedgerError, LedgerMismatch, LedgerUnavailable, Scope, Totals
from guard.usage.memory import Memory
from guard.usage.period import Kind, days_of, month_before, month_of
from guard.usage.segment import Batch
from guard.usage.spool import Spool, SpoolError
from guard.usage.window import NOTHING, Tallies, Tally, Window

GROUP = 4096
"""Records that one write takes at most."""
EXTRA = 1000
"""Free places that a process asks for beside those in use: newcomers who need no trip to the ledger."""
LEASE = 1800.0
"""Seconds that free places are given away without a renewed claim: half the ledger's lease (``LEASE_SECONDS``)."""
DAY = 86400.0
PATIENCE = 1.0
"""Seconds that a request waits for others' trips, and for which nobody asks a ledger again that did not answer."""
SKEW = 600.0
"""Seconds before midnight from which on sightings go into the next day's windows too: clocks differ."""
UNSPOOLED = 1_000_000
"""Sightings that are held in memory at most where the spool cannot be written and requests are served all the same."""

log = logging.getLogger(__name__)


class Courier:
    """Everything one process asks of its ledger; ``owner`` names it there, unique per process start.

    ``flush``, ``refresh`` and ``ask`` may be called from any thread and wait for each other. They raise
    LedgerUnavailable, LedgerError (LedgerMismatch: another zone's or key's) and SpoolError, after which nothing is
    lost and they may be called again.
    """

    def __init__(self, ledger: Ledger, spool: Spool, tallies: Tallies, owner: str) -> None:
        self.ledger, self.spool, self.tallies = ledger, spool, tallies
        self._calendar = tallies.calendar
        self._owner = owner
        self._travelling = threading.Lock()
        self._bound = False
        self._keys: dict[str, str] = {}
        """Fingerprints the ledger agreed to, by month."""
        self._merged = ""
        """The day whose rolling windows have their earlier days."""
        self._tracked_from: str | None = None
        self._expired: set[str] = set()
        self.known: frozenset[str] = frozenset()
        """Periods whose numbers the ledger has told since this process began."""
        self._refusing_until = 0.0
        self._held = False
        """True once the ledger has sightings that no spool has."""
        self._memory: Memory | None = None
        """Of a ledger that may forget, once it was reached."""
        self.unspooled: dict[Scope, set[int]] = {}
        """Sightings that could not be spooled: the next trip takes them. Written under the lock of the tallies."""
        self._answers = False
        """True if the last trip that asked the ledger anything was answered."""
        self._refused: set[str] = set()
        """Kinds of writes of which the last one failed: that a full ledger can be read says nothing of writes."""
        self.mismatch: LedgerMismatch | None = None
        """Why the ledger and this process do not belong together."""
        self.first_sightings = 0
        """Users that this process was the first to bring into a month of the ledger since its start."""
        self.replays = 0
        """Times that the ledger may have lost something and was given everything kept once more."""

    @property
    def up(self) -> bool:
        """True if the ledger answered last, and took what it was last given."""
        return self._answers and not self._refused

    def flush(self, now: float) -> None:
        """Bring everything that is in the spool now to the ledger, and give back the places this used up."""
        with self._travel(asks=False):
            self._flush(now)
            with self.tallies.lock:
                scarce = [each for each in self.tallies.by_scope.values() if each.scarce and each.used]
            for tally in scarce:  # elsewhere the next refresh will do
                self._claim(tally, tally.allowed or 0, 0, now)
        self.mismatch = None  # that it can be read says nothing of whose keys it has

    def replay(self, now: float) -> None:
        """Write again what siblings' segments have from another life of the ledger, if it may forget."""
        if self.ledger.forgetful:
            with self._travel(asks=False):
                self._write_again(self.spool.kept(GROUP), now)

    def refresh(self, window: Window, now: float) -> bool:
        """Read the numbers of the window's periods, which other processes add to, and renew claims to places.

        Returns True if the ledger lost sightings that were never spooled: then nobody counts as seen any more.
        """
        lost = False
        with self._travel():
            if self._memory is not None:
                lost = self._follow_incarnation(self._memory, now) and self._held
            self._merge(window)
            for kind, period in window.periods.items():
                self._read(window, kind, period)
            if self._memory is not None:
                _noted(self._memory.note)
            with self.tallies.lock:
                claimed = [tally for tally in self.tallies.by_scope.values() if tally.allowed is not None]
            if not claimed:  # those that were refused are not wanted any more
                self._refused.discard("places")
            for tally in claimed:
                self._claim(tally, tally.allowed or 0, 0, now)
        return lost

    def ask(self, tally: Tally, key: int | None, allowed: int, now: float) -> bool:
        """Ask the ledger whether ``key`` is a user of the tally's scope, or else for a free place: one trip.

        Returns True if the user is known. The places that were granted are in the tally, for the caller to look at
        under the lock.
        """
        if not self._answers and now < self._refusing_until:
            raise LedgerUnavailable("the ledger did not answer a moment ago")
        try:
            with self._travel(PATIENCE):
                if key is not None and self.ledger.exact and self.ledger.contains(tally.scope, key):
                    return True
                if tally.pending:
                    with suppress(SpoolError):  # what cannot be read back keeps its place
                        self._flush(now)
                self._claim(tally, allowed, 1, now)
                return False
        except LedgerUnavailable:  # whoever comes next is not to wait as long for the same answer
            self._refusing_until = now + PATIENCE
            raise

    def expire(self, now: float, keep: int) -> None:
        """Let the ledger forget who was in periods that are over for good, and the spool what it kept of them.

        Of months the last ``keep`` stay, the current one included; of days and windows those of the last 31 days.
        """
        today = self._calendar.day(now)
        first = month_of(today)
        for _ in range(keep - 1):
            first = month_before(first)
        oldest = days_of(f"{today}/30d")[0]
        with self._travel():
            for period in self.ledger.periods():
                over = period < first if len(period) == len(first) else period[:10] < oldest
                if over and period not in self._expired:
                    for name in self.ledger.totals(period):
                        self.ledger.forget(Scope(period, name))
                    self._expired.add(period)
        begun = self._calendar.parse(month_of(today)).start
        # A kept segment serves to fill up the running month and the windows of the last 30 days.
        self.spool.discard(
            min(begun, self._calendar.parse(oldest).start if len(self._calendar.kinds) > 1 else begun) - DAY
        )

    def give_back(self) -> None:
        """Return every place to the ledger; for a process that ends."""
        with self._travel():
            for tally in self.tallies.by_scope.values():
                if tally.allowed is not None:
                    self.ledger.claim(tally.scope, self._owner, need=0, extra=0, allowed=0, now=0.0)
                    tally.allowed, tally.granted = None, 0

    def complete(self, period: str) -> bool:
        """Return True if a rolling window has its earlier days; every other period is always complete."""
        if len(period) <= len("2026-11-22"):
            return True
        return (
            self._merged == period[:10] and self._tracked_from is not None and self._tracked_from <= days_of(period)[0]
        )

    @contextmanager
    def _travel(self, patience: float = -1, *, asks: bool = True) -> Iterator[None]:
        """Keep what a trip tells of the ledger; one that ``asks`` nothing but what it writes may have asked nothing."""
        if not self._travelling.acquire(timeout=patience):
            raise LedgerUnavailable(f"the ledger did not answer others within {patience:g} s")
        try:
            if not self._bound:
                self.ledger.bind(self._calendar.zone)
                self._recall()
                self._bound = self._answers = True
            yield
            self._answers = self._answers or asks
        except LedgerMismatch as error:
            self._answers, self.mismatch = False, error
            raise
        except (LedgerUnavailable, LedgerError):
            self._answers = False
            raise
        finally:
            self._travelling.release()

    def agree_on_key(self, month: str) -> None:
        """Record in the ledger which key the users of ``month`` are under. Raises LedgerMismatch."""
        with self._travel():
            self._agree(month)

    def _agree(self, month: str) -> None:
        fingerprint = self.spool.fingerprint_of(month)
        if self._keys.get(month) != fingerprint:
            with self._writing("key"):
                self.ledger.claim_key(month, fingerprint)
            self._keys[month] = fingerprint

    @contextmanager
    def _writing(self, kind: str) -> Iterator[None]:
        """Keep whether a write was taken. Each that fails is made again, with requests or without."""
        try:
            yield
        except (LedgerUnavailable, LedgerError):
            self._refused.add(kind)
            raise
        self._refused.discard(kind)
        self._answers = True

    def _flush(self, now: float) -> None:
        if "key" in self._refused:  # without a sighting nobody else would agree on it
            self._agree(month_of(self._calendar.day(now)))
        while self._flush_group(now):
            pass

    def _flush_group(self, now: float) -> bool:
        held = self._take_unspooled()
        batch = None if held else self.spool.next_batch(GROUP)
        with self.tallies.lock:
            unidentified = {
                scope: tally.unidentified
                for scope, tally in self.tallies.by_scope.items()
                if tally.unidentified != tally.unidentified_sent
            }
        if batch is None and not unidentified and not held:
            return False
        sightings = batch.sightings if batch else held
        day = self._calendar.day(batch.segment.opened if batch and batch.segment.adopted else now)
        self._write(sightings, unidentified, day, now)
        with self.tallies.lock:
            if batch is None or not batch.segment.adopted:
                self._arrived(sightings)
            self._held = self._held or bool(held)
            for scope, users in held.items():
                self.unspooled[scope].difference_update(users)
        if batch:
            self.spool.acknowledge(batch)
        return True

    def _take_unspooled(self) -> dict[Scope, list[int]]:
        if not self.unspooled:
            return {}
        with self.tallies.lock:
            self.unspooled = {scope: users for scope, users in self.unspooled.items() if users}
            return {scope: list(islice(users, GROUP)) for scope, users in self.unspooled.items()}

    def _write(
        self, sightings: Mapping[Scope, Sequence[int]], unidentified: Mapping[Scope, int], day: str | None, now: float
    ) -> None:
        today = self._calendar.day(now + SKEW)  # tomorrow's windows have today's users anyhow
        counted: dict[Scope, list[int]] = {}
        for (period, license), users in sightings.items():
            for each in self._calendar.windows(period, today):
                counted.setdefault(Scope(each, license), []).extend(users)
        for month in {month_of(scope.period) for scope in (*sightings, *unidentified)}:
            self._agree(month)
        with self._writing("users"):
            written = self.ledger.write(counted, unidentified, owner=self._owner, day=day)
        with self.tallies.lock:
            for scope, (new, totals) in written.items():
                tally = self.tallies.of(scope)
                self._set(tally, totals)
                tally.unidentified_sent = unidentified.get(scope, tally.unidentified_sent)
                if new and len(scope.period) == len("2026-11"):
                    self.first_sightings += new

    def _arrived(self, sightings: Mapping[Scope, Sequence[int]]) -> None:
        for scope, users in sightings.items():
            for tally in self.tallies.sighted(scope):
                tally.pending -= len(users)
                # Each used up a place, whether or not a sibling had brought the user before.
                tally.granted = max(0, tally.granted - len(users))
                tally.used = True

    def _read(self, window: Window, kind: Kind, period: str) -> None:
        found = self.ledger.totals(period)
        declared = self.ledger.declarations(period)
        self.known = self.known | {period}
        with self.tallies.lock:
            once = self._memory.highest if self._memory is not None else ()  # what it had and has no more is told
            known = [scope.license for scope in (*self.tallies.by_scope, *once) if scope.period == period]
            for name in {*found, *known, *(each.license for each in declared)}:
                if kind is Kind.MONTH:
                    window.member(name)  # a license that only siblings served is shown too
                tally = self.tallies.of(Scope(period, name))
                self._set(tally, found.get(name, NOTHING))
                tally.declarations = tuple(each for each in declared if each.license == name)
            if self._memory is not None:
                self._memory.learn_declared(declared)

    def _set(self, tally: Tally, totals: Totals) -> None:
        tally.totals = totals
        tally.highest = totals.users if self._memory is None else self._memory.learn(tally.scope, totals.users)

    def _claim(self, tally: Tally, allowed: int, more: int, now: float) -> None:
        with self.tallies.lock:
            need = tally.held + more
            # Whatever the ledger makes of the claim, nobody takes a free place meanwhile; nor if its answer is lost.
            tally.granted, tally.allowed = min(tally.granted, tally.held), allowed
            below = tally.lost if self.ledger.exact else 0
        with self._writing("places"):
            claim = self.ledger.claim(
                tally.scope, self._owner, need=need, extra=EXTRA, allowed=max(0, allowed - below), now=now
            )
        with self.tallies.lock:
            tally.granted, tally.granted_until = claim.granted, now + LEASE
            tally.scarce, tally.used = claim.granted < need + EXTRA, False

    def _merge(self, window: Window) -> None:
        rolling = [period for kind, period in window.periods.items() if kind in {Kind.ROLLING_28, Kind.ROLLING_30}]
        today = window.period.id
        if not rolling or self._merged == today:
            return
        counted = {day: self.ledger.totals(day) for day in days_of(max(rolling, key=lambda each: len(days_of(each))))}
        for period in rolling:
            earlier = days_of(period)[:-1]
            for name in sorted({name for day in earlier for name in counted[day]}):
                sources = [Scope(day, name) for day in earlier if name in counted[day]]
                self.ledger.merge(Scope(period, name), sources)
        self._tracked_from = min((each for each in self.ledger.periods() if len(each) == len(today)), default=None)
        self._merged = today

    def _recall(self) -> None:
        """Know which incarnation the first write goes to, so that a later one is noticed."""
        if self.ledger.forgetful and self._memory is None:
            memory = Memory(self.spool.directory)
            if memory.incarnation is None:
                _noted(memory.meet, self.ledger.incarnation())
            self.spool.tag = _tag(memory.incarnation)
            self._memory = memory

    def _follow_incarnation(self, memory: Memory, now: float) -> bool:
        """Write everything again that another life of the ledger had; return True if this is another one."""
        found = self.ledger.incarnation()
        if found == memory.incarnation:
            return False
        log.warning("usage: the ledger was restarted or replaced; everything kept is written to it again")
        self._bound = False
        self._keys.clear()
        self._merged = ""
        self.ledger.bind(self._calendar.zone)
        self.spool.tag = _tag(found)
        self._write_again(chain(self.spool.acknowledged(GROUP), self.spool.kept(GROUP)), now)
        for period in {each.period for each in memory.declarations}:
            there = {(each.license, each.source) for each in self.ledger.declarations(period)}
            for each in memory.declarations:
                if each.period == period and (each.license, each.source) not in there:
                    self.ledger.declare(each)
        with self.tallies.lock:
            for tally in self.tallies.by_scope.values():
                tally.unidentified_sent = 0
        self.replays += 1
        _noted(memory.meet, found)
        return True

    def _write_again(self, batches: Iterable[Batch], now: float) -> None:
        for batch in batches:
            self._write(batch.sightings, {}, self._calendar.day(batch.segment.opened), now)


def _tag(incarnation: str | None) -> str:
    """Return a name for a life of the ledger that fits into a file's."""
    return blake2b((incarnation or "").encode(), digest_size=6).hexdigest()


def _noted(note: Callable[..., None], *arguments: str) -> None:
    """Let the memory be written down; if that fails a later process does not know what this one knows."""
    try:
        note(*arguments)
    except OSError as error:
        log.error("usage: what is known of the ledger cannot be noted: %s", error)  # noqa: TRY400  (expected)
