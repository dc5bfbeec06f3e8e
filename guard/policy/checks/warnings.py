"""What is not wrong but worth knowing."""

from collections.abc import Iterator, Mapping
from datetime import date

from guard.exchange.snapshot import FieldAction
from guard.licensing.capability import Setting, setting
from guard.licensing.license import License, OutputRule, Status
from guard.policy.checks.lineage import lineage_warnings
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.resolution import stack_of


def warnings(config: Config, packs: Mapping[str, License], today: date) -> Iterator[str]:
    """Yield what is not wrong but worth knowing, one line each, no line twice. ``config`` has no problems."""
    yield from dict.fromkeys(_warnings(config, packs, today))


def _warnings(config: Config, packs: Mapping[str, License], today: date) -> Iterator[str]:
    for name, model in config.models.items():
        listed = stack_of(name, model.model_copy(update={"license": None}), packs)
        if model.license is not None and listed and set(model.license) not in [set(stack) for stack in listed]:
            shipped = " + ".join(listed[0])
            yield f"models.{name}: license is {' + '.join(model.license)}, but the packs list it under {shipped}"
    yield from lineage_warnings(config, packs)
    for model_name, stack in stacks_in_use(config, packs):
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
