"""A figure: how many users one license has in one period, as the ledger, the spool and stated numbers have it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from guard.usage.declaration import Declaration
from guard.usage.ledger import Ledger, Scope, Totals
from guard.usage.period import Calendar, Kind, Period, days_of, kind_of, month_of
from guard.usage.scope import bounds
from guard.usage.spool import Leftover
from guard.usage.thresholds import Limit, State

_DAY = len("2026-11-22")
_NOTHING = Totals(0, 0, 0, 0)
_UNMERGED = "no gateway has put the users of earlier days into the window"
ALL_PRODUCTS, WITH_AFFILIATES = "all", "included"
"""Whose users a license without a limit is taken to count: everybody's, the widest reading."""


@dataclass(frozen=True, slots=True)
class Tested:
    """A figure against one limit: bounds of what that limit counts, and the state the upper one puts it in."""

    limit: Limit
    lower: int
    upper: int
    state: State
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """Users of one license in one period. The truth is between ``lower`` and ``upper`` as far as ``reasons`` let it."""

    license: str
    period: str
    users: int
    """Distinct users that were measured, those of the spool included: an estimate where the ledger estimates."""
    measured: Totals
    """The ledger's count with its bounds, the spool included in ``upper``; ``unidentified`` is this ledger's."""
    in_spool: int
    """Users on their way to the ledger; in an estimating ledger some of them may be there already."""
    lower: int
    upper: int
    """The bounds of the count with what was declared, in the scope of the license's first limit."""
    reasons: tuple[str, ...]
    """Why the bounds are apart, and what is in neither of them."""
    declarations: tuple[Declaration, ...]
    tests: tuple[Tested, ...] | None
    """None where the limits are not known."""

    @property
    def exact(self) -> bool:
        """True if nothing is in doubt: every answered request named its user, and every user is in the number."""
        return not self.reasons and self.lower == self.upper


def figures(
    ledger: Ledger,
    calendar: Calendar,
    period: Period,
    leftover: Leftover | None,
    limits: Mapping[str, Sequence[Limit]] | None,
) -> list[Figure]:
    """Return the figures of ``period`` by license: every license that was counted, declared, or has ``limits``.

    ``leftover`` is what the spool holds; None if nobody looked. What reaches the ledger after its totals were read is
    in neither number: a figure can only be too low by it. Raises LedgerUnavailable.
    """
    totals, declared = ledger.totals(period.id), ledger.declarations(period.id)
    waiting = _waiting(ledger, calendar, period, leftover)
    doubts = list(_doubts(ledger, period, leftover))
    unmerged = _unmerged(ledger, period)
    names = {*totals, *waiting, *(each.license for each in declared), *(limits or {})}
    return [
        _figure(
            Scope(period.id, name),
            ledger,
            totals.get(name, _NOTHING),
            waiting.get(name, 0),
            tuple(each for each in declared if each.license == name),
            None if limits is None else [limit for limit in limits.get(name, ()) if limit.kind is kind_of(period.id)],
            [*doubts, *unmerged.get(name, ())],
        )
        for name in sorted(names)
    ]


def _figure(
    scope: Scope,
    ledger: Ledger,
    totals: Totals,
    waiting: int,
    declared: tuple[Declaration, ...],
    limits: Sequence[Limit] | None,
    doubts: Sequence[str],
) -> Figure:
    reasons = []
    if totals.unidentified:
        reasons.append(f"{totals.unidentified:,} answered requests named no user")
    if ledger.exact:
        measured = Totals(totals.users + waiting, totals.unidentified, totals.lower + waiting, totals.upper + waiting)
    else:
        measured = totals._replace(upper=totals.upper + waiting)
        reasons.append(f"an estimate: between {totals.lower:,} and {totals.upper:,} with three standard errors")
        if waiting:
            reasons.append(f"{waiting:,} users in the spool may be in the ledger already")
    first = next(iter(limits or ()), None)
    scoped = bounds(
        measured, declared, *(first.products, first.affiliates) if first else (ALL_PRODUCTS, WITH_AFFILIATES)
    )
    return Figure(
        license=scope.license,
        period=scope.period,
        users=measured.users,
        measured=measured,
        in_spool=waiting,
        lower=scoped.lower,
        upper=scoped.upper,
        reasons=(*reasons, *scoped.reasons, *doubts),
        declarations=declared,
        tests=None if limits is None else tuple(_tested(limit, measured, declared) for limit in limits),
    )


def _tested(limit: Limit, measured: Totals, declared: Sequence[Declaration]) -> Tested:
    scoped = bounds(measured, declared, limit.products, limit.affiliates)
    return Tested(limit, scoped.lower, scoped.upper, limit.state(scoped.upper), scoped.reasons)


def _waiting(ledger: Ledger, calendar: Calendar, period: Period, leftover: Leftover | None) -> dict[str, int]:
    """Return how many users of the spool count in ``period`` and are not in the ledger, by license."""
    found: dict[str, set[int]] = {}
    tracking, last = Calendar(calendar.zone, [kind_of(period.id)]), calendar.day(period.end - 1)
    for sighted, users in (leftover.sightings if leftover else {}).items():
        if period.id in tracking.windows(sighted.period, last):
            found.setdefault(sighted.license, set()).update(users)
    return {
        name: sum(not ledger.contains(Scope(period.id, name), user) for user in users) if ledger.exact else len(users)
        for name, users in found.items()
    }


def _doubts(ledger: Ledger, period: Period, leftover: Leftover | None) -> Iterator[str]:
    if leftover is None:
        yield "no spool was looked at: users on their way to the ledger are not in the number"
    elif leftover.damaged:
        yield f"{leftover.damaged:,} damaged records in the spool, of any period and license"
    if kind_of(period.id) in {Kind.MONTH, Kind.DAY}:
        return
    keys = {ledger.key_of(month_of(day)) for day in days_of(period.id)} - {None}
    if len(keys) > 1:
        yield "the pseudonym key was changed within the window: who came before and after it is two users"


def _unmerged(ledger: Ledger, period: Period) -> dict[str, list[str]]:
    """Return what is wrong with a rolling window whose earlier days are not in it, by license."""
    if kind_of(period.id) in {Kind.MONTH, Kind.DAY}:
        return {}
    days = days_of(period.id)
    tracked = min((each for each in ledger.periods() if len(each) == _DAY), default=None)
    found: dict[str, list[str]] = {}
    window = ledger.totals(period.id)
    for day in days:
        for name, totals in ledger.totals(day).items():
            reasons = found.setdefault(name, [])
            if tracked is not None and tracked > days[0] and not reasons:
                reasons.append(
                    f"days were not tracked before {tracked}: the window lacks {days.index(tracked)} of them"
                )
            if totals.lower > window.get(name, _NOTHING).upper and _UNMERGED not in reasons:
                reasons.append(_UNMERGED)
    return found
