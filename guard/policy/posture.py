"""The posture of a policy: how strict it is, as plain facts that a later policy is compared with.

A fact is named by where the operator would look for it: ``("usage", "limits", "qwen-2024")``, ``("models", "tiny",
"S9")``. The names and values are plain text and numbers, so that a state directory can remember them over a restart.
"""

from collections.abc import Iterator, Mapping

from guard.exchange.snapshot import ModelPolicy, Snapshot
from guard.licensing.capability import Setting
from guard.policy.config import Config

At = tuple[str, ...]
Fact = str | int
Posture = Mapping[At, Fact]

ORDERS: Mapping[At, tuple[str, ...]] = {
    ("mode",): ("shadow", "enforce"),
    ("usage", "at_limit"): ("observe", "refuse_newcomers", "refuse_all"),
    ("identity", "unidentified"): ("allow", "credential", "deny"),
    ("identity", "registered_only"): ("false", "true"),
    ("identity", "terms"): ("off", "warn", "require"),
    ("operator", "unstated"): ("warn", "refuse"),
    ("territory", "unknown"): ("allow", "deny"),
    ("screening", "system_prompts"): ("off", "flag", "block"),
    ("screening", "unscannable"): ("allow", "deny"),
    ("outputs", "receipts"): ("false", "true"),
    ("outputs", "fingerprints"): ("false", "true"),
    ("evidence", "audit"): ("false", "true"),
}
"""Settings that have an order: their values from the loosest to the strictest."""
OVERLAID: Mapping[str, At] = {
    "mode": ("mode",),
    "at_limit": ("usage", "at_limit"),
    "system_prompts": ("screening", "system_prompts"),
    "unscannable": ("screening", "unscannable"),
}
"""Those that a tenant may have of its own, by their names there."""
UNLISTED, ANY = ("unlisted",), "*"
"""What is done with models that are not listed: ``refuse``, ``undetermined``, or their licenses. And their name."""
UNDETERMINED, REFUSED = "undetermined", "refuse"


def posture(config: Config, snapshot: Snapshot) -> dict[At, Fact]:
    """Return the facts of one loaded policy."""
    return dict(_facts(config, snapshot))


def _facts(config: Config, snapshot: Snapshot) -> Iterator[tuple[At, Fact]]:
    for at in ORDERS:
        value: object = config
        for name in at:
            value = getattr(value, name)
        yield at, _plain(value)
    yield ("territory", "country_headers"), ", ".join(config.territory.country_headers) or "none"
    for name in config.surface.enabled:
        yield ("surface", "enabled", name), "open"
    for rule in snapshot.shadowed_rules:
        yield ("shadows", "rule", rule), "shadow"
    for code in snapshot.shadowed_codes:
        yield ("shadows", "check", code.value), "shadow"
    yield UNLISTED, _unlisted(config)
    for name, model in _models(snapshot).items():
        if name != ANY:
            yield ("models", name, "license"), licenses_of(model)
        yield from _model(name, model)
        yield from _limits(model)
    yield from _tenants(config, snapshot)


def licenses_of(model: ModelPolicy) -> str:
    """Return the ids of a model's licenses in one line."""
    return " + ".join(license_.id for license_ in model.licenses) or UNDETERMINED


def _models(snapshot: Snapshot) -> dict[str, ModelPolicy]:
    """Every served model by name; those that are not listed, where they are served, under ANY."""
    found = dict(snapshot.models)
    if snapshot.allow_unknown_models and snapshot.default_model is not None:
        found[ANY] = snapshot.default_model
    return found


def _unlisted(config: Config) -> str:
    if config.license is not None:
        return " + ".join(dict.fromkeys(config.license))
    return config.unknown_models


def _model(name: str, model: ModelPolicy) -> Iterator[tuple[At, Fact]]:
    for category, ruling in model.rulings.items():
        blocked = ruling.action.name == "BLOCK"
        shadowed = blocked and category not in model.blocking
        yield ("models", name, category), "shadow" if shadowed else ruling.action.name.lower()
    for capability, rule in model.fields.items():
        yield ("models", name, "fields", capability), str(Setting(rule.action.value, rule.limit))


def _limits(model: ModelPolicy) -> Iterator[tuple[At, Fact]]:
    for limit in model.limits:
        if limit.id == "operator":
            yield ("usage", "limits", limit.license), limit.allowed
        else:
            yield ("licenses", limit.license, limit.id), limit.allowed
            yield ("licenses", limit.license, limit.id, "acts"), _plain(limit.acts)
    for license_ in model.people_only:
        yield ("usage", "readings", license_), "people"


def _tenants(config: Config, snapshot: Snapshot) -> Iterator[tuple[At, Fact]]:
    """What the overlays change."""
    base = dict(fact for name, model in snapshot.models.items() for fact in _model(name, model))
    for tenant in snapshot.tenants.ordered if snapshot.tenants is not None else ():
        own = config.tenants[tenant.name]
        for name in OVERLAID:
            if getattr(own, name) is not None:
                yield ("tenants", tenant.name, name), _plain(getattr(own, name))
        if tenant.models is not None:
            yield ("tenants", tenant.name, "models"), ", ".join(sorted(tenant.models))
        for name, model in tenant.view(snapshot).models.items():
            for at, value in _model(name, model):
                if base.get(at) != value:
                    yield ("tenants", tenant.name, *at), value


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
