"""What contradicts itself in a configuration (problems), and what somebody should know of it (warnings)."""

from collections.abc import Iterator, Mapping
from datetime import date
from ipaddress import ip_address
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from guard.exchange.snapshot import FieldAction
from guard.licensing.capability import Setting, setting
from guard.licensing.license import License, OutputRule, Status
from guard.licensing.lineage import stacks
from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem, nearest
from guard.policy.snapshot import UNDETERMINED, rulings, stack_of, user_thresholds


def problems(
    config: Config, document: Document, packs: Mapping[str, License], environment: Mapping[str, str]
) -> list[Problem]:
    """Return every contradiction in ``config``; ``document`` says where each value stands."""
    return [
        *_models(config, document, packs),
        *_addresses(config, document),
        *_keys(config, document, environment),
        *_limits(config, document, packs),
        *_actions(config, document, packs),
        *_zone(config, document),
    ]


def _models(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    packs_lost = document.misses(("policies",))
    for name, model in config.models.items():
        at: Location = ("models", name)
        if model.license is not None:
            yield from _license_ids(model.license, document, (*at, "license"), packs)
            continue
        if packs_lost or document.misses((*at, "license"), (*at, "base")):
            continue
        found = stack_of(name, model, packs)
        where: Location = (*at, "base") if model.base else at
        if not found:
            yield document.problem(
                where, f"no license given, and no pack lists '{model.base or name}'", "license: ID, or base: REPOSITORY"
            )
        elif len(found) > 1:
            several = "; ".join(" + ".join(stack) for stack in found)
            yield document.problem(where, f"the packs list '{model.base or name}' under {several}", "license: ID")
    if config.license is not None:
        yield from _license_ids(config.license, document, ("license",), packs)
    if config.default_model is not None:
        if config.default_model not in config.models and not document.misses(("models", config.default_model)):
            yield document.problem(
                ("default_model",),
                f"'{config.default_model}'",
                "one of models",
                near=nearest(config.default_model, config.models),
            )
        if config.license is not None or config.unknown_models == UNDETERMINED:
            other = "license" if config.license is not None else "unknown_models: undetermined"
            yield document.problem(
                ("default_model",),
                f"default_model together with {other}",
                "one of them: both say what an unnamed model is",
            )
    served = config.models or config.license is not None or config.unknown_models != "refuse"
    if not served and not document.misses(("models",), ("license",), ("unknown_models",)):
        yield document.problem(
            ("models",), "no model can be served", "at least one model, a license, or unknown_models: undetermined"
        )


def _license_ids(
    ids: tuple[str, ...], document: Document, at: Location, packs: Mapping[str, License]
) -> Iterator[Problem]:
    for index, id_ in enumerate(ids):
        if id_ not in packs and not document.misses(("policies",)):
            where = (*at, index) if (*at, index) in document.lines else at
            yield document.problem(where, f"unknown license '{id_}'", "the id of a pack", near=nearest(id_, packs))


def _addresses(config: Config, document: Document) -> Iterator[Problem]:
    lost = document.misses(("admin",), ("admin_token_file",))
    if config.admin != "off" and not lost and not _is_loopback(config.admin) and config.admin_token_file is None:
        yield document.problem(
            ("admin",), f"'{config.admin}' is not loopback and has no token", "127.0.0.1:PORT, or admin_token_file"
        )
    if config.admin == config.listen and not document.misses(("admin",), ("listen",)):
        at, other = ("admin", "listen") if ("admin",) in document.lines else ("listen", "admin")
        yield document.problem((at,), f"'{config.admin}' is the address of {other} too", "an address of its own")


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # a name may be any machine's, and no host means every interface


def _keys(config: Config, document: Document, environment: Mapping[str, str]) -> Iterator[Problem]:
    names: set[str] = set()
    digests: set[str] = set()
    for index, key in enumerate(config.identity.keys):
        at: Location = ("identity", "keys", index)
        if key.key_env is not None and not environment.get(key.key_env):
            yield document.problem((*at, "key_env"), f"environment variable {key.key_env} is not set", "a set variable")
        if key.name in names:
            yield document.problem((*at, "name"), f"'{key.name}' is there twice", "each name once")
        if key.sha256 is not None and key.sha256 in digests:
            yield document.problem((*at, "sha256"), "the same key is there twice", "each key once")
        names.add(key.name)
        digests.add(key.sha256 or "")


def _limits(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    served = {license_.id for _, stack in _stacks(config, packs) for license_ in stack}
    complete = _resolves(config, document, packs)
    for id_, value in config.usage.limits.items():
        at: Location = ("usage", "limits", id_)
        if id_ not in packs:
            if not document.misses(("policies",)):
                yield document.problem(at, f"unknown license '{id_}'", "the id of a pack", packs)
            continue
        if id_ not in served:
            if complete:
                yield document.problem(
                    at, f"a limit for '{id_}', but no model is under it", "a license of a configured model", served
                )
            continue
        thresholds = user_thresholds(packs[id_])
        if not thresholds:
            yield document.problem(
                at, f"a limit for '{id_}', which has no threshold on monthly active users", "a license that has one"
            )
        for threshold in thresholds:
            largest = (threshold.value or 0) - (threshold.comparator == "must_be_less_than")
            if value > largest:
                yield document.problem(
                    at, str(value), f"at most {largest}, by {packs[id_].name} clause {threshold.clause}"
                )


def _resolves(config: Config, document: Document, packs: Mapping[str, License]) -> bool:
    """True if the licenses of everything that is to be served are known, so that what is missing among them is."""
    if document.misses(("policies",), ("models",), ("license",)):
        return False
    found = [stack_of(name, model, packs) for name, model in config.models.items()]
    ids = [*(config.license or ()), *(id_ for stacks_ in found for stack in stacks_ for id_ in stack)]
    return all(len(stacks_) == 1 for stacks_ in found) and all(id_ in packs for id_ in ids)


def _actions(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    relaxed = {relax.category: relax for relax in config.screening.relax}
    for category, action in config.screening.actions.items():
        if category in relaxed or document.misses(("screening", "relax")):
            continue
        for model, stack in _stacks(config, packs):
            ruling = rulings(stack, {}).get(category)
            if ruling is not None and ruling.license is not None and action < ruling.action:
                yield document.problem(
                    ("screening", "actions", category),
                    f"'{action.name.lower()}' is looser than license {ruling.license} for {model} ({ruling.clause})",
                    f"{ruling.action.name.lower()}, or an entry in screening.relax with owner, expires and reason",
                )
                break
    for index, relax in enumerate(config.screening.relax):
        lost = document.misses(("screening", "actions", relax.category))
        if relax.category not in config.screening.actions and not lost:
            yield document.problem(
                ("screening", "relax", index, "category"),
                f"'{relax.category}' is relaxed, but screening.actions says nothing about it",
                "a category of screening.actions",
            )


def _zone(config: Config, document: Document) -> Iterator[Problem]:
    try:
        ZoneInfo(config.usage.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield document.problem(
            ("usage", "zone"), f"unknown time zone '{config.usage.zone}'", "an IANA name such as UTC or Europe/Berlin"
        )


def warnings(config: Config, packs: Mapping[str, License], today: date) -> Iterator[str]:
    """Yield what is not wrong but worth knowing, one line each, no line twice. ``config`` has no problems."""
    yield from dict.fromkeys(_warnings(config, packs, today))


def _warnings(config: Config, packs: Mapping[str, License], today: date) -> Iterator[str]:
    for name, model in config.models.items():
        listed = stacks(model.base or name, packs)
        if model.license is not None and listed and set(model.license) not in [set(stack) for stack in listed]:
            shipped = " + ".join(listed[0])
            yield f"models.{name}: license is {' + '.join(model.license)}, but the packs list it under {shipped}"
    for model_name, stack in _stacks(config, packs):
        if not stack:
            yield f"{model_name}: models that are not listed are served with license undetermined"
        for license_ in stack:
            for fact in unconfirmed(license_):
                yield f"license {license_.id}: {fact} is unconfirmed"
            if license_.commercial == "prohibited":
                yield f"license {license_.id}: commercial use is prohibited ({license_.commercial_clause})"
            if license_.hosting == "separate_permission":
                yield f"license {license_.id}: hosting needs a separate permission ({license_.hosting_clause})"
        for capability, own in config.outputs.fields.items():
            default, cause = setting(capability, stack)
            if cause is not None and _strictness(own.action, own.limit) < default.strictness:
                clause = cause.output_use.clause
                yield (
                    f"outputs.fields.{capability}: looser than what follows from license {cause.id} clause {clause} "
                    f"for {model_name} ({default})"
                )
    for relax in config.screening.relax:
        if today > relax.expires:
            yield f"screening.relax {relax.category}: expired on {relax.expires}; the license's action applies again"
        else:
            yield f"screening.relax {relax.category}: owned by {relax.owner} until {relax.expires}: {relax.reason}"


def _strictness(action: FieldAction, limit: int | None) -> tuple[int, int]:
    return Setting(action.value, limit).strictness


def unconfirmed(license_: License) -> Iterator[str]:
    """Yield the facts of a license that were not seen in a license text."""
    if license_.status is Status.UNCONFIRMED:
        yield "the license as a whole"
    use = license_.output_use
    if use.status is Status.UNCONFIRMED and use.rule is not OutputRule.UNRESTRICTED:
        yield f"the rule on outputs ({use.clause})"
    for threshold in license_.thresholds:
        if threshold.status is Status.UNCONFIRMED:
            yield f"threshold {threshold.id} ({threshold.clause})"
    for duty in license_.duties:
        if duty.status is Status.UNCONFIRMED:
            yield f"duty {duty.kind} ({duty.clause})"
    if license_.territory is not None and license_.territory.status is Status.UNCONFIRMED:
        yield f"the territory ({license_.territory.clause})"
    if license_.aup_text and license_.aup_status is Status.UNCONFIRMED:
        yield "the acceptable use policy"


def _stacks(config: Config, packs: Mapping[str, License]) -> Iterator[tuple[str, list[License]]]:
    """The stacks in use by model name, as far as they can be told."""
    for name, model in config.models.items():
        found = stack_of(name, model, packs)
        if len(found) == 1:
            yield name, [packs[id_] for id_ in found[0] if id_ in packs]
    if config.license is not None:
        yield "models that are not listed", [packs[id_] for id_ in config.license if id_ in packs]
    elif config.unknown_models == UNDETERMINED:
        yield UNDETERMINED, []
