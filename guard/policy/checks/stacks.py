"""The stacks of licenses in use, as far as they can be told."""

from collections.abc import Iterator, Mapping

from guard.licensing.license import License
from guard.policy.config import Config
from guard.policy.document import Location
from guard.policy.resolution import stack_of
from guard.policy.snapshot import UNDETERMINED


def stacks_in_use(config: Config, packs: Mapping[str, License]) -> Iterator[tuple[str, list[License]]]:
    """The stacks in use by model name, as far as they can be told."""
    for name, model in config.models.items():
        found = stack_of(name, model, packs)
        if len(found) == 1:
            yield name, [packs[id_] for id_ in found[0] if id_ in packs]
    if config.license is not None:
        yield "models that are not listed", [packs[id_] for id_ in config.license if id_ in packs]
    elif config.unknown_models == UNDETERMINED:
        yield UNDETERMINED, []


def served_at(name: str, config: Config) -> Location:
    """Return where the configuration speaks of what ``stacks_in_use`` calls ``name``."""
    if name in config.models:
        return ("models", name)
    return ("license",) if config.license is not None else ("unknown_models",)
