"""What is in shadow is there, and somebody answers for what a license demands of it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from guard.licensing.license import License, OutputRule
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem, nearest
from guard.policy.settings.shadows import ShadowConfig
from guard.policy.snapshot import fields, limits, rulings
from guard.screening.findings import Action
from guard.screening.rules import Rule


def shadows(config: Config, document: Document, rules: Sequence[Rule]) -> Iterator[Problem]:
    """Yield a problem for every shadow of a rule that does not exist, and for one that is there twice."""
    ids = {rule.id for rule in rules}
    seen: set[str] = set()
    for index, entry in enumerate(config.shadows):
        if entry.rule is not None and entry.rule not in ids:
            yield document.problem(
                ("shadows", index, "rule"),
                f"unknown rule '{entry.rule}'",
                "the id of a rule",
                near=nearest(entry.rule, ids),
            )
        if entry.target in seen:
            yield document.problem(("shadows", index), f"{entry.target} is in shadow twice", "each once")
        seen.add(entry.target)


def shadow_warnings(
    config: Config, document: Document, packs: Mapping[str, License], rules: Sequence[Rule], today: date
) -> Iterator[Caution]:
    """Yield a line for every shadow: who answers for it until when, and which license demands what it only records."""
    for index, entry in enumerate(config.shadows):
        at: Location = ("shadows", index)
        if today > entry.expires:
            found = f"{entry.target}: expired on {entry.expires}; it is enforced again"
            yield document.caution((*at, "expires"), found, subject="shadows", strict=True)
            continue
        demands = dict.fromkeys(_demanded(entry, config, packs, rules))
        demanded = f"; demanded by {', '.join(demands)}" if demands else ""
        found = f"{entry.target}: only recorded, owned by {entry.owner} until {entry.expires}: {entry.reason}{demanded}"
        yield document.caution(at, found, subject="shadows")


def _demanded(
    entry: ShadowConfig, config: Config, packs: Mapping[str, License], rules: Sequence[Rule]
) -> Iterator[str]:
    """Yield the licenses with their clauses that want enforced what ``entry`` puts in shadow."""
    category = next((rule.category for rule in rules if rule.id == entry.rule), entry.category)
    for _, stack in stacks_in_use(config, packs):
        if entry.check == "usage_threshold":
            yield from (
                f"license {limit.license} ({limit.clause})"
                for limit in limits(stack, config)
                if limit.acts and limit.clause
            )
        elif entry.check == "field_denied":
            yield from (
                f"license {rule.license} ({rule.clause})" for rule in fields(stack, config).values() if rule.license
            )
        elif entry.check == "output_use":
            yield from (
                f"license {license_.id} ({license_.output_use.clause})"
                for license_ in stack
                if license_.output_use.rule is not OutputRule.UNRESTRICTED and license_.output_use.clause
            )
        elif entry.check == "territory":
            yield from (
                f"license {license_.id} ({license_.territory.clause})" for license_ in stack if license_.territory
            )
        for code, ruling in rulings(stack, config.screening.actions).items():
            if ruling.action is Action.BLOCK and ruling.license and (code == category or entry.check == "aup"):
                yield f"license {ruling.license} ({ruling.clause})"
