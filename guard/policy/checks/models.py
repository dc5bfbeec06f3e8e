"""Every served model has one stack of known licenses."""

from collections.abc import Iterator, Mapping

from guard.licensing.license import License
from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem, nearest
from guard.policy.resolution import stack_of
from guard.policy.snapshot import UNDETERMINED


def models(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    """Yield a problem for every model without exactly one stack of known licenses."""
    packs_lost = document.misses(("policies",), ("patterns",))
    for name, model in config.models.items():
        at: Location = ("models", name)
        if model.license is not None:
            yield from _license_ids(model.license, document, (*at, "license"), packs)
            continue
        if packs_lost or document.misses((*at, "license"), (*at, "base")):
            continue
        found = stack_of(name, model, packs)
        where: Location = (*at, "base") if model.base else at
        listed = "', '".join(model.base or (name,))
        if not found:
            yield document.problem(
                where, f"no license given, and no pack lists '{listed}'", "license: ID, or base: REPOSITORY"
            )
        elif len(found) > 1:
            several = "; ".join(" + ".join(stack) for stack in found)
            yield document.problem(where, f"the packs list '{listed}' under {several}", "license: ID")
    if config.license is not None:
        yield from _license_ids(config.license, document, ("license",), packs)
    if config.default_model is not None:
        if config.default_model not in config.models and not document.misses(("models", config.default_model)):
            yield document.problem(
                ("default_model",),
                f"'{config.default_model}'",
                "one of models",
                near=nearest(config.default_model, config.models),
            )
        if config.license is not None or config.unknown_models == UNDETERMINED:
            other = "license" if config.license is not None else "unknown_models: undetermined"
            yield document.problem(
                ("default_model",),
                f"default_model together with {other}",
                "one of them: both say what an unnamed model is",
            )
    served = config.models or config.license is not None or config.unknown_models != "refuse"
    if not served and not document.misses(("models",), ("license",), ("unknown_models",)):
        yield document.problem(
            ("models",), "no model can be served", "at least one model, a license, or unknown_models: undetermined"
        )


def _license_ids(
    ids: tuple[str, ...], document: Document, at: Location, packs: Mapping[str, License]
) -> Iterator[Problem]:
    for index, id_ in enumerate(ids):
        if id_ not in packs and not document.misses(("policies",)):
            where = (*at, index) if (*at, index) in document.lines else at
            yield document.problem(where, f"unknown license '{id_}'", "the id of a pack", near=nearest(id_, packs))
