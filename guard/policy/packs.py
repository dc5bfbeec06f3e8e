"""License packs on disk: one YAML file per license text."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from guard.licensing.license import License
from guard.policy.document import Document, PolicyError, Problem, nearest, parse, read_text
from guard.policy.locations import shipped_licenses, yaml_files
from guard.policy.pack import Pack
from guard.policy.validation import validate


def load_packs(directories: Iterable[Path]) -> dict[str, License]:
    """Return the licenses of every pack in ``directories``, by id, in file order.

    Raises PolicyError with every problem of every pack: a mistake in a file, an id that is not the file's name or is
    that of two different packs, a lineage that names an unknown license.
    """
    problems: list[Problem] = []
    found: dict[str, tuple[License, Document]] = {}
    texts: dict[str, str] = {}
    for directory in directories:
        if not directory.is_dir():
            problems.append(Problem(str(directory), 1, "", "cannot be read: no such directory", "a directory of packs"))
            continue
        for path in yaml_files(directory):
            try:
                text = read_text(path)
                license_, document = parse_pack(text, str(path))
            except PolicyError as error:
                problems += error.problems
                continue
            if texts.setdefault(license_.id, text) == text and license_.id in found and license_.id == path.stem:
                continue  # a copy, word for word, is the same pack
            if license_.id in found:
                first = found[license_.id][1].file
                problems.append(document.problem(("id",), f"'{license_.id}' is in {first} already", "an id of its own"))
            elif license_.id != path.stem:
                problems.append(document.problem(("id",), f"'{license_.id}'", f"the file's name, '{path.stem}'"))
            found.setdefault(license_.id, (license_, document))
    problems += _lineage_problems(found)
    if problems:
        raise PolicyError(problems)
    return {id_: license_ for id_, (license_, _) in found.items()}


def shipped_packs() -> Mapping[str, License]:
    """Return the licenses that ship with Guard, by id; read once per process."""
    return _shipped(shipped_licenses())


@lru_cache(maxsize=1)
def _shipped(directory: Path) -> Mapping[str, License]:
    return MappingProxyType(load_packs([directory]))


@lru_cache(maxsize=256)
def parse_pack(text: str, file: str) -> tuple[License, Document]:
    """Return the license in ``text`` and its document, remembered by content. Raises PolicyError."""
    document = parse(text, file)
    return validate(document, Pack).core(), document


def _lineage_problems(found: Mapping[str, tuple[License, Document]]) -> list[Problem]:
    problems = []
    for license_, document in found.values():
        for index, derivation in enumerate(license_.derived):
            for position, id_ in enumerate(derivation.licenses):
                if id_ not in found:
                    at = ("derived", index, "licenses", position)
                    problems.append(
                        document.problem(at, f"unknown license '{id_}'", "the id of a pack", near=nearest(id_, found))
                    )
    return problems
