"""Rules of an operator's own that do nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from guard.licensing.license import License
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location
from guard.policy.snapshot import rulings
from guard.screening.findings import Action
from guard.screening.rules import Rule


def idle(
    config: Config,
    document: Document,
    packs: Mapping[str, License],
    owned: Iterable[tuple[str | None, Sequence[Rule]]],
) -> Iterator[Caution]:
    """Yield a line for every rule whose category is off for every model, and that does not say what it does itself.

    ``owned`` are the rules in files that the configuration names, everybody's under None, others by tenant.
    """
    for owner, rules in owned:
        tenant = config.tenants.get(owner) if owner is not None else None
        actions = {**config.screening.actions, **(tenant.actions if tenant is not None else {})}
        stacks = [
            stack
            for name, stack in stacks_in_use(config, packs)
            if tenant is None or tenant.models is None or name in tenant.models
        ]
        ruled = {category for stack in stacks for category in rulings(stack, actions)}
        at: Location = ("screening", "rules") if owner is None else ("tenants", owner, "rules")
        for rule in rules:
            if stacks and not rule.acts and rule.action is not Action.OFF and rule.category not in ruled:
                found = (
                    f"rule {rule.id} does nothing: its category {rule.category} is off for every model, and it does not"
                    " say its action"
                )
                yield document.caution(at, found)
