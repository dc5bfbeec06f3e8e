"""May one more user come in? Places that the ledger granted are given away from memory; else the ledger is asked."""

from collections.abc import Sequence

from guard.usage.courier import Courier
from guard.usage.ledger import Scope
from guard.usage.reservation import ADMITTED, Admission, Reservation
from guard.usage.scope import bounds
from guard.usage.thresholds import AtLimit, Limit
from guard.usage.window import Tallies, Tally, Window


class Admissions:
    """Decides on requests under limits, and keeps the places of newcomers. Safe to call from several threads."""

    def __init__(self, courier: Courier, tallies: Tallies) -> None:
        self._courier, self._tallies = courier, tallies
        self._held: dict[int, tuple[Tally, ...]] = {}
        self._serial = 0

    def reserve(
        self, window: Window, limits: Sequence[Limit], key: int | None, at_limit: AtLimit, now: float
    ) -> Reservation | None:
        """As ``UsageCounter.reserve``; no I/O."""
        if at_limit is AtLimit.OBSERVE or not limits:
            return ADMITTED
        with self._tallies.lock:
            wanted = self._wanted(window, limits, key, at_limit)
            return wanted if isinstance(wanted, Reservation) else self._place(window, wanted, key, now)

    def ask(
        self, window: Window, limits: Sequence[Limit], key: int | None, at_limit: AtLimit, now: float
    ) -> Reservation:
        """As ``UsageCounter.ask``. Raises LedgerUnavailable, LedgerError, SpoolError."""
        with self._tallies.lock:
            wanted = self._wanted(window, limits, key, at_limit)
        if isinstance(wanted, Reservation):
            return wanted
        unknown: list[tuple[Limit, Tally]] = []
        for limit, tally in wanted:
            allowed = _allowed(limit, tally)
            if self._courier.ask(tally, key, allowed, now):
                if at_limit is AtLimit.REFUSE_ALL and tally.totals.users > allowed:
                    return Reservation(Admission.REFUSED, limit)
                continue
            unknown.append((limit, tally))
        with self._tallies.lock:
            placed = self._place(window, unknown, key, now)
            if placed is not None:
                return placed
            full = next(limit for limit, tally in unknown if not _has_place(tally, key, _allowed(limit, tally), now))
            return Reservation(Admission.REFUSED, full)

    def settle(self, reservation: Reservation) -> None:
        """As ``UsageCounter.settle``."""
        key = reservation.key
        assert key is not None
        with self._tallies.lock:
            for tally in self._held.pop(reservation.serial, ()):
                requests = tally.places.get(key, 0)
                if requests > 1:
                    tally.places[key] = requests - 1
                elif requests:
                    del tally.places[key]

    def _wanted(
        self, window: Window, limits: Sequence[Limit], key: int | None, at_limit: AtLimit
    ) -> Reservation | list[tuple[Limit, Tally]]:
        """Return the strictest limit of every tally that ``key`` is not known in, or what a known user gets."""
        strictest: dict[Scope, tuple[Limit, Tally]] = {}
        for limit in limits:
            period = window.periods.get(limit.kind)
            if not limit.acts or period is None:
                continue
            member = window.member(limit.license)
            tally = self._tallies.of(Scope(period, limit.license))
            if key is not None and member.bit and window.seen.has(key, member.bit):
                if at_limit is AtLimit.REFUSE_ALL and tally.totals.users > _allowed(limit, tally):
                    return Reservation(Admission.REFUSED, limit)
                continue
            known = strictest.get(tally.scope)
            if known is None or _allowed(limit, tally) < _allowed(known[0], tally):
                strictest[tally.scope] = limit, tally
        return list(strictest.values()) if strictest else ADMITTED

    def _place(
        self, window: Window, wanted: Sequence[tuple[Limit, Tally]], key: int | None, now: float
    ) -> Reservation | None:
        """Keep a place in every tally of ``wanted``, or return None if one of them has none that is free."""
        # A request that ran beside this one may just have made the user known.
        open_ = [
            (limit, tally)
            for limit, tally in wanted
            if key is None or not window.seen.mask(key) & window.member(limit.license).bit
        ]
        if not all(_has_place(tally, key, _allowed(limit, tally), now) for limit, tally in open_):
            return None
        if key is None or not open_:
            return ADMITTED
        tallies = tuple(tally for _, tally in open_)
        for tally in tallies:
            tally.places[key] = tally.places.get(key, 0) + 1
        self._serial += 1
        self._held[self._serial] = tallies
        names = tuple(tally.scope.license for tally in tallies)
        return Reservation(Admission.ADMITTED, None, names, key, self._serial)


def _has_place(tally: Tally, key: int | None, allowed: int, now: float) -> bool:
    if key in tally.places:
        return True
    return tally.allowed == allowed and tally.held < tally.granted and now < tally.granted_until


def _allowed(limit: Limit, tally: Tally) -> int:
    """Return how many users the ledger may have: what the limit allows, less what was declared beside it."""
    if not tally.declarations or limit.products == "each":  # nothing is added up
        return limit.allowed
    return limit.allowed - bounds(tally.totals, tally.declarations, limit).beyond
