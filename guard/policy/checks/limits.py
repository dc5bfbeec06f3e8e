"""The operator's limits are below the licenses' own, and what is to happen at a limit has one."""

from collections.abc import Iterator, Mapping

from guard.licensing.license import License
from guard.policy.checks.stacks import served_at, stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem
from guard.policy.resolution import stack_of
from guard.policy.snapshot import limits as limits_of
from guard.policy.snapshot import user_thresholds
from guard.usage.period import Kind


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
        thresholds = [threshold for threshold in user_thresholds(packs[id_]) if threshold.monthly]
        if not thresholds and not document.misses(("packs", id_, "thresholds")):
            yield document.problem(
                at, f"a limit for '{id_}', which has no threshold on monthly active users", "a license that has one"
            )
        for threshold in thresholds:
            if value > threshold.allowed:
                yield document.problem(
                    at, str(value), f"at most {threshold.allowed}, by {packs[id_].name} clause {threshold.clause}"
                )


def acting(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    """Yield a problem where users are to be refused at a limit and there is none that acts at run time.

    Only where a file says so: what the command line or a case asks for is a question, and may be about no limit.
    """
    at: Location = ("usage", "at_limit")
    if config.usage.at_limit == "observe" or at not in document.lines or not _resolves(config, document, packs):
        return
    stacks = [stack for _, stack in stacks_in_use(config, packs)]
    lost = [("packs", license_.id, "thresholds") for stack in stacks for license_ in stack]
    if document.misses(("usage", "limits"), *lost):
        return
    if not any(limit.acts for stack in stacks for limit in limits_of(stack, config)):
        yield document.problem(
            at,
            f"'{config.usage.at_limit}', but no license that is served has a limit that acts at run time",
            "observe, or a limit in usage.limits",
        )


def observed(config: Config, document: Document) -> Iterator[Caution]:
    """Yield a caution for limits of the operator's at which nobody is refused."""
    if config.usage.limits and config.usage.at_limit == "observe":
        found = "nobody is refused at these limits, because usage.at_limit is observe"
        yield document.caution(("usage", "limits"), found)


def estimated(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem where newcomers are to be refused by a ledger that cannot tell who is known."""
    scheme = (config.usage.ledger or "").partition("://")[0]
    if not scheme.endswith("+hll"):
        return
    wanted: list[tuple[Location, str | None]] = [(("usage", "at_limit"), config.usage.at_limit)]
    wanted += [(("tenants", name, "at_limit"), tenant.at_limit) for name, tenant in config.tenants.items()]
    for at, at_limit in wanted:
        if at_limit == "refuse_newcomers":
            found = f"'refuse_newcomers', but a {scheme} ledger estimates: it cannot tell who is known"
            yield document.problem(at, found, "observe or refuse_all, or an exact ledger")


def daily(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Caution]:
    """Yield a caution for licenses with a threshold on users of a day, where days are not counted."""
    if Kind.DAY in config.usage.windows:
        return
    for name, stack in stacks_in_use(config, packs):
        for license_ in stack:
            for threshold in user_thresholds(license_):
                if not threshold.monthly:
                    found = (
                        f"license {license_.id} has a threshold on users of a day ({threshold.clause}), and days are "
                        "not counted; see usage.windows: [day]"
                    )
                    yield document.caution(served_at(name, config), found, subject=name, strict=True)


def _resolves(config: Config, document: Document, packs: Mapping[str, License]) -> bool:
    """True if the licenses of everything that is to be served are known, so that what is missing among them is."""
    if document.misses(("policies",), ("patterns",), ("models",), ("license",)):
        return False
    found = [stack_of(name, model, packs) for name, model in config.models.items()]
    ids = [*(config.license or ()), *(id_ for stacks_ in found for stack in stacks_ for id_ in stack)]
    return all(len(stacks_) == 1 for stacks_ in found) and all(id_ in packs for id_ in ids)
