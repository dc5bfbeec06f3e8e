"""Actions are no looser than the licenses', unless somebody answers for it."""

from collections.abc import Iterator, Mapping

from guard.licensing.license import License
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Document, Problem
from guard.policy.snapshot import rulings


def actions(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    """Yield a problem for every action that is looser than a license of a model that it is for."""
    relaxed = {relax.category: relax for relax in config.screening.relax}
    for category, action in config.screening.actions.items():
        if category in relaxed or document.misses(("screening", "relax")):
            continue
        for model, stack in stacks_in_use(config, packs):
            ruling = rulings(stack, {}).get(category)
            if ruling is not None and ruling.license is not None and action < ruling.action:
                yield document.problem(
                    ("screening", "actions", category),
                    f"'{action.name.lower()}' is looser than license {ruling.license} for {model} ({ruling.clause})",
                    f"{ruling.action.name.lower()}, or an entry in screening.relax with owner, expires and reason",
                )
                break
    for index, relax in enumerate(config.screening.relax):
        if relax.category in {other.category for other in config.screening.relax[:index]}:
            at = ("screening", "relax", index, "category")
            yield document.problem(at, f"'{relax.category}' is relaxed twice", "each category once")
        lost = document.misses(("screening", "actions", relax.category))
        if relax.category not in config.screening.actions and not lost:
            yield document.problem(
                ("screening", "relax", index, "category"),
                f"'{relax.category}' is relaxed, but screening.actions says nothing about it",
                "a category of screening.actions",
            )
