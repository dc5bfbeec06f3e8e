"""What the admin port and the metrics show of the users counted: plain facts, read from memory."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from guard.exchange.snapshot import Snapshot
from guard.observability.gauges import LicenseReading, LimitReading, WindowReading
from guard.transports.readings import limits_of
from guard.usage.counter import Count, UsageCounter
from guard.usage.ledger import Totals
from guard.usage.period import Kind
from guard.usage.scope import Scoped, bounds
from guard.usage.states import States
from guard.usage.thresholds import Limit, State

_UNCOUNTED = Totals(0, 0, 0, 0)


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
        users, low, high = _bounds(count)
        stated = _stated(limits.get(license, ()), counts, states)
        named = [LimitReading(each.limit.id, each.limit.value, each.state) for each in stated]
        declared = sum(each.users for each in count.declarations) if count is not None and count.declarations else None
        windows = [
            WindowReading(kind.value, *_bounds(found))
            for kind, by_license in counts.items()
            if kind is not Kind.MONTH and (found := by_license.get(license)) is not None
        ]
        lost = count.lost if count is not None else 0
        rows.append(LicenseReading(license, users, low, high, counter.exact, named, declared, windows, lost))
    return rows


def usage_facts(snapshot: Snapshot, counter: UsageCounter, states: States, now: float) -> list[dict[str, Any]]:
    """Return ``readings`` as the admin API and the console show them, with the reasons for every bound."""
    counts = {kind: counter.counts(now, kind) for kind in counter.kinds}
    limits = limits_of(snapshot)
    rows = []
    for license in dict.fromkeys([*limits, *counts[Kind.MONTH]]):
        stated = _stated(limits.get(license, ()), counts, states)
        rows.append(
            {
                "license": license,
                **_facts(counts[Kind.MONTH].get(license), counter),
                "windows": {
                    kind.value: _facts(found, counter)
                    for kind, by_license in counts.items()
                    if kind is not Kind.MONTH and (found := by_license.get(license)) is not None
                },
                "declared": [asdict(each) for each in _declared(counts[Kind.MONTH].get(license))],
                "limits": [
                    {
                        "id": each.limit.id,
                        "value": each.limit.value,
                        "window": each.limit.kind.value,
                        "state": each.state.value,
                        "standing": each.limit.standing,
                        "clause": each.limit.clause,
                        "lower": each.scoped.lower,
                        "upper": each.scoped.upper,
                        "reasons": list(each.scoped.reasons),
                    }
                    for each in stated
                ],
            }
        )
    return rows


def _facts(count: Count | None, counter: UsageCounter) -> dict[str, Any]:
    users, low, high = _bounds(count)
    return {
        "period": count.period if count is not None else None,
        "users": users,
        "lower": low,
        "upper": high,
        "exact": low == users == high,
        "reasons": _reasons(count, counter),
    }


def _stated(limits: Sequence[Limit], counts: Mapping[Kind, Mapping[str, Count]], states: States) -> list[Stated]:
    found = []
    for limit in limits:
        count = counts.get(limit.kind, {}).get(limit.license)
        measured = _UNCOUNTED if count is None else count.totals._replace(lower=count.lower, upper=count.upper)
        scoped = bounds(measured, _declared(count), limit.products, limit.affiliates)
        found.append(Stated(limit, scoped, states.see(limit, scoped.upper)))
    return found


def _declared(count: Count | None) -> tuple[Any, ...]:
    return count.declarations if count is not None else ()


def _bounds(count: Count | None) -> tuple[int, int, int | None]:
    if count is None:
        return 0, 0, 0
    return count.users, count.lower, None if count.unidentified or not count.complete else count.upper


def _reasons(count: Count | None, counter: UsageCounter) -> list[str]:
    reasons = []
    if count is not None and count.unidentified:
        reasons.append(f"{count.unidentified} answered requests named no user")
    if not counter.exact:
        reasons.append("the ledger estimates; the bounds are three standard errors")
    if count is not None and count.pending:
        reasons.append(f"{count.pending} users are on their way to the ledger")
    if count is not None and count.lost:
        reasons.append(f"the ledger lost {count.lost} users that it had; gateways write again what they kept")
    if count is not None and not count.complete:
        reasons.append("some days of the window were not tracked, or are not merged yet")
    if counter.unspooled:
        reasons.append(f"{counter.unspooled} sightings could not be spooled and wait in memory")
    if counter.damaged_records:
        reasons.append(f"{counter.damaged_records} spool records are damaged and set aside")
    return reasons
