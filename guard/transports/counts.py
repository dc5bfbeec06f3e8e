"""What the admin port and the metrics show of the users counted: plain facts, read from memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from guard.exchange.snapshot import Snapshot
from guard.observability.gauges import LicenseReading, LimitReading, WindowReading
from guard.transports.readings import limits_of
from guard.usage.counter import Count, UsageCounter
from guard.usage.coverage import EARLIER
from guard.usage.figure import Doubt
from guard.usage.ledger import Totals
from guard.usage.period import Calendar, Kind, days_of, kind_of
from guard.usage.scope import UNIDENTIFIED, Scoped, bounds, requests
from guard.usage.states import States
from guard.usage.thresholds import Limit, State

_UNCOUNTED = Totals(0, 0, 0, 0)
OTHERS = "users whom other gateways counted"
_UNTRACKED = Doubt("days are counted from the next start", EARLIER)
"""A policy was loaded whose limits look at days, into a process that does not count them."""


class Stated(NamedTuple):
    """A limit with the bounds of what its license counts, and the state those put it in."""

    limit: Limit
    scoped: Scoped
    state: State


def readings(snapshot: Snapshot, counter: UsageCounter, states: States, now: float) -> list[LicenseReading]:
    """Return the count of every license that is served or was counted, with its bounds and states.

    Unidentified requests make the count a lower bound without an upper one; sightings on their way to the ledger that
    a sibling process may have counted too make it an interval, as does an estimate.
    """
    counts = {kind: counter.counts(now, kind) for kind in counter.kinds}
    limits = limits_of(snapshot)
    rows = []
    for license in dict.fromkeys([*limits, *counts[Kind.MONTH]]):
        count = counts[Kind.MONTH].get(license)
        users, low, high = _bounds(count, counter)
        stated = _stated(limits.get(license, ()), counts, states, counter)
        unsure = {kind: _omits(list(_unsure(by_license.get(license), counter))) for kind, by_license in counts.items()}
        named = [_limit_reading(each, unsure.get(each.limit.kind, [_UNTRACKED.omits])) for each in stated]
        declared = sum(each.users for each in count.declarations) if count is not None and count.declarations else None
        windows = [
            WindowReading(kind.value, *_bounds(found, counter))
            for kind, by_license in counts.items()
            if kind is not Kind.MONTH and (found := by_license.get(license)) is not None
        ]
        lost = count.lost if count is not None else 0
        rows.append(LicenseReading(license, users, low, high, counter.exact, named, declared, windows, lost))
    return rows


def usage_facts(
    snapshot: Snapshot, counter: UsageCounter, states: States, calendar: Calendar, began: Mapping[Kind, str], now: float
) -> list[dict[str, Any]]:
    """Return the counts as the admin API and the console show them: the numbers and reasons of ``guard usage show``.

    ``began`` is the oldest period of each kind in the ledger, which nobody knows to be whole; without one nobody knows
    of any period.
    """
    counts = {kind: counter.counts(now, kind) for kind in counter.kinds}
    current, limits, people = calendar.periods(now), limits_of(snapshot), _counting_people(snapshot)
    rows = []
    for license in dict.fromkeys([*limits, *counts[Kind.MONTH]]):
        own = {kind: by_license.get(license) for kind, by_license in counts.items()}
        doubts = {kind: list(_doubts(count, current[kind], counter, began)) for kind, count in own.items()}
        facts = {
            kind: _facts(
                count, current[kind], [one for one in limits.get(license, ()) if one.kind is kind], doubts[kind]
            )
            for kind, count in own.items()
            if count is not None or kind is Kind.MONTH
        }
        rows.append(
            {
                "license": license,
                "definition": calendar.definition(),
                "reading": "people" if license in people else "identities",
                **facts.pop(Kind.MONTH),
                "windows": {kind.value: each for kind, each in facts.items()},
                "declared": [asdict(each) for each in _declared(own[Kind.MONTH])],
                "limits": [
                    _limit_facts(snapshot, each, _omits(doubts.get(each.limit.kind, [_UNTRACKED])))
                    for each in _stated(limits.get(license, ()), counts, states, counter)
                ],
            }
        )
    return rows


def _limit_reading(stated: Stated, left_out: Sequence[str]) -> LimitReading:
    limit, scoped = stated.limit, stated.scoped
    upper = None if left_out or scoped.omits else scoped.upper
    return LimitReading(limit.id, limit.value, stated.state, scoped.lower, scoped.upper, upper)


def _limit_facts(snapshot: Snapshot, stated: Stated, left_out: Sequence[str]) -> dict[str, Any]:
    """A limit as the API has it: one that looks at a past month has no state, as no count of today tests it."""
    limit, scoped = stated.limit, stated.scoped
    omits = list(dict.fromkeys([*left_out, *scoped.omits]))
    return {
        "id": limit.id,
        "value": limit.value,
        "window": limit.kind.value,
        "state": stated.state.value if limit.standing else None,
        "attestation": snapshot.grounds.get((limit.license, limit.id)),
        "standing": limit.standing,
        "clause": limit.clause,
        "lower": scoped.lower,
        "upper": None if omits else scoped.upper,
        "held_against": scoped.upper,
        "not_included": omits,
        "reasons": list(scoped.reasons),
    }


def _facts(count: Count | None, period: str, limits: Sequence[Limit], doubts: Sequence[Doubt]) -> dict[str, Any]:
    users, low, high = (count.users, count.lower, count.upper) if count is not None else (0, 0, 0)
    scoped = bounds(Totals(users, 0, low, high), _declared(count), limits[0] if limits else None)
    left_out, reasons = _omits(doubts), [*(doubt.reason for doubt in doubts), *scoped.reasons]
    return {
        "period": period,
        "users": users,
        "lower": scoped.lower,
        "upper": None if left_out or scoped.omits else scoped.upper,
        "exact": not reasons and scoped.lower == scoped.upper,
        "reasons": reasons,
        "measured": {"lower": low, "upper": None if left_out else high, "exact": not doubts and low == high},
    }


def _counting_people(snapshot: Snapshot) -> frozenset[str]:
    models = [*snapshot.models.values(), *([snapshot.default_model] if snapshot.default_model is not None else [])]
    return frozenset(license for model in models for license in model.people_only)


def _omits(doubts: Sequence[Doubt]) -> list[str]:
    return list(dict.fromkeys(doubt.omits for doubt in doubts if doubt.omits))


def _stated(
    limits: Sequence[Limit], counts: Mapping[Kind, Mapping[str, Count]], states: States, counter: UsageCounter
) -> list[Stated]:
    found = []
    for limit in limits:
        count = counts.get(limit.kind, {}).get(limit.license)
        measured = _UNCOUNTED if count is None else count.totals._replace(lower=count.lower, upper=count.upper)
        scoped = bounds(measured, _declared(count), limit)
        # Who is on the way may be in the ledger already, and is there in a moment, if it answers.
        users = scoped.upper - (count.pending if count is not None and counter.ledger_up else 0)
        if count is not None and not count.known:  # nothing is to be told on the word of one gateway
            state = limit.state(users)
        else:
            state = states.see(limit, users, jitters=not counter.exact or limit.kind not in {Kind.MONTH, Kind.DAY})
        found.append(Stated(limit, scoped, state))
    return found


def _declared(count: Count | None) -> tuple[Any, ...]:
    return count.declarations if count is not None else ()


def _bounds(count: Count | None, counter: UsageCounter) -> tuple[int, int, int | None]:
    """Return users, lower and upper bound as measured here; the upper one is None while something is left out."""
    users, low, high = (count.users, count.lower, count.upper) if count is not None else (0, 0, 0)
    return users, low, None if _omits(list(_unsure(count, counter))) else high


def _doubts(count: Count | None, period: str, counter: UsageCounter, began: Mapping[Kind, str]) -> Iterator[Doubt]:
    """Yield why a count may not be the number of users who were here."""
    kind = kind_of(period)
    if not began:
        yield Doubt("the ledger could not be asked yet when counting began", EARLIER)
    elif kind in {Kind.MONTH, Kind.DAY} and period <= began[kind]:
        yield Doubt(f"counting began in {period}: who came before that is not in the number", EARLIER)
    elif kind not in {Kind.MONTH, Kind.DAY} and days_of(period)[0] == began[Kind.DAY]:
        yield Doubt(f"days are tracked since {began[Kind.DAY]}: who came earlier on that day is not in it", EARLIER)
    yield from _unsure(count, counter)


def _unsure(count: Count | None, counter: UsageCounter) -> Iterator[Doubt]:
    """Yield why what was measured may not be the number of users, whenever counting began."""
    if count is not None and not count.known:
        yield Doubt("the ledger was not read in this period yet: whom others counted is not in the number", OTHERS)
    elif not counter.ledger_up:
        yield Doubt("the ledger does not answer: whom others counted since is not in the number", OTHERS)
    if count is not None and count.unidentified:
        yield Doubt(f"{requests(count.unidentified)} named no user", UNIDENTIFIED)
    if not counter.exact:
        yield Doubt("the ledger estimates; the bounds are three standard errors")
    if count is not None and count.pending:
        yield Doubt(f"{count.pending:,} users are on their way to the ledger")
    if count is not None and count.lost:
        lost = f"the ledger lost {count.lost:,} users that it had; gateways write again what they kept"
        yield Doubt(lost, "users that were lost")
    if count is not None and not count.complete:
        reason = "some days of the window were not tracked, or are not merged yet"
        yield Doubt(reason, "days that are not in the window")
    if counter.unspooled:
        yield Doubt(f"{counter.unspooled:,} sightings could not be spooled and wait in memory")
    if counter.damaged_records:
        yield Doubt(f"{counter.damaged_records:,} spool records are damaged and set aside", "damaged records")
