"""The licenses that are known beside a configuration: those that ship with Guard, and those of its own packs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from guard.licensing.license import License
from guard.policy.document import PolicyError
from guard.policy.load import read_config
from guard.policy.locations import shipped_licenses
from guard.policy.packs import load_packs, shipped_packs


def own_packs(configuration: Path | None) -> tuple[Path, ...]:
    """Return what ``policies`` of the configuration names; what else may be wrong in it is not looked at.

    Without a configuration there is nothing. Raises PolicyError if it is unreadable or ``policies`` is mistaken.
    """
    if configuration is None:
        return ()
    read = read_config(configuration, {})
    mistaken = [problem for problem in read.problems if problem.path.startswith("policies")]
    if mistaken:
        raise PolicyError(mistaken)
    return tuple(map(Path, read.value.policies))


def known_licenses(own: Sequence[Path]) -> Mapping[str, License]:
    """Return the licenses that ship with Guard and those of the packs in ``own``, by id, the shipped ones first.

    Raises PolicyError with every problem of the packs.
    """
    return load_packs([shipped_licenses(), *own]) if own else shipped_packs()
