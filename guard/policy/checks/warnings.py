"""What is not wrong but worth knowing."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from guard.exchange.snapshot import FieldAction
from guard.licensing.capability import Setting, setting
from guard.licensing.license import License, OutputRule, Status
from guard.policy.checks.stacks import served_at, stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location
from guard.policy.resolution import stack_of


def warnings(
    config: Config,
    document: Document,
    packs: Mapping[str, License],
    documents: Mapping[str, Document],
    today: date,
) -> Iterator[Caution]:
    """Yield what is not wrong but worth knowing. ``config`` has no problems; ``documents`` are those of the packs."""
    for name, model in config.models.items():
        listed = stack_of(name, model.model_copy(update={"license": None}), packs)
        if model.license is not None and listed and set(model.license) not in [set(stack) for stack in listed]:
            shipped = " + ".join(listed[0])
            found = f"license is {' + '.join(model.license)}, but the packs list it under {shipped}"
            yield document.caution(("models", name, "license"), found, subject=f"models.{name}")
    for name, stack in stacks_in_use(config, packs):
        at = served_at(name, config)
        if not stack:
            found = "models that are not listed are served with license undetermined"
            yield document.caution(at, found, subject=name, strict=True)
        for license_ in stack:
            yield from unconfirmed(license_, documents[license_.id])
        yield from _fields(name, stack, config, document)
    for index, relax in enumerate(config.screening.relax):
        where: Location = ("screening", "relax", index)
        subject = f"screening.relax {relax.category}"
        if today > relax.expires:
            found = f"expired on {relax.expires}; the license's action applies again"
            yield document.caution((*where, "expires"), found, subject=subject, strict=True)
        else:
            found = f"owned by {relax.owner} until {relax.expires}: {relax.reason}"
            yield document.caution(where, found, subject=subject)


def _fields(name: str, stack: Sequence[License], config: Config, document: Document) -> Iterator[Caution]:
    for capability, own in config.outputs.fields.items():
        at: Location = ("outputs", "fields", capability)
        default, cause = setting(capability, stack)
        if cause is not None and _strictness(own.action, own.limit) < default.strictness:
            clause = cause.output_use.clause
            found = f"looser than what follows from license {cause.id} clause {clause} for {name} ({default})"
            yield document.caution(at, found)


def _strictness(action: FieldAction, limit: int | None) -> tuple[int, int]:
    return Setting(action.value, limit).strictness


def unconfirmed(license_: License, document: Document) -> Iterator[Caution]:
    """Yield the facts of a license that were not seen in a license text, where they stand in its pack."""
    for at, fact in _unconfirmed(license_):
        yield document.caution(at, f"{fact} is unconfirmed", subject=f"license {license_.id}", strict=True)


def _unconfirmed(license_: License) -> Iterator[tuple[Location, str]]:
    if license_.status is Status.UNCONFIRMED:
        yield ("status",), "the license as a whole"
    use = license_.output_use
    if use.status is Status.UNCONFIRMED and use.rule is not OutputRule.UNRESTRICTED:
        yield ("output_use", "status"), f"the rule on outputs ({use.clause})"
    for index, threshold in enumerate(license_.thresholds):
        if threshold.status is Status.UNCONFIRMED:
            yield ("thresholds", index, "status"), f"threshold {threshold.id} ({threshold.clause})"
    for index, duty in enumerate(license_.duties):
        if duty.status is Status.UNCONFIRMED:
            yield ("duties", index, "status"), f"duty {duty.kind} ({duty.clause})"
    if license_.territory is not None and license_.territory.status is Status.UNCONFIRMED:
        yield ("territory", "status"), f"the territory ({license_.territory.clause})"
    if license_.aup_text and license_.aup_status is Status.UNCONFIRMED:
        yield ("aup", "status"), "the acceptable use policy"
