"""From a valid configuration and the license packs to the core's immutable snapshot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache, partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType

from guard.exchange.credential import digest_key
from guard.exchange.refusal import Code
from guard.exchange.snapshot import (
    Assertion,
    Bulk,
    CitedItem,
    Entitlement,
    FieldAction,
    FieldRule,
    IdentityPolicy,
    Mode,
    ModelPolicy,
    Ruling,
    Snapshot,
    SurfacePolicy,
)
from guard.exchange.trusted import TrustedHeader
from guard.exchange.unscanned import PartAction, PartKind
from guard.licensing.capability import CAPABILITIES, setting
from guard.licensing.license import AupItem, License, Threshold, Window
from guard.licensing.lineage import resolve_target
from guard.licensing.need import Need
from guard.licensing.notice import Notice, display_notices, machine_notice
from guard.licensing.terms import flow_down_clause
from guard.licensing.verdict import unstated_verdict
from guard.policy.attestations import Attested, attested, filed, unattested
from guard.policy.config import Config
from guard.policy.document import Location
from guard.policy.keyfile import NO_KEYS, KeyFile, stored
from guard.policy.operator import excluded_places, open_needs, people_only, statements
from guard.policy.resolution import judge_stacks, license_drift, stack_of
from guard.policy.settings.shadows import Shadows
from guard.policy.tokens import TokenVerifier
from guard.screening.categories import CATEGORIES, HAZARDS
from guard.screening.findings import Action
from guard.screening.ruleset import RuleSet
from guard.usage.period import Kind
from guard.usage.thresholds import AtLimit, Limit

DEFAULT_NAME, UNDETERMINED = "default", "undetermined"
"""Names of the policies of models that are not listed: under ``license``, or under no known license."""


def rulings(
    licenses: Sequence[License], actions: Mapping[str, Action], relaxed: Iterable[str] = ()
) -> Mapping[str, Ruling]:
    """Return what is done about each category under a stack: the strictest license wins.

    An action of the operator's is a floor, or for a ``relaxed`` category takes the license's place. Without a license
    (undetermined) every hazard is flagged.
    """
    found: dict[str, Ruling] = {}
    relaxed = frozenset(relaxed)
    for category in CATEGORIES:
        ruling = _license_ruling(category, licenses)
        if not licenses and category in HAZARDS:
            ruling = Ruling(Action.FLAG)
        own = actions.get(category)
        if own is not None and (own > ruling.action or category in relaxed):
            ruling = Ruling(own)
        if ruling.action is not Action.OFF:
            found[category] = ruling
    return MappingProxyType(found)


def _license_ruling(category: str, licenses: Sequence[License]) -> Ruling:
    best = Ruling(Action.OFF)
    for license_ in licenses:
        items = [item for item in license_.aup if category in item.categories]
        action = max((item.action_for(category) for item in items), default=Action.OFF)
        if action > best.action:
            cited = _cited([item for item in items if item.action_for(category) is action], category)
            best = Ruling(
                action,
                license_.id,
                ", ".join(item.id for item in cited),
                ", ".join(dict.fromkeys(item.clause for item in cited)),
            )
    return best


def _cited(items: Sequence[AupItem], category: str) -> Sequence[AupItem]:
    """The items a category's action rests on: those it fully covers, if there are any and the category is their own."""
    full = [item for item in items if item.coverage == "full" and category not in dict(item.otherwise)]
    return full or items


def citations(ruled: Mapping[str, Ruling], licenses: Sequence[License]) -> Mapping[tuple[str, str], CitedItem]:
    """Return the rulings that rest on a license, by category and every item of that license, with the item cited."""
    stack = {license_.id: license_ for license_ in licenses}
    return MappingProxyType(
        {
            (category, item.id): CitedItem(
                replace(ruling, item=item.id, clause=item.clause), item.action_for(category) is ruling.action
            )
            for category, ruling in ruled.items()
            if ruling.license is not None
            for item in stack[ruling.license].aup
        }
    )


def fields(licenses: Sequence[License], config: Config) -> Mapping[str, FieldRule]:
    """Return what happens to each capability under a stack; one that is missing is allowed."""
    found = {}
    for name in CAPABILITIES:
        own = config.outputs.fields.get(name)
        if own is not None:
            rule = FieldRule(own.action, own.limit)
        else:
            default, cause = setting(name, licenses)
            clause = cause.output_use.clause if cause else None
            rule = FieldRule(FieldAction(default.action), default.limit, cause.id if cause else None, clause)
        if rule.action is not FieldAction.ALLOW:
            found[name] = rule
    return MappingProxyType(found)


def limits(licenses: Sequence[License], config: Config) -> tuple[Limit, ...]:
    """Return the limits on users of a stack: the licenses' own, and lower monthly ones of the operator's.

    A license's limit on users of a day is among them where days are counted; where not, nothing is known of it.
    """
    found = []
    for license_ in licenses:
        monthly = [threshold for threshold in user_thresholds(license_) if threshold.monthly]
        counted = user_thresholds(license_) if Kind.DAY in config.usage.windows else monthly
        found += [_limit(license_, threshold, config) for threshold in counted]
        own = config.usage.limits.get(license_.id)
        if own is not None and monthly:
            found.append(
                replace(_limit(license_, monthly[0], config), id="operator", value=own, exclusive=False,
                        standing=True, clause="", consequence="operator")
            )  # fmt: skip
    return tuple(found)


def limits_by_license(config: Config, packs: Mapping[str, License]) -> dict[str, list[Limit]]:
    """Return the limits of every license that something configured is under, as far as it can be told."""
    found: dict[str, dict[Limit, None]] = {}
    stated = [config.license] if config.license is not None else []
    for stacks_ in ([*stated], *(stack_of(name, model, packs) for name, model in config.models.items())):
        for stack in stacks_ if len(stacks_) == 1 else ():
            licenses = [packs[id_] for id_ in stack if id_ in packs]
            for license_ in licenses:
                found.setdefault(license_.id, {})
            for limit in limits(licenses, config):
                found[limit.license][limit] = None
    return {id_: list(ordered) for id_, ordered in found.items()}


def notices(licenses: Sequence[License], config: Config) -> tuple[Notice, ...]:
    """Return the lines that travel with every answer of a model under ``licenses``: none where nothing carries them."""
    if not config.notices.carriers:
        return ()
    label = machine_notice(licenses, config.notices.machine_made)
    return display_notices(licenses) + ((label,) if label is not None else ())


def user_thresholds(license_: License) -> list[Threshold]:
    """Return the license's thresholds on active users, the only ones a gateway can count."""
    return [threshold for threshold in license_.thresholds if threshold.counts_users]


def _limit(license_: License, threshold: Threshold, config: Config) -> Limit:
    return Limit(
        license_.id,
        threshold.id,
        threshold.value or 0,
        exclusive=threshold.comparator == "must_be_less_than",
        standing=threshold.window is Window.STANDING,
        clause=threshold.clause,
        consequence=threshold.consequence,
        approaching_ratio=config.usage.approaching,
        kind=Kind.MONTH if threshold.monthly else Kind.DAY,
        products=threshold.products,
        affiliates=threshold.affiliates,
        affiliates_read=_affiliates_read(license_, threshold, config),
    )


def _affiliates_read(license_: License, threshold: Threshold, config: Config) -> str:
    """How the operator reads that the license does not mention affiliates; empty where it does, or nobody says."""
    reading = config.usage.affiliates.get(license_.id)
    if threshold.affiliates != "unmentioned" or reading is None:
        return ""
    return "included" if reading == "include" else "excluded"


def model_policy(name: str, licenses: Sequence[License], config: Config, today: date) -> ModelPolicy:
    """Return everything that follows from a model's stack of licenses; an empty one is undetermined."""
    active = [relax.category for relax in config.screening.relax if today <= relax.expires]
    ruled = rulings(licenses, config.screening.actions, active)
    return ModelPolicy(
        name=name,
        licenses=tuple(licenses),
        rulings=ruled,
        citations=citations(ruled, licenses),
        blocking=blocking(ruled, Shadows(config.shadows, today)),
        fields=fields(licenses, config),
        limits=limits(licenses, config),
        counted=tuple(license_.id for license_ in licenses) or (UNDETERMINED,),
        people_only=people_only(licenses, config),
        excluded=excluded_places(name, licenses, config, today),
        flow_down=flow_down(licenses) if config.identity.terms != "off" else (),
        notices=notices(licenses, config),
        unstated=_unstated(name, licenses, config, today),
        bulk=_bulk(licenses, config),
    )


def _bulk(licenses: Sequence[License], config: Config) -> Bulk | None:
    """Return what is a bulk whose purpose has to be stated: where that is asked, and changes what a license says."""
    found = unstated_verdict(licenses) if config.outputs.bulk == "require" else None
    if found is None:
        return None
    return Bulk(config.outputs.bulk_samples, found.license, found.clause if found.license is not None else None)


def _unstated(name: str, licenses: Sequence[License], config: Config, today: date) -> Need | None:
    """The first thing that requests for the model are refused for, because nobody states or attests it."""
    found = open_needs(name, licenses, config, today) if config.operator.unstated == "refuse" else []
    return found[0] if found else unattested(licenses, config, today)


def blocking(ruled: Mapping[str, Ruling], shadows: Shadows) -> frozenset[str]:
    """Return the categories of ``ruled`` that block, without those in shadow."""
    if Code.AUP in shadows.checks:
        return frozenset()
    blocks = (category for category, ruling in ruled.items() if ruling.action is Action.BLOCK)
    return frozenset(blocks) - shadows.categories


def flow_down(licenses: Sequence[License]) -> tuple[tuple[str, str], ...]:
    """Return (license id, clause) of those whose terms flow down to whoever uses the hosted model."""
    clauses = ((license_.id, flow_down_clause(license_)) for license_ in licenses)
    return tuple((id_, clause) for id_, clause in clauses if clause is not None)


def build(
    config: Config,
    packs: Mapping[str, License],
    rules: RuleSet,
    *,
    digest: str,
    verifiers: Mapping[Location, TokenVerifier],
    keyfile: KeyFile = NO_KEYS,
    environment: Mapping[str, str],
    today: date,
    warnings: Iterable[str] = (),
) -> Snapshot:
    """Return the snapshot of a configuration that ``guard.policy.check`` found no problem in.

    ``verifiers`` are those of tokens and assertions, by where their settings stand.
    """
    models = {
        name: model_policy(name, [packs[id_] for id_ in stack_of(name, model, packs)[0]], config, today)
        for name, model in config.models.items()
    }
    default, unlisted = _unlisted(config, packs, models, today)
    known = _attested((*models.values(), *((default,) if default is not None else ())), config, packs, today)
    shadows = Shadows(config.shadows, today)
    return Snapshot(
        hash=digest,
        mode=Mode(config.mode),
        models=MappingProxyType(models),
        default_model=default,
        allow_unknown_models=unlisted,
        unlisted=model_policy(UNDETERMINED, (), config, today),
        identity=_identity(config, verifiers, keyfile, environment),
        surface=SurfacePolicy(
            enabled=frozenset(config.surface.enabled),
            max_body=config.surface.max_body,
            max_answer=config.surface.max_answer,
            max_depth=config.surface.max_depth,
            unknown_fields=config.surface.unknown_fields,
            country_headers=tuple(name.encode() for name in config.territory.country_headers),
            unknown_country=config.territory.unknown,
            notice_carriers=frozenset(config.notices.carriers),
            unscannable=_unscannable(config),
            system_prompts=Action.parse(config.screening.system_prompts),
        ),
        rules=rules,
        at_limit=AtLimit(config.usage.at_limit),
        packs=packs,
        statements=statements(config, today),
        grounds=MappingProxyType({at: found.ground.value for at, found in known.items()}),
        attestations=MappingProxyType({at: found.words for at, found in known.items() if found.words}),
        attested_until=MappingProxyType({at: found.until for at, found in known.items() if found.until is not None}),
        license_drift=MappingProxyType(license_drift(config, packs)),
        target_of=lru_cache(maxsize=1024)(partial(resolve_target, licenses=packs)),
        shadowed_codes=frozenset(map(Code, shadows.checks)),
        shadowed_rules=shadows.rules,
        every_decision=config.evidence.decisions == "all",
        judge=_judge(config, packs, today),
        learned=config.screening.learned.policy(),
        neural=config.screening.neural.policy(),
        behavior=config.outputs.behavior.policy(),
        warnings=tuple(warnings),
    )


def _judge(config: Config, packs: Mapping[str, License], today: date) -> ModelPolicy | None:
    """The judge and the licenses it is under: none where they are undetermined."""
    settings = config.screening.judge
    if settings is None:
        return None
    found = judge_stacks(settings, packs)
    licenses = [packs[id_] for id_ in found[0]] if len(found) == 1 else []
    return model_policy(settings.model, licenses, config, today)


def _unscannable(config: Config) -> Mapping[PartKind, PartAction]:
    return MappingProxyType({kind: config.screening.unscannable.of(kind) or PartAction.DENY for kind in PartKind})


def _attested(
    models: Iterable[ModelPolicy], config: Config, packs: Mapping[str, License], today: date
) -> dict[tuple[str, str], Attested]:
    """What is attested of everything that is served, by license and threshold."""
    served = {license_.id: license_ for model in models for license_ in model.licenses}
    found = attested(served.values(), filed(config, packs, today))
    return {(each.license.id, each.threshold.id): each for each in found}


def _unlisted(
    config: Config, packs: Mapping[str, License], models: Mapping[str, ModelPolicy], today: date
) -> tuple[ModelPolicy | None, bool]:
    """Return the policy of a request without a model, and whether it holds for models that are not listed too."""
    if config.license is not None:
        stack = [packs[id_] for id_ in dict.fromkeys(config.license)]
        return model_policy(DEFAULT_NAME, stack, config, today), True
    if config.unknown_models == UNDETERMINED:
        return model_policy(UNDETERMINED, (), config, today), True
    if config.default_model is not None:
        return models[config.default_model], False
    return (next(iter(models.values())) if len(models) == 1 else None), False


def _identity(
    config: Config, verifiers: Mapping[Location, TokenVerifier], keyfile: KeyFile, environment: Mapping[str, str]
) -> IdentityPolicy:
    identity, mtls = config.identity, config.identity.mtls
    trusted_from = tuple(map(ip_network, identity.trusted_from))
    headers = [
        TrustedHeader(
            entry.header.encode(), _networks(entry.networks, trusted_from), entry.namespace or "", entry.member
        )
        for entry in identity.trusted_headers
    ]
    keys = {
        key.sha256 or digest_key(environment.get(key.key_env or "", "")): Entitlement(
            key.name, key.purpose, key.user, frozenset(terms.license for terms in key.terms)
        )
        for key in identity.keys
    }
    return IdentityPolicy(
        sources=tuple(source for source in identity.sources if source != "mtls" or mtls is not None),
        unidentified=identity.unidentified,
        trusted_headers=tuple(header for header in headers if header.networks),
        trusted_from=trusted_from,
        headers=frozenset(header.name for header in headers) | ({mtls.header.encode()} if mtls is not None else set()),
        mtls=TrustedHeader(mtls.header.encode(), _networks(mtls.networks, trusted_from), "mtls") if mtls else None,
        verify_jwt=verifiers.get(("identity", "jwt")),
        jwt_claim=identity.jwt.claim if identity.jwt else "sub",
        jwt_purpose=identity.jwt.purpose_claim if identity.jwt else None,
        assertions=tuple(
            Assertion(
                assertion.header.encode(),
                verifiers["identity", "assertions", index],
                assertion.claim,
                tuple(map(ip_network, assertion.trusted_from)),
            )
            for index, assertion in enumerate(identity.assertions)
        ),
        keys=MappingProxyType(keys),
        stored=MappingProxyType(stored(keyfile)),
        registered_only=identity.registered_only,
        namespace_header=(
            identity.namespace_header.encode()
            if any(tenant.match.namespace for tenant in config.tenants.values())
            else None
        ),
        terms=identity.terms,
    )


def _networks(
    own: tuple[str, ...] | None, others: tuple[IPv4Network | IPv6Network, ...]
) -> tuple[IPv4Network | IPv6Network, ...]:
    return others if own is None else tuple(map(ip_network, own))
