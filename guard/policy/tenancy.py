"""What the tenants of a snapshot are and what each of them tightens: facts for the admin API and for reports."""

from collections.abc import Mapping
from typing import Any

from guard.exchange.snapshot import FieldRule, ModelPolicy, Snapshot
from guard.exchange.tenant import Tenant
from guard.exchange.unscanned import PartAction, PartKind


def tenant_facts(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return every tenant in the order in which they apply; ``tightens`` holds only what differs from the base."""
    if snapshot.tenants is None:
        return []
    return [_facts(snapshot, tenant) for tenant in snapshot.tenants.ordered]


def _facts(base: Snapshot, tenant: Tenant) -> dict[str, Any]:
    match, view = tenant.match, tenant.view(base)
    claim = {"name": match.claim[0], "value": match.claim[1]} if match.claim is not None else None
    tightens: dict[str, Any] = {
        name: after
        for name, before, after in (
            ("mode", base.mode.value, view.mode.value),
            ("at_limit", base.at_limit.value, view.at_limit.value),
            ("system_prompts", base.surface.system_prompts.name.lower(), view.surface.system_prompts.name.lower()),
            ("unscannable", _kinds(base.surface.unscannable), _kinds(view.surface.unscannable)),
        )
        if before != after
    }
    common = {rule.id for rule in base.rules.rules}
    own_rules = [rule.id for rule in view.rules.rules if rule.id not in common]
    if own_rules:
        tightens["rules"] = own_rules
    by_model = {
        model.name: _differences(model, of_tenant)
        for model, of_tenant in zip(_models(base), _models(view), strict=True)
        if of_tenant is not model and (tenant.models is None or model.name in tenant.models)
    }
    return {
        "name": tenant.name,
        "match": {"keys": sorted(match.keys), "claim": claim, "namespaces": sorted(match.namespaces)},
        "models": sorted(tenant.models) if tenant.models is not None else None,
        "purpose": tenant.purpose,
        "terms": sorted(tenant.terms),
        "tightens": tightens | ({"models": by_model} if by_model else {}),
    }


def _kinds(actions: Mapping[PartKind, PartAction]) -> str | dict[str, str]:
    """One word if all kinds of parts have the same, else each its own."""
    words = {kind.value: action.value for kind, action in actions.items()}
    return words if len(set(words.values())) > 1 else next(iter(words.values()))


def _models(snapshot: Snapshot) -> list[ModelPolicy]:
    default = snapshot.default_model
    models = list(snapshot.models.values())
    return models if default is None or any(model is default for model in models) else [*models, default]


def _differences(base: ModelPolicy, own: ModelPolicy) -> dict[str, dict[str, str]]:
    actions = {
        category: ruling.action.name.lower()
        for category, ruling in own.rulings.items()
        if category not in base.rulings or base.rulings[category].action is not ruling.action
    }
    fields = {name: _shown(rule) for name, rule in own.fields.items() if base.fields.get(name) != rule}
    return {"actions": actions, "fields": fields}


def _shown(rule: FieldRule) -> str:
    return rule.action.value if rule.limit is None else f"{rule.action.value} to {rule.limit}"
