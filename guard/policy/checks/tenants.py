"""Tenants are somebody's, tell callers apart, and tighten only."""

from collections.abc import Iterator, Mapping, Sequence

from guard.exchange.snapshot import FieldAction, FieldRule
from guard.exchange.unscanned import STRICTNESS, PartAction, PartKind
from guard.licensing.license import License
from guard.licensing.purpose import narrow
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem, nearest
from guard.policy.keyfile import KeyFile, registered
from guard.policy.settings.tenants import TenantConfig
from guard.policy.snapshot import fields, rulings
from guard.policy.tenants import AT_LIMIT, tightens
from guard.screening.findings import Action

CREDENTIALS = frozenset({"authorization", "x-api-key", "x-guard-purpose"})
"""Headers that say something else of a caller already."""


def user_headers(config: Config) -> set[str]:
    """Return the names of the headers in which hops say, unsigned, who the user is."""
    mtls = config.identity.mtls
    return {entry.header for entry in config.identity.trusted_headers} | ({mtls.header} if mtls is not None else set())


Stacks = Sequence[tuple[str, list[License]]]


def tenants(config: Config, document: Document, packs: Mapping[str, License], keyfile: KeyFile) -> Iterator[Problem]:
    """Yield a problem for every tenant whom nothing can match, and for whatever in its overlay is looser."""
    stacks = list(stacks_in_use(config, packs))
    seen: dict[str, str] = {}
    for name, tenant in config.tenants.items():
        at: Location = ("tenants", name)
        yield from _match(tenant, config, document, keyfile, at, seen)
        for index, model in enumerate(tenant.models or ()):
            if model not in config.models and not document.misses(("models", model)):
                near = nearest(model, config.models)
                yield document.problem((*at, "models", index), f"unknown model '{model}'", "one of models", near=near)
        own = [stack for stack in stacks if tenant.models is None or stack[0] in tenant.models]
        yield from _actions(tenant, config, document, at, own)
        yield from _fields(tenant, config, document, at, own)
        yield from _choices(tenant, config, document, at)
        yield from _parts(tenant, config, document, at)
        yield from _purpose(tenant, config, document, keyfile, at)
    header = config.identity.namespace_header
    if any(tenant.match.namespace for tenant in config.tenants.values()) and not document.misses(("identity",)):
        if not config.identity.trusted_from:
            at = ("identity", "trusted_from")
            yield document.problem(at, "tenants are matched by namespace, but no hop is trusted to name it", "networks")
        if header in CREDENTIALS.union(user_headers(config), config.territory.country_headers):
            at = ("identity", "namespace_header")
            yield document.problem(at, f"'{header}' says something else of a caller", "a header of its own")


def _match(
    tenant: TenantConfig, config: Config, document: Document, keyfile: KeyFile, at: Location, seen: dict[str, str]
) -> Iterator[Problem]:
    match, names = tenant.match, [entry.key.name for entry in registered(config, document, keyfile)]
    entries: list[tuple[Location, str]] = []
    for index, key in enumerate(match.keys):
        where: Location = (*at, "match", "keys", index)
        entries.append((where, f"key '{key}'"))
        if key not in names and not document.misses(("identity", "keys")):
            yield document.problem(
                where, f"unknown key '{key}'", "the name of one of identity.keys", names, nearest(key, names)
            )
    for index, namespace in enumerate(match.namespace):
        entries.append(((*at, "match", "namespace", index), f"namespace '{namespace}'"))
    if match.claim is not None:
        entries.append(((*at, "match", "claim"), f"claim {match.claim.name} '{match.claim.value}'"))
        verified = config.identity.jwt is not None and "jwt" in config.identity.sources
        if not verified and not document.misses(("identity", "jwt"), ("identity", "sources")):
            found, allowed = "a claim, but no token is verified", "identity.jwt, and jwt in identity.sources"
            yield document.problem((*at, "match", "claim"), found, allowed)
    for where, entry in entries:
        if entry in seen:
            yield document.problem(where, f"{entry} is that of {seen[entry]} already", "each once: the first applies")
        seen.setdefault(entry, f"tenants.{at[1]}")


def _actions(
    tenant: TenantConfig, config: Config, document: Document, at: Location, stacks: Stacks
) -> Iterator[Problem]:
    for category, action in tenant.actions.items():
        if document.misses(("screening", "actions", category)):
            continue
        for model, stack in stacks:
            # Without what is relaxed: somebody answers for that toward everybody, not for one tenant's share of it.
            floor = rulings(stack, config.screening.actions).get(category)
            if floor is None or action >= floor.action:
                continue
            if floor.license is not None:
                by = f"license {floor.license} for {model} ({floor.clause})"
            elif category in config.screening.actions:
                by = f"screening.actions.{category} ('{floor.action.name.lower()}')"
            else:
                by = f"what holds for {model} ('{floor.action.name.lower()}')"
            found = f"'{action.name.lower()}' is looser than {by}"
            yield document.problem((*at, "actions", category), found, _from(floor.action))
            break


def _from(least: Action) -> str:
    return " or ".join(action.name.lower() for action in Action if action >= least and action is not Action.MASK)


def _fields(
    tenant: TenantConfig, config: Config, document: Document, at: Location, stacks: Stacks
) -> Iterator[Problem]:
    for capability, own in tenant.fields.items():
        if document.misses(("outputs", "fields", capability)):
            continue
        for model, stack in stacks:
            base = fields(stack, config).get(capability)
            if base is None or tightens(capability, own, base):
                continue
            shown = own.action.value if own.limit is None else f"{own.action.value} to {own.limit}"
            by = f"license {base.license} for {model} ({base.clause})" if base.license else f"what holds for {model}"
            found = f"'{shown}' is looser than {by}"
            yield document.problem((*at, "fields", capability), found, _tighter(capability, base))
            break


def _tighter(capability: str, base: FieldRule) -> str:
    if base.action is not FieldAction.CLAMP:
        return "strip or deny" if base.action is FieldAction.STRIP else "deny"
    clamp = f"{{clamp: N}} with N up to {base.limit}"
    return clamp if capability == "length" else f"{clamp}, or deny"


def _choices(tenant: TenantConfig, config: Config, document: Document, at: Location) -> Iterator[Problem]:
    screening, usage = config.screening, config.usage
    for name, where, own, base, order in (
        ("at_limit", "usage", tenant.at_limit, usage.at_limit, tuple(map(str, AT_LIMIT))),
        ("system_prompts", "screening", tenant.system_prompts, screening.system_prompts, ("off", "flag", "block")),
    ):
        if own is None or document.misses((where, name)) or order.index(own) >= order.index(base):
            continue
        found = f"'{own}' is looser than {where}.{name} ('{base}')"
        yield document.problem((*at, name), found, " or ".join(order[order.index(base) :]))


def _parts(tenant: TenantConfig, config: Config, document: Document, at: Location) -> Iterator[Problem]:
    own, base = tenant.unscannable, config.screening.unscannable
    if own is None or document.misses(("screening", "unscannable")):
        return
    for kind in PartKind:
        mine, floor = own.of(kind), base.of(kind) or PartAction.DENY
        if mine is None or STRICTNESS.index(mine) >= STRICTNESS.index(floor):
            continue
        named = getattr(own, kind) is not None
        by = f"screening.unscannable.{kind}" if getattr(base, kind) is not None else "screening.unscannable"
        where: Location = (*at, "unscannable", kind) if named else (*at, "unscannable")
        allowed = " or ".join(STRICTNESS[STRICTNESS.index(floor) :])
        yield document.problem(where, f"'{mine}' is looser than {by} ('{floor}')", allowed)
        if not named:
            return


def _purpose(
    tenant: TenantConfig, config: Config, document: Document, keyfile: KeyFile, at: Location
) -> Iterator[Problem]:
    if tenant.purpose is None:
        return
    for where, key_at, key in registered(config, document, keyfile):
        if key.name not in tenant.match.keys or where.misses(key_at):
            continue
        if narrow(tenant.purpose, key.purpose) is None:
            found = f"'{tenant.purpose}' is less than '{key.purpose}', the purpose of its key '{key.name}'"
            yield document.problem((*at, "purpose"), found, f"{key.purpose}, or another purpose of the key")
