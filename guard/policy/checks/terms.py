"""Acceptances are of terms that somebody has to accept, and whose is missing."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from guard.licensing.license import License
from guard.licensing.terms import flow_down_clause
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem, nearest
from guard.policy.keyfile import KeyFile, in_force, registered
from guard.policy.settings.terms import TermsConfig


def terms(
    config: Config, document: Document, packs: Mapping[str, License], keyfile: KeyFile, today: date
) -> Iterator[Problem]:
    """Yield a problem for every acceptance of a license that is unknown or asks for none, or on a day to come."""
    binding = [id_ for id_, license_ in packs.items() if flow_down_clause(license_) is not None]
    for where, at, entry in _entries(config, document, keyfile):
        if entry.license not in packs:
            if not document.misses(("policies",)):
                near = nearest(entry.license, binding)
                found = f"unknown license '{entry.license}'"
                yield where.problem((*at, "license"), found, "the id of a pack whose terms flow down", near=near)
        elif entry.license not in binding:
            near = nearest(entry.license, binding)
            found = f"'{entry.license}' asks no acceptance of whoever uses a hosted model"
            yield where.problem((*at, "license"), found, "a license whose terms flow down", near=near)
        if entry.accepted > today + timedelta(days=1):  # tomorrow is today somewhere
            yield where.problem((*at, "accepted"), f"'{entry.accepted}' is a day to come", "the day of an acceptance")


def _entries(config: Config, document: Document, keyfile: KeyFile) -> Iterator[tuple[Document, Location, TermsConfig]]:
    for where, at, key in registered(config, document, keyfile):
        yield from ((where, (*at, "terms", place), entry) for place, entry in enumerate(key.terms))
    for name, tenant in config.tenants.items():
        yield from ((document, ("tenants", name, "terms", place), entry) for place, entry in enumerate(tenant.terms))


def unaccepted(
    config: Config, document: Document, packs: Mapping[str, License], keyfile: KeyFile, today: date
) -> Iterator[Caution]:
    """Yield the keys for which nobody accepted the terms of a license that the models are under."""
    if config.identity.terms == "off":
        return
    clauses: dict[str, str] = {}
    for _, stack in stacks_in_use(config, packs):
        for license_ in stack:
            clause = flow_down_clause(license_)
            if clause is not None:
                clauses[license_.id] = clause
    then = "its requests are refused" if config.identity.terms == "require" else "its requests are served"
    for where, at, key in registered(config, document, keyfile):
        if not in_force(key, today):
            continue
        tenant = next((own for own in config.tenants.values() if key.name in own.match.keys), None)
        accepted = {entry.license for entry in (*key.terms, *(tenant.terms if tenant is not None else ()))}
        for license_id, clause in clauses.items():
            if license_id not in accepted:
                found = f"no acceptance of the terms of {license_id} ({clause}) is on record; {then}"
                yield where.caution(at, found, subject=f"identity.keys {key.name}")
