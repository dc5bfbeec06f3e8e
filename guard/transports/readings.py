"""What the admin port and the metrics show of a runtime: plain facts, read from memory."""

from collections.abc import Iterable, Sequence
from typing import Any

from guard.evidence.report.problem import stated
from guard.exchange.snapshot import Snapshot
from guard.licensing.license import License
from guard.licensing.need import OF_OBLIGATION
from guard.licensing.obligations import Obligation, all_obligations, threshold_text
from guard.policy.document import Problem
from guard.policy.load import Loaded
from guard.policy.tenancy import tenant_facts
from guard.policy.watch import ReloadResult
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


def recorded(snapshot: Snapshot) -> str:
    """Return which decisions the audit chain holds under ``snapshot``, in the words of ``evidence.decisions``."""
    return "all" if snapshot.every_decision else "notable"


def kept(problems: Iterable[Problem]) -> list[str]:
    """Return what the audit chain has of a policy's problems: file, line, setting and kind, and no value."""
    return [stated(each.file, each.line, each.path or "document", each.found) for each in problems]


def standing(snapshot: Snapshot) -> dict[str, Any]:
    """Return what a file of the audit chain that continues another one says of the policy in force."""
    return {"policy": snapshot.hash, "mode": snapshot.mode.value, "decisions": recorded(snapshot)}


def reloaded(loaded: Loaded, *, changed: bool) -> dict[str, Any]:
    """Return what the audit chain has of a reload beside its result: how the policy acts that is in force after it,
    and the dangerous changes that were confirmed with it, if it is another one.
    """
    return {
        "mode": loaded.snapshot.mode.value,
        "decisions": recorded(loaded.snapshot),
        "confirmed": list(loaded.confirmed) if changed else [],
    }


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
    """Return what is owed for the snapshot's models and judge: for which, why, what is stated and what Guard adds."""
    owing: dict[Obligation, list[str]] = {}
    for name, licenses in stacks_of(snapshot):
        for obligation in all_obligations(licenses):
            owing.setdefault(obligation, []).append(name)
    carriers = sorted(snapshot.surface.notice_carriers)
    attested = _attested(snapshot)
    return [
        obligation._asdict()
        | {
            "act": obligation.act,
            "status": obligation.status.value,
            "models": models,
            "stated": attested.get((obligation.license, obligation.text))
            or snapshot.statements.get((obligation.license, OF_OBLIGATION.get(obligation.kind, ""))),
            "carried": carriers if _carried(obligation) else [],
        }
        for obligation, models in owing.items()
    ]


def stacks_of(snapshot: Snapshot) -> list[tuple[str, Sequence[License]]]:
    """Return the name and the licenses of every model that is served, and of the judge."""
    found: list[tuple[str, Sequence[License]]] = [(model.name, model.licenses) for model in _models(snapshot)]
    if snapshot.judge is not None:
        found.append((f"{snapshot.judge.name} (judge)", snapshot.judge.licenses))
    return found


def _attested(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    """The words of what is attested, by license and the text of the obligation that it answers."""
    stacks = (model.licenses for model in _models(snapshot))
    thresholds = {
        (license.id, part.id): (license.id, threshold_text(part))
        for licenses in stacks
        for license in licenses
        for part in license.thresholds
    }
    return {thresholds[at]: words for at, words in snapshot.attestations.items()}


def _carried(obligation: Obligation) -> bool:
    return obligation.kind == "display" and bool(obligation.wording) and "serving" in obligation.owed_for


def _models(snapshot: Snapshot) -> list[Any]:
    models = list(snapshot.models.values())
    if snapshot.default_model is not None and snapshot.default_model not in models:
        models.append(snapshot.default_model)
    return models
