"""The operator's limits are below the licenses' own."""

from collections.abc import Iterator, Mapping

from guard.licensing.license import License
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem
from guard.policy.resolution import stack_of
from guard.policy.snapshot import user_thresholds


def limits(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    """Yield a problem for every limit that is above a license's, or that no model is under."""
    served = {license_.id for _, stack in stacks_in_use(config, packs) for license_ in stack}
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
