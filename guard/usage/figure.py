"""A figure: how many users one license has in one period, as the ledger, the spool and stated numbers have it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from guard.usage.coverage import EARLIER, coverage
from guard.usage.declaration import Declaration
from guard.usage.ledger import Ledger, Scope, Totals
from guard.usage.period import Calendar, Kind, Period, days_of, kind_of, month_of
from guard.usage.scope import UNIDENTIFIED, bounds, requests
from guard.usage.spool import Leftover
from guard.usage.thresholds import Limit, State

_NOTHING = Totals(0, 0, 0, 0)


class Doubt(NamedTuple):
    """Why a number may not be the true one."""

    reason: str
    omits: str = ""
    """What is missing in the number, which nothing bounds from above then; empty if it is bounded all the same."""


@dataclass(frozen=True, slots=True)
class Tested:
    """A figure against one limit: bounds of what that limit counts, and the state the upper one puts it in."""

    limit: Limit
    lower: int
    upper: int
    """All users that are known of: measured and stated ones. The limit is held against these."""
    state: State
    reasons: tuple[str, ...]
    """What follows from stated numbers, and from whose users the license counts."""
    omits: tuple[str, ...]
    """What the limit counts and ``upper`` does not have; with any, nothing bounds the count from above."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Users of one license in one period. The truth is between ``lower`` and ``upper``, if there is an upper bound."""

    license: str
    period: str
    users: int
    """Distinct users that were measured, those of the spool included: an estimate where the ledger estimates."""
    counted: bool
    """False if nothing was counted in the period: then ``users`` is 0 because nobody looked."""
    measured: Totals
    """The ledger's count with its bounds, the spool included in ``upper``; ``unidentified`` is this ledger's."""
    doubts: tuple[Doubt, ...]
    """Why what was measured here may not be the number of users who were here."""
    in_spool: int
    """Users on their way to the ledger; in an estimating ledger some of them may be there already."""
    lower: int
    upper: int | None
    """The bounds of the count with what was declared, in the scope of the license's first limit; None: no bound."""
    reasons: tuple[str, ...]
    """Why the bounds are apart, and what is in neither of them."""
    declarations: tuple[Declaration, ...]
    tests: tuple[Tested, ...] | None
    """None where the limits are not known."""

    @property
    def exact(self) -> bool:
        """True if nothing is in doubt: every answered request named its user, and every user is in the number."""
        return not self.reasons and self.lower == self.upper

    @property
    def measured_exactly(self) -> bool:
        """True if ``users`` is the number of users who were here, whoever else the license counts."""
        return self.counted and not self.doubts and self.measured.lower == self.measured.upper

    @property
    def measured_upper(self) -> int | None:
        """The most users who can have been here; None if nothing bounds that."""
        return None if any(doubt.omits for doubt in self.doubts) else self.measured.upper


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
    covered = coverage(ledger, period.id, spooled(leftover))
    doubts = [Doubt(covered.reason, EARLIER)] if covered.reason else []
    doubts += _doubts(ledger, period, leftover)
    unmerged = _unmerged(ledger, period)
    names = {*totals, *waiting, *(each.license for each in declared), *(limits or {})}
    found = []
    for name in sorted(names):
        scope, counted = Scope(period.id, name), totals.get(name, _NOTHING)
        own = [*doubts, *([unmerged[name]] if name in unmerged else [])]
        highest = leftover.highest.get(scope, 0) if leftover else 0
        if highest > counted.users:
            own.append(Doubt(f"the ledger lost {highest - counted.users:,} users that it had", "users that were lost"))
        stated = tuple(each for each in declared if each.license == name)
        tested = None if limits is None else [one for one in limits.get(name, ()) if one.kind is kind_of(period.id)]
        found.append(
            _figure(scope, ledger, counted, waiting.get(name, 0), stated, tested, own, counted=covered.counted)
        )
    return found


def spooled(leftover: Leftover | None) -> set[str]:
    """Return the periods that the sightings in the spool are filed under."""
    return {scope.period for scope, users in leftover.sightings.items() if users} if leftover else set()


def _figure(
    scope: Scope,
    ledger: Ledger,
    totals: Totals,
    waiting: int,
    declared: tuple[Declaration, ...],
    limits: Sequence[Limit] | None,
    doubts: Sequence[Doubt],
    *,
    counted: bool,
) -> Figure:
    own = []
    if totals.unidentified:
        own.append(Doubt(f"{requests(totals.unidentified)} named no user", UNIDENTIFIED))
    if ledger.exact:
        measured = Totals(totals.users + waiting, totals.unidentified, totals.lower + waiting, totals.upper + waiting)
    else:
        measured = totals._replace(upper=totals.upper + waiting)
        own.append(Doubt(f"an estimate: between {totals.lower:,} and {totals.upper:,} with three standard errors"))
        if waiting:
            own.append(Doubt(f"{waiting:,} users in the spool may be in the ledger already"))
    doubts = (*doubts, *own)
    left_out = tuple(dict.fromkeys(doubt.omits for doubt in doubts if doubt.omits))
    first = next(iter(limits or ()), None)
    scoped = bounds(measured, declared, first)
    return Figure(
        license=scope.license,
        period=scope.period,
        users=measured.users,
        counted=counted,
        measured=measured,
        doubts=doubts,
        in_spool=waiting,
        lower=scoped.lower,
        upper=None if left_out or scoped.omits else scoped.upper,
        reasons=(*(doubt.reason for doubt in doubts), *scoped.reasons),
        declarations=declared,
        tests=None if limits is None else tuple(_tested(limit, measured, declared, left_out) for limit in limits),
    )


def _tested(limit: Limit, measured: Totals, declared: Sequence[Declaration], left_out: tuple[str, ...]) -> Tested:
    scoped = bounds(measured, declared, limit)
    omits = tuple(dict.fromkeys((*left_out, *scoped.omits)))
    return Tested(limit, scoped.lower, scoped.upper, limit.state(scoped.upper), scoped.reasons, omits)


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


def _doubts(ledger: Ledger, period: Period, leftover: Leftover | None) -> Iterator[Doubt]:
    if leftover is None:
        yield Doubt(
            "no spool was looked at: users on their way to the ledger are not in the number",
            "users on their way to the ledger",
        )
    elif leftover.damaged:
        records = f"{leftover.damaged:,} damaged record{'' if leftover.damaged == 1 else 's'}"
        yield Doubt(f"{records} in the spool, of any period and license", "damaged records")
    if kind_of(period.id) in {Kind.MONTH, Kind.DAY}:
        return
    keys = {ledger.key_of(month_of(day)) for day in days_of(period.id)} - {None}
    if len(keys) > 1:
        yield Doubt("the pseudonym key was changed within the window: who came before and after it is two users")


def _unmerged(ledger: Ledger, period: Period) -> dict[str, Doubt]:
    """Return the doubt about a rolling window whose earlier days are not in it, by license."""
    if kind_of(period.id) in {Kind.MONTH, Kind.DAY}:
        return {}
    window = ledger.totals(period.id)
    return {
        name: Doubt("no gateway has put the users of earlier days into the window", "days that are not in the window")
        for day in days_of(period.id)
        for name, totals in ledger.totals(day).items()
        if totals.lower > window.get(name, _NOTHING).upper
    }
