"""From the tenants of a configuration to overlays of the core's snapshot. Whatever an overlay changes is stricter."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from guard.exchange.snapshot import FieldAction, FieldRule, Mode, ModelPolicy, Ruling, Snapshot
from guard.exchange.tenant import Match, Tenant, Tenants
from guard.exchange.unscanned import PartAction, PartKind, stricter
from guard.policy.config import Config
from guard.policy.locations import yaml_files
from guard.policy.settings.shadows import Shadows
from guard.policy.settings.tenants import TenantConfig
from guard.policy.snapshot import blocking
from guard.policy.values import FieldSetting
from guard.screening.findings import Action
from guard.screening.ruleset import RuleSet
from guard.usage.thresholds import AtLimit

AT_LIMIT = tuple(AtLimit)
"""From the loosest to the strictest."""


def tenant_rule_files(config: Config, common: Sequence[Path]) -> dict[str | None, tuple[Path, ...]]:
    """Return the rule files of every tenant that has its own, by name: everybody's, which are ``common``, and those."""
    return {
        name: (*common, *(file for path in map(Path, tenant.rules) for file in _files(path)))
        for name, tenant in config.tenants.items()
        if tenant.rules
    }


def _files(path: Path) -> Sequence[Path]:
    return yaml_files(path) if path.is_dir() else [path]


def with_tenants(base: Snapshot, config: Config, rules: Mapping[str | None, RuleSet], today: date) -> Snapshot:
    """Return ``base`` with the tenants of ``config``; ``rules`` are those of the tenants that have their own.

    What an overlay does not change it shares with ``base``: a tenant costs what it changes.
    """
    if not config.tenants:
        return base
    shadows = Shadows(config.shadows, today)
    return replace(
        base,
        tenants=Tenants(
            [
                Tenant(
                    name=name,
                    match=_match(own),
                    overlay=_overlay(base, own, rules.get(name), shadows),
                    models=frozenset(own.models) if own.models is not None else None,
                    purpose=own.purpose,
                    terms=frozenset(terms.license for terms in own.terms),
                    fields=frozenset(own.fields),
                )
                for name, own in config.tenants.items()
            ]
        ),
    )


def tightens(capability: str, own: FieldSetting, base: FieldRule | None) -> bool:
    """Return True if ``own`` lets through nothing that ``base`` does not, and refuses all that it refuses.

    ``strip`` and ``clamp`` are no steps of one ladder: a clamp refuses what it cannot lower. And where the length of
    answers is clamped nothing but a smaller clamp will do, because a request that states none gets the clamp's.
    """
    if base is None or base.action is FieldAction.ALLOW:
        return True
    if own.action is base.action:
        return own.limit is None or base.limit is None or own.limit <= base.limit
    return own.action is FieldAction.DENY and not (capability == "length" and base.action is FieldAction.CLAMP)


def tightened(model: ModelPolicy, own: TenantConfig, shadows: Shadows) -> ModelPolicy:
    """Return ``model`` under the actions and fields of ``own``, as far as they are stricter."""
    raised = {
        category: Ruling(action)
        for category, action in own.actions.items()
        if action > (model.rulings[category].action if category in model.rulings else Action.OFF)
    }
    closed: dict[str, FieldRule] = {}
    for capability, setting in own.fields.items():
        known = model.fields.get(capability, FieldRule(FieldAction.ALLOW))
        if setting != (known.action, known.limit) and tightens(capability, setting, known):
            closed[capability] = FieldRule(setting.action, setting.limit)
    if not raised and not closed:
        return model
    rulings = MappingProxyType({**model.rulings, **raised})
    return replace(
        model,
        rulings=rulings,
        citations=MappingProxyType({key: cited for key, cited in model.citations.items() if key[0] not in raised}),
        blocking=blocking(rulings, shadows),
        fields=MappingProxyType({**model.fields, **closed}),
    )


def _unscannable(base: Snapshot, own: TenantConfig) -> Mapping[PartKind, PartAction]:
    kinds = base.surface.unscannable
    if own.unscannable is None:
        return kinds
    return MappingProxyType(
        {kind: stricter(own.unscannable.of(kind) or action, action) for kind, action in kinds.items()}
    )


def _match(own: TenantConfig) -> Match:
    claim = (own.match.claim.name, own.match.claim.value) if own.match.claim is not None else None
    return Match(frozenset(own.match.keys), claim, frozenset(own.match.namespace))


def _overlay(base: Snapshot, own: TenantConfig, rules: RuleSet | None, shadows: Shadows) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if own.actions or own.fields:
        found["models"] = MappingProxyType(
            {name: tightened(model, own, shadows) for name, model in base.models.items()}
        )
        if base.default_model is not None:
            listed = base.models.get(base.default_model.name) is base.default_model
            found["default_model"] = (
                found["models"][base.default_model.name] if listed else tightened(base.default_model, own, shadows)
            )
    if rules is not None:
        found["rules"] = rules
    if own.mode is not None:
        found["mode"] = Mode.ENFORCE
    if own.at_limit is not None:
        found["at_limit"] = max(base.at_limit, AtLimit(own.at_limit), key=AT_LIMIT.index)
    prompts = Action.parse(own.system_prompts) if own.system_prompts is not None else Action.OFF
    found["surface"] = replace(
        base.surface,
        system_prompts=max(base.surface.system_prompts, prompts),
        unscannable=_unscannable(base, own),
    )
    return MappingProxyType({name: value for name, value in found.items() if value != getattr(base, name)})
