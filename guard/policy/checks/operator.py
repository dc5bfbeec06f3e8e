"""What the operator states is wanted by a license, and its domicile gives rights in the models it serves."""

from collections.abc import Iterator, Mapping
from datetime import date

from guard.licensing.license import License
from guard.licensing.need import needs, territory_need
from guard.policy.checks.stacks import served_at, stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem, nearest
from guard.policy.operator import no_rights_at_home, open_needs


def operator(config: Config, document: Document, packs: Mapping[str, License], today: date) -> Iterator[Problem]:
    """Yield a problem for statements that no license wants, readings of no question, and a domicile without rights."""
    for index, statement in enumerate(config.operator.statements):
        at: Location = ("operator", "statements", index)
        if statement.license not in packs:
            if not document.misses(("policies",)):
                near = nearest(statement.license, packs)
                yield document.problem(
                    (*at, "license"), f"unknown license '{statement.license}'", "the id of a pack", near=near
                )
            continue
        wanted = _wanted(packs[statement.license])
        if statement.about not in wanted:
            what = ", ".join(wanted) or "nothing: that license wants no statement"
            yield document.problem(
                (*at, "about"), f"license {statement.license} wants no statement about '{statement.about}'", what
            )
    if config.territory.country_headers and not config.identity.trusted_from and not document.misses(("identity",)):
        yield document.problem(
            ("territory", "country_headers"), "no hop is trusted to name a country", "identity.trusted_from: [NETWORK]"
        )
    for id_ in config.usage.readings:
        where: Location = ("usage", "readings", id_)
        if id_ not in packs:
            if not document.misses(("policies",)):
                yield document.problem(where, f"unknown license '{id_}'", "the id of a pack", packs)
        elif not any(question.id == "active_user" for question in packs[id_].questions):
            yield document.problem(
                where, f"a reading for '{id_}', which does not leave open what an active user is", "a license that does"
            )
    for name, stack in stacks_in_use(config, packs):
        need = no_rights_at_home(name, stack, config, today)
        if need is not None:
            yield document.problem(
                ("operator", "domicile"),
                f"'{config.operator.domicile}': license {need.license} gives no rights in {name} there ({need.clause})",
                "another model, or a statement about territory",
            )


def operator_warnings(
    config: Config, document: Document, packs: Mapping[str, License], today: date
) -> Iterator[Caution]:
    """Yield what licenses want stated and nobody states, and what is stated no longer."""
    for name, stack in stacks_in_use(config, packs):
        for need in open_needs(name, stack, config, today):
            found = (
                f"license {need.license} wants a statement about {need.about} ({need.clause}): {need.text}; "
                "see operator.statements"
            )
            yield document.caution(served_at(name, config), found, subject=name, strict=True)
    for index, statement in enumerate(config.operator.statements):
        if today > statement.expires:
            yield document.caution(
                ("operator", "statements", index, "expires"),
                f"the one about {statement.about} for {statement.license} expired on {statement.expires}",
                subject="operator.statements",
                strict=True,
            )


def _wanted(license_: License) -> list[str]:
    found = [need.about for need in needs(license_)]
    if territory_need(license_) is not None:
        found.append("territory")
    return list(dict.fromkeys(found))
