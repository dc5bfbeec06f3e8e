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


class _Row(NamedTuple):
    """What is known of one license: the numbers of metrics, API and console are made of this alone, so they agree."""

    license: str
    counts: Mapping[Kind, Count | None]
    doubts: Mapping[Kind, Sequence[Doubt]]
    stated: Sequence[Stated]

    def omits(self, kind: Kind) -> list[str]:
        """Return what the count of ``kind`` leaves out; with any, nothing bounds it from above."""
        return _omits(self.doubts.get(kind, [_UNTRACKED]))

    def bounds(self, kind: Kind) -> tuple[int, int, int | None]:
        """Return users, lower and upper bound as measured here; the upper one is None while something is left out."""
        count = self.counts[kind]
        users, low, high = (count.users, count.lower, count.upper) if count is not None else (0, 0, 0)
        return users, low, None if self.omits(kind) else high


def readings(
    snapshot: Snapshot, counter: UsageCounter, states: States, calendar: Calendar, began: Mapping[Kind, str], now: float
) -> list[LicenseReading]:
    """Return the count of every license that is served or was counted, with its bounds and states.

    The bounds and limits are those of ``usage_facts``, with the same ``began``.
    """
    rows = []
    for row in _rows(snapshot, counter, states, calendar, began, now):
        count = row.counts[Kind.MONTH]
        users, low, high = row.bounds(Kind.MONTH)
        named = [_limit_reading(each, row.omits(each.limit.kind)) for each in row.stated]
        declared = sum(each.users for each in _declared(count)) if _declared(count) else None
        windows = [
            WindowReading(kind.value, *row.bounds(kind))
            for kind, found in row.counts.items()
            if kind is not Kind.MONTH and found is not None
        ]
        lost = count.lost if count is not None else 0
        rows.append(LicenseReading(row.license, users, low, high, counter.exact, named, declared, windows, lost))
    return rows


def usage_facts(
    snapshot: Snapshot, counter: UsageCounter, states: States, calendar: Calendar, began: Mapping[Kind, str], now: float
) -> list[dict[str, Any]]:
    """Return the counts as the admin API and the console show them: the numbers and reasons of ``guard usage show``.

    ``began`` is the oldest period of each kind in the ledger, which nobody knows to be whole; without one nobody knows
    of any period.
    """
    current, limits, people = calendar.periods(now), limits_of(snapshot), _counting_people(snapshot)
    rows = []
    for row in _rows(snapshot, counter, states, calendar, began, now):
        own = limits.get(row.license, ())
        facts = {
            kind: _facts(row, kind, current[kind], next((one for one in own if one.kind is kind), None))
            for kind, count in row.counts.items()
            if count is not None or kind is Kind.MONTH
        }
        rows.append(
            {
                "license": row.license,
                "definition": calendar.definition(),
                "reading": "people" if row.license in people else "identities",
                **facts.pop(Kind.MONTH),
                "windows": {kind.value: each for kind, each in facts.items()},
                "declared": [asdict(each) for each in _declared(row.counts[Kind.MONTH])],
                "limits": [_limit_facts(snapshot, each, row.omits(each.limit.kind)) for each in row.stated],
            }
        )
    return rows


def _rows(
    snapshot: Snapshot, counter: UsageCounter, states: States, calendar: Calendar, began: Mapping[Kind, str], now: float
) -> Iterator[_Row]:
    counts = {kind: counter.counts(now, kind) for kind in counter.kinds}
    current, limits = calendar.periods(now), limits_of(snapshot)
    for license in dict.fromkeys([*limits, *counts[Kind.MONTH]]):
        own = {kind: by_license.get(license) for kind, by_license in counts.items()}
        doubts = {kind: list(_doubts(count, current[kind], counter, began)) for kind, count in own.items()}
        yield _Row(license, own, doubts, _stated(limits.get(license, ()), own, states, counter))


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


def _facts(row: _Row, kind: Kind, period: str, limit: Limit | None) -> dict[str, Any]:
    users, low, high = row.bounds(kind)
    count, doubts = row.counts[kind], row.doubts[kind]
    most = count.upper if count is not None else 0
    scoped = bounds(Totals(users, 0, low, most), _declared(count), limit)
    reasons = [*(doubt.reason for doubt in doubts), *scoped.reasons]
    return {
        "period": period,
        "users": users,
        "lower": scoped.lower,
        "upper": None if high is None or scoped.omits else scoped.upper,
        "exact": not reasons and scoped.lower == scoped.upper,
        "reasons": reasons,
        "measured": {"lower": low, "upper": high, "exact": not doubts and low == high},
    }


def _counting_people(snapshot: Snapshot) -> frozenset[str]:
    models = [*snapshot.models.values(), *([snapshot.default_model] if snapshot.default_model is not None else [])]
    return frozenset(license for model in models for license in model.people_only)


def _omits(doubts: Sequence[Doubt]) -> list[str]:
    return list(dict.fromkeys(doubt.omits for doubt in doubts if doubt.omits))


def _stated(
    limits: Sequence[Limit], counts: Mapping[Kind, Count | None], states: States, counter: UsageCounter
) -> list[Stated]:
    found = []
    for limit in limits:
        count = counts.get(limit.kind)
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


def _doubts(count: Count | None, period: str, counter: UsageCounter, began: Mapping[Kind, str]) -> Iterator[Doubt]:
    """Yield why a count may not be the number of users who were here."""
    kind = kind_of(period)
    if not began:
        yield Doubt("the ledger could not be asked yet when counting began", EARLIER)
    elif kind in {Kind.MONTH, Kind.DAY} and period <= began[kind]:
        yield Doubt(f"counting began in {period}: who came before that is not in the number", EARLIER)
    elif kind not in {Kind.MONTH, Kind.DAY} and days_of(period)[0] == began[Kind.DAY]:
        yield Doubt(f"days are tracked since {began[Kind.DAY]}: who came earlier on that day is not in it", EARLIER)
    if count is not None and not count.known:
        yield Doubt("the ledger was not read in this period yet: whom others counted is not in the number", OTHERS)
    elif not counter.ledger_up:
        said = "the ledger does not answer, or takes no writes: whom others counted since is not in the number"
        yield Doubt(said, OTHERS)
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
