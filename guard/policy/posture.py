"""The posture of a policy: how strict it is, as plain facts that a later policy is compared with.

A fact is named by where the operator would look for it: ``("usage", "limits", "qwen-2024")``, ``("models", "tiny",
"S9")``. The names and values are plain text and numbers, so that a state directory can remember them over a restart.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping

from guard.exchange.snapshot import FieldRule, ModelPolicy, Snapshot
from guard.exchange.tenant import Tenant, Tenants
from guard.exchange.unscanned import STRICTNESS, PartKind
from guard.licensing.capability import Setting
from guard.licensing.place import members
from guard.policy.attestations import attestor_keys
from guard.policy.config import Config
from guard.policy.settings.unscannable import UnscannableConfig

At = tuple[str, ...]
Fact = str | int
Posture = Mapping[At, Fact]

ORDERS: Mapping[At, tuple[str, ...]] = {
    ("mode",): ("shadow", "enforce"),
    ("usage", "at_limit"): ("observe", "refuse_newcomers", "refuse_all"),
    ("usage", "unattested"): ("warn", "refuse"),
    ("identity", "unidentified"): ("allow", "credential", "deny"),
    ("identity", "registered_only"): ("false", "true"),
    ("identity", "terms"): ("off", "warn", "require"),
    ("operator", "unstated"): ("warn", "refuse"),
    ("territory", "unknown"): ("allow", "deny"),
    ("screening", "system_prompts"): ("off", "flag", "block"),
    ("screening", "unscannable"): tuple(map(str, STRICTNESS)),
    ("screening", "neural", "scope"): ("off", "auto", "band", "all"),
    ("screening", "neural", "on_error"): ("serve", "refuse"),
    ("surface", "unknown_fields"): ("drop", "deny"),
    ("outputs", "bulk"): ("off", "require"),
    ("outputs", "behavior", "mode"): ("off", "shadow", "enforce"),
    ("outputs", "behavior", "most"): ("alert", "clamp", "require_purpose", "suspend"),
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
NONE = "none"
"""Of a list: nothing is in it. What a record does not name at all, its release did not compare."""


def posture(config: Config, snapshot: Snapshot, own_rules: Mapping[At, str]) -> dict[At, Fact]:
    """Return the facts of one loaded policy; ``own_rules`` are as in ``Loaded``."""
    return {**dict(_facts(config, snapshot)), **own_rules}


def listed(items: Iterable[str]) -> str:
    """Return ``items`` as one fact."""
    return ", ".join(items) or NONE


def names(fact: Fact | None) -> tuple[str, ...]:
    """Return the items of a fact that was ``listed``."""
    return () if fact is None or fact == NONE else tuple(str(fact).split(", "))


def _facts(config: Config, snapshot: Snapshot) -> Iterator[tuple[At, Fact]]:
    for at in ORDERS:
        value: object = config
        for name in at:
            value = getattr(value, name)
        yield from _setting(at, value, "deny")
    yield ("outputs", "bulk_samples"), config.outputs.bulk_samples
    yield ("usage", "attestors"), listed(sorted(b64encode(key).decode() for key in attestor_keys(config)))
    for license_, reading in config.usage.affiliates.items():
        yield ("usage", "affiliates", license_), reading
    yield ("territory", "country_headers"), listed(config.territory.country_headers)
    yield from _identity(config, snapshot)
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
        yield ("models", name, "excluded"), _places(model)
        yield from _limits(model)
    yield from _tenants(config, snapshot)
    yield from _judge(config)


def _judge(config: Config) -> Iterator[tuple[At, Fact]]:
    """What a guard model holds back, and whether its silence refuses; nothing where none is asked."""
    judge = config.screening.judge
    if judge is None:
        return
    for name, outputs in (("prompts", False), ("answers", True)):
        rules = [rule for rule in judge.rules if rule.outputs is outputs and rule.mode == "blocking"]
        yield ("screening", "judge", name), listed(sorted({code for rule in rules for code in rule.categories}))
    yield ("screening", "judge", "on_error"), judge.on_error


def _identity(config: Config, snapshot: Snapshot) -> Iterator[tuple[At, Fact]]:
    identity = config.identity
    yield ("identity", "sources"), listed(identity.sources)
    yield ("identity", "trusted_from"), listed(identity.trusted_from)
    yield ("identity", "trusted_headers"), listed(map(str, identity.trusted_headers))
    mtls = identity.mtls
    if mtls is not None:
        yield ("identity", "mtls", "header"), mtls.header
    yield ("identity", "mtls", "from"), listed((mtls.networks or identity.trusted_from) if mtls is not None else ())
    if snapshot.identity.namespace_header is not None:
        yield ("identity", "namespace_header"), identity.namespace_header
    yield ("identity", "jwt", "algorithms"), listed(sorted(identity.jwt.algorithms) if identity.jwt else ())
    if identity.jwt is not None:
        for name in ("issuer", "audience", "claim", "purpose_claim"):
            yield ("identity", "jwt", name), getattr(identity.jwt, name) or NONE
    for assertion in identity.assertions:
        at = ("identity", "assertions", assertion.header)
        yield (*at, "algorithms"), listed(sorted(assertion.algorithms))
        yield (*at, "trusted_from"), listed(assertion.trusted_from)
        for name in ("issuer", "audience", "claim"):
            yield (*at, name), getattr(assertion, name)
    # A key that was revoked is refused, and so grants no more than it did.
    for _, entitlement in sorted(snapshot.identity.stored.values(), key=lambda entry: not entry[0].revoked):
        yield ("identity", "keys", entitlement.name, "purpose"), entitlement.purpose
    for key in identity.keys:
        yield ("identity", "keys", key.name, "purpose"), key.purpose
    yield from _entitled(snapshot)


def _entitled(snapshot: Snapshot) -> Iterator[tuple[At, Fact]]:
    """What keys have of the capability surface that everybody has not, by model."""
    stored = (known for hash_, known in snapshot.identity.stored.values() if not hash_.revoked)
    for known in (*snapshot.identity.keys.values(), *stored):
        for name, model in _models(snapshot).items() if known.fields else ():
            own = known.fields.get(model.counted, model.fields)
            for capability in dict.fromkeys((*model.fields, *own)):
                rules = (own.get(capability), model.fields.get(capability))
                mine, everybodys = (rule and (rule.action, rule.limit) for rule in rules)
                if mine != everybodys:
                    yield ("identity", "keys", known.name, "models", name, "fields", capability), _rule(rules[0])


def _rule(rule: FieldRule | None) -> str:
    return str(Setting(rule.action.value, rule.limit)) if rule is not None else "allow"


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
        yield ("models", name, "fields", capability), _rule(rule)


def _places(model: ModelPolicy) -> str:
    """The countries in which a model is not used, a whole union under its one name."""
    union = members(["EU"])
    codes = set(model.excluded)
    return listed(sorted(codes - union | {"EU"} if union <= codes else codes))


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
    if snapshot.tenants is None:
        return
    yield ("tenants",), listed(tenant.name for tenant in snapshot.tenants.ordered)
    for tenant in snapshot.tenants.ordered:
        own = config.tenants[tenant.name]
        yield ("tenants", tenant.name, "match"), listed(_matched(tenant, snapshot.tenants))
        if tenant.purpose is not None:
            yield ("tenants", tenant.name, "purpose"), tenant.purpose
        for name in OVERLAID:
            if getattr(own, name) is not None:
                yield from _setting(("tenants", tenant.name, name), getattr(own, name), None)
        if tenant.models is not None:
            yield ("tenants", tenant.name, "models"), listed(sorted(tenant.models))
        for name, model in tenant.view(snapshot).models.items():
            for at, value in _model(name, model):
                if base.get(at) != value:
                    yield ("tenants", tenant.name, *at), value


def _matched(tenant: Tenant, tenants: Tenants) -> Iterator[str]:
    """What a caller is known by as this tenant; what an earlier tenant takes is not among it."""
    match = tenant.match
    yield from (f"key {key}" for key in sorted(match.keys) if tenants.of(key, None, None) is tenant)
    if match.claim is not None and tenants.of(None, dict([match.claim]), None) is tenant:
        yield f"claim {match.claim[0]} {match.claim[1]}"
    yield from (f"namespace {name}" for name in sorted(match.namespaces) if tenants.of(None, None, name) is tenant)


def _setting(at: At, value: object, unsaid: str | None) -> Iterator[tuple[At, Fact]]:
    """Yield one setting; of one that is said by kind, what holds for the others (``unsaid`` if nothing is) and each."""
    if not isinstance(value, UnscannableConfig):
        yield at, _plain(value)
        return
    others = value.default or unsaid
    if others is not None:
        yield at, others
    yield from (((*at, kind.value), getattr(value, kind)) for kind in PartKind if getattr(value, kind) is not None)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
