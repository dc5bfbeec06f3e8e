"""What contradicts itself within one license pack."""

from collections.abc import Iterator, Sequence

from guard.licensing.license import USERS, License, OutputRule, Status, Threshold
from guard.policy.document import Document, Location, Problem


def pack(license_: License, document: Document) -> Iterator[Problem]:
    """Yield a problem for everything in ``license_`` that cannot be meant; ``document`` says where it stands."""
    yield from _repeated(license_, document)
    for index, threshold in enumerate(license_.thresholds):
        yield from _threshold(threshold, license_, document, ("thresholds", index))
    yield from _owed(license_, document)
    for index, derivation in enumerate(license_.derived):
        at: Location = ("derived", index, "licenses")
        distinct = set(derivation.licenses)
        if len(distinct) == 1:
            yield document.problem(at, f"a stack of {license_.id} and itself", "at least two licenses")
        elif license_.id not in distinct and not document.misses(("id",)):
            yield document.problem(at, f"a stack without {license_.id}", "the stacks that this license is part of")
        if len(distinct) > 1:
            yield from _twice(derivation.licenses, document, at)
    for index, file in enumerate(license_.files):
        if file.status in {Status.UNCONFIRMED, Status.EXCERPT}:
            yield document.problem(
                ("files", index, "status"),
                f"a digest of a text that was not read: '{file.status.value}'",
                "confirmed or copy, or no digest",
            )


def _threshold(threshold: Threshold, license_: License, document: Document, at: Location) -> Iterator[Problem]:
    if threshold.value is None and not document.misses((*document.origin(at), "value")):
        yield document.problem((*at, "value"), "a threshold without a number", "the number, or a duty instead")
    if threshold.metric in USERS:
        if threshold.unit is not None:
            yield document.problem((*at, "unit"), f"a unit, '{threshold.unit}', of users", "no unit")
    elif threshold.unit is None and not document.misses((*document.origin(at), "unit")):
        yield document.problem((*at, "unit"), "an amount of money without a currency", "a unit such as USD per month")
    yield from _scope(threshold, document, at)
    month, dated = threshold.reference_month or "", license_.date
    known = min(len(dated), len(month))
    if month[:known] > dated[:known] and not document.misses(("date",)):
        yield document.problem(
            (*at, "reference_month"), f"'{month}' is later than the license, {dated}", "a month up to then"
        )
    if threshold.consequence == "display_duty" and not document.misses(("duties",)):
        shown = any(duty.kind == "display" and "serving" in duty.owed_for for duty in license_.duties)
        if not shown:
            yield document.problem(
                (*at, "consequence"), "display_duty, but no duty says what is displayed", "a display duty for serving"
            )


def _scope(threshold: Threshold, document: Document, at: Location) -> Iterator[Problem]:
    """Whose users count: said of users, and of nothing else."""
    choices = {"products": "all, with_model or each", "affiliates": "included, unmentioned or excluded"}
    for name, allowed in choices.items():
        said = getattr(threshold, name)
        if threshold.metric not in USERS and said:
            yield document.problem((*at, name), f"'{said}', of an amount of money", f"no {name}: they are for users")
        elif threshold.metric in USERS and not said and not document.misses((*document.origin(at), name)):
            yield document.problem((*at, name), "a threshold on users that does not say whose", allowed)


def _owed(license_: License, document: Document) -> Iterator[Problem]:
    """The duties that other facts call for."""
    if document.misses(("duties",)):
        return
    owed = {(duty.kind, occasion) for duty in license_.duties for occasion in duty.owed_for}
    if license_.hosting == "distribution" and ("flow_down", "serving") not in owed:
        yield document.problem(
            ("hosting", "rule"),
            "'distribution', but no duty to pass the terms on when serving",
            "a flow_down duty owed for serving",
        )
    if license_.output_use.rule is OutputRule.NAME_PREFIX_AND_DISPLAY:
        for kind in ("name_prefix", "display"):
            if (kind, "training") not in owed:
                yield document.problem(
                    ("output_use", "rule"),
                    f"'{license_.output_use.rule.value}', but no {kind} duty for training",
                    f"a {kind} duty owed for training",
                )


def _repeated(license_: License, document: Document) -> Iterator[Problem]:
    """Ids and names that are there twice."""
    yield from _twice([threshold.id for threshold in license_.thresholds], document, ("thresholds",), "id")
    yield from _twice([item.id for item in license_.aup], document, ("aup", "items"), "id")
    yield from _twice([question.id for question in license_.questions], document, ("open_questions",), "id")
    yield from _twice(
        [f"{file.where} {file.revision}".rstrip() for file in license_.files], document, ("files",), "where"
    )
    duties = [f"{duty.kind} for {', '.join(duty.owed_for)}: {duty.text}" for duty in license_.duties]
    yield from _twice(duties, document, ("duties",), "kind")
    yield from _twice(license_.aliases, document, ("aliases",))
    yield from _twice([pattern.lower() for pattern in license_.models], document, ("models",))
    for index, item in enumerate(license_.aup):
        yield from _twice(item.categories, document, ("aup", "items", index, "categories"))
    if license_.territory is not None:
        yield from _twice(license_.territory.excluded, document, ("territory", "excluded"))
    for index, alias in enumerate(license_.aliases):
        if alias == license_.id:
            yield document.problem(("aliases", index), f"'{alias}' is the id", "other names of the license")


def _twice(values: Sequence[str], document: Document, at: Location, *part: str) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            where: Location = (*at, index, *part)
            first = document.line(document.origin((*at, seen[value], *part)))
            other = first != document.line(document.origin(where))
            allowed = f"each once; first in line {first}" if other else "each once"
            yield document.problem(where, f"'{value}' is there twice", allowed)
        seen.setdefault(value, index)
