"""License packs on disk: one YAML file per license text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from guard.licensing.license import License
from guard.policy.checks.overlaps import overlaps
from guard.policy.checks.pack import pack
from guard.policy.document import Document, Location, PolicyError, Problem, in_order, read_text, scan
from guard.policy.locations import shipped_licenses, yaml_files
from guard.policy.pack import STAND_INS, Pack
from guard.policy.validation import salvage


@dataclass(frozen=True, slots=True)
class PackFiles:
    """What is sound of the packs that were read, and every problem in them."""

    licenses: Mapping[str, License]
    """By id, in file order. With problems, some of them lack what was mistaken."""
    documents: Mapping[str, Document]
    """By id: where the facts of each license stand, and which of them are lost."""
    problems: tuple[Problem, ...]
    """In the order of files and lines."""
    lost: frozenset[Location]
    """What is not to be missed elsewhere: ``("packs", ID, ...)`` for a fact, ``("policies",)`` where ids may be
    missing, ``("patterns",)`` where repositories may be."""

    @property
    def items(self) -> frozenset[str]:
        """The ids of the items of all acceptable use policies."""
        return frozenset(item.id for license_ in self.licenses.values() for item in license_.aup)


def load_packs(paths: Iterable[Path]) -> dict[str, License]:
    """Return the licenses of every pack in ``paths`` (a directory stands for its packs), by id, in file order.

    Raises PolicyError with every problem of every pack, as ``read_packs`` finds them.
    """
    read = read_packs(paths)
    if read.problems:
        raise PolicyError(read.problems)
    return dict(read.licenses)


def read_packs(paths: Iterable[Path]) -> PackFiles:
    """Return the packs in ``paths`` (a directory stands for its packs) with every problem of every one of them.

    A problem is a mistake in a file, an id that is not the file's name or is that of two different packs, a lineage
    that names an unknown license, and what contradicts itself within a pack or between two.
    """
    problems: list[Problem] = []
    found: dict[str, tuple[License, Document]] = {}
    texts: dict[str, str] = {}
    misnamed: dict[str, tuple[License, Document]] = {}
    lost: set[Location] = set()
    for path in _files(paths, problems, lost):
        try:
            text = read_text(path)
        except PolicyError as error:
            problems += error.problems
            lost.add(("policies",))
            continue
        license_, document, mistakes = salvage_pack(text, str(path))
        problems += mistakes
        if document.misses(("models",), ("derived",)):
            lost.add(("patterns",))
        if texts.setdefault(license_.id, text) == text and license_.id in found and license_.id == path.stem:
            continue  # a copy, word for word, is the same pack
        if license_.id in found:
            first = found[license_.id][1].file
            problems.append(document.problem(("id",), f"'{license_.id}' is in {first} already", "an id of its own"))
        elif license_.id != path.stem:
            problems.append(document.problem(("id",), f"'{license_.id}'", f"the file's name, '{path.stem}'"))
            misnamed[path.stem] = (license_, document)
        found.setdefault(license_.id, (license_, document))
    for license_, document in found.values():
        problems += pack(license_, document)
        lost |= {("packs", license_.id, *location) for location in document.lost}
    problems += overlaps(found)
    found = {**misnamed, **found}  # whoever names the file means the pack in it
    return PackFiles(
        MappingProxyType({id_: license_ for id_, (license_, _) in found.items()}),
        MappingProxyType({id_: document for id_, (_, document) in found.items()}),
        tuple(in_order(problems)),
        frozenset(lost),
    )


def shipped_packs() -> Mapping[str, License]:
    """Return the licenses that ship with Guard, by id; read once per process."""
    return shipped_files().licenses


def shipped_files() -> PackFiles:
    """Return the packs that ship with Guard; read once per process. Raises PolicyError if one is mistaken."""
    return _shipped(shipped_licenses())


@lru_cache(maxsize=1)
def _shipped(directory: Path) -> PackFiles:
    read = read_packs([directory])
    if read.problems:
        raise PolicyError(read.problems)
    return read


@lru_cache(maxsize=256)
def salvage_pack(text: str, file: str) -> tuple[License, Document, tuple[Problem, ...]]:
    """Return what is sound of the license in ``text``, its document and its mistakes of form, remembered by content.

    Where there is no telling its id, it is the file's name, as it should be.
    """
    try:
        read = salvage(scan(text, file), Pack, STAND_INS)
    except PolicyError as error:
        nothing = salvage(Document(file, {}, {}), Pack, STAND_INS)
        document = replace(nothing.document, lost=frozenset({()}))
        return replace(nothing.value.core(), id=Path(file).stem), document, error.problems
    license_ = read.value.core()
    if read.document.misses(("id",)):
        license_ = replace(license_, id=Path(file).stem)
    return license_, read.document, read.problems


def pack_digests(paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of every pack in ``paths``, by id, in hexadecimal; of equal ids the first. Raises OSError."""
    digests: dict[str, str] = {}
    for file in _files(paths, [], set()):
        digests.setdefault(file.stem, sha256(file.read_bytes()).hexdigest())
    return digests


def _files(paths: Iterable[Path], problems: list[Problem], lost: set[Location]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += yaml_files(path)
        elif path.is_file():
            files.append(path)
        else:
            problems.append(Problem(str(path), 1, "", "cannot be read: no such directory", "a directory of packs"))
            lost.add(("policies",))
    return files
