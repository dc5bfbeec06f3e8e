"""What the admin port and the metrics show of a runtime: plain facts, read from memory."""

from collections.abc import Iterable
from typing import Any

from guard.exchange.snapshot import Snapshot
from guard.licensing.need import OF_OBLIGATION
from guard.licensing.obligations import Obligation, all_obligations
from guard.observability.metrics import LicenseReading, LimitReading
from guard.policy.tenancy import tenant_facts
from guard.policy.watch import ReloadResult
from guard.usage.counter import Count, UsageCounter
from guard.usage.thresholds import Limit


def limits_of(snapshot: Snapshot) -> dict[str, list[Limit]]:
    """Return every user limit of the snapshot by license, each once, in the order of the models."""
    found: dict[str, dict[Limit, None]] = {}
    for model in _models(snapshot):
        for license in model.counted:
            found.setdefault(license, {})
        for limit in model.limits:
            found.setdefault(limit.license, {})[limit] = None
    return {license: list(limits) for license, limits in found.items()}


def readings(snapshot: Snapshot, counter: UsageCounter, now: float) -> list[LicenseReading]:
    """Return the count of every license that is served or was counted, with its bounds and states.

    Unidentified requests make the count a lower bound without an upper one; sightings on their way to the ledger that
    a sibling process may have counted too make it an interval.
    """
    counts, limits = counter.counts(now), limits_of(snapshot)
    rows = []
    for license in dict.fromkeys([*limits, *counts]):
        count = counts.get(license)
        users, low, high = _bounds(count)
        named = [LimitReading(limit.id, limit.value, limit.state(users)) for limit in limits.get(license, ())]
        rows.append(LicenseReading(license, users, low, high, low == users == high, named))
    return rows


def usage_facts(snapshot: Snapshot, counter: UsageCounter, period: str, now: float) -> list[dict[str, Any]]:
    """Return ``readings`` as the admin API and the console show them, with the reasons for every bound."""
    counts, limits = counter.counts(now), limits_of(snapshot)
    rows = []
    for row in readings(snapshot, counter, now):
        count = counts.get(row.license)
        rows.append(
            {
                "license": row.license,
                "period": period,
                "users": row.users,
                "lower": row.lower,
                "upper": row.upper,
                "exact": row.exact,
                "reasons": _reasons(count, counter),
                "limits": [
                    {
                        "id": limit.id,
                        "value": limit.value,
                        "state": limit.state(row.users).value,
                        "standing": limit.standing,
                        "clause": limit.clause,
                    }
                    for limit in limits.get(row.license, ())
                ],
            }
        )
    return rows


def recorded(snapshot: Snapshot) -> str:
    """Return which decisions the audit chain holds under ``snapshot``, in the words of ``evidence.decisions``."""
    return "all" if snapshot.every_decision else "notable"


def policy_facts(snapshot: Snapshot, history: Iterable[ReloadResult]) -> dict[str, Any]:
    """Return what is in force, for which models, and how the last loads went."""
    return {
        "hash": snapshot.hash,
        "mode": snapshot.mode.value,
        "models": {
            name: {
                "licenses": [license.id for license in model.licenses],
                "blocking": sorted(model.blocking),
                "fields": {field: rule.action.value for field, rule in model.fields.items()},
            }
            for name, model in snapshot.models.items()
        },
        "at_limit": snapshot.at_limit.value,
        "tenants": tenant_facts(snapshot),
        "warnings": list(snapshot.warnings),
        "reloads": [
            {
                "ok": result.ok,
                "hash": result.hash,
                "at": result.at,
                "problems": [str(problem) for problem in result.problems],
                "restart": list(result.restart),
            }
            for result in history
        ],
    }


def obligation_facts(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return what is owed for the snapshot's models: by which of them, for what, what is stated and what Guard adds."""
    owing: dict[Obligation, list[str]] = {}
    for model in _models(snapshot):
        for obligation in all_obligations(model.licenses):
            owing.setdefault(obligation, []).append(model.name)
    carriers = sorted(snapshot.surface.notice_carriers)
    return [
        obligation._asdict()
        | {
            "act": obligation.act,
            "status": obligation.status.value,
            "models": models,
            "stated": snapshot.statements.get((obligation.license, OF_OBLIGATION.get(obligation.kind, ""))),
            "carried": carriers if _carried(obligation) else [],
        }
        for obligation, models in owing.items()
    ]


def _carried(obligation: Obligation) -> bool:
    return obligation.kind == "display" and bool(obligation.wording) and "serving" in obligation.owed_for


def _models(snapshot: Snapshot) -> list[Any]:
    models = list(snapshot.models.values())
    if snapshot.default_model is not None and snapshot.default_model not in models:
        models.append(snapshot.default_model)
    return models


def _bounds(count: Count | None) -> tuple[int, int, int | None]:
    if count is None:
        return 0, 0, 0
    return count.users, count.users - count.pending, None if count.unidentified else count.users


def _reasons(count: Count | None, counter: UsageCounter) -> list[str]:
    reasons = []
    if count is not None and count.unidentified:
        reasons.append(f"{count.unidentified} answered requests named no user")
    if count is not None and count.pending:
        reasons.append(f"{count.pending} users are on their way to the ledger")
    if counter.damaged_records:
        reasons.append(f"{counter.damaged_records} spool records are damaged and set aside")
    return reasons
