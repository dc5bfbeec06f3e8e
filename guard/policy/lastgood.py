"""The last good copy: the operator's policy files as they were when they last came into force.

``last-good/current`` in the state directory points at a directory that is named by the SHA-256 of its manifest, which
holds the SHA-256 of every file: what was damaged, cut short or edited is refused. Key files are not copied, only named;
nor are case files, because what was copied has passed them.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from guard.policy.config import Config
from guard.policy.document import PolicyError, Problem
from guard.policy.load import Loaded, digest_of
from guard.policy.locations import yaml_files
from guard.policy.reading import is_directory, read_bounded
from guard.policy.writing import write_private

DIRECTORY, CURRENT, MANIFEST = "last-good", "current", "manifest.json"
VERSION = 1


class Copy(NamedTuple):
    """A copy that is sound."""

    config: Path
    """The copied guard.yaml."""
    base: Path
    """The directory that the original's relative paths are relative to."""
    moved: Mapping[str, str]
    """Where the copies are of what else was copied, by the original's absolute path."""

    def place(self, name: str) -> str:
        """Return the place of a file that the configuration names: its copy, or the original where there is none."""
        original = self.base / name
        return self.moved.get(os.path.abspath(original), str(original))  # noqa: PTH100 - resolve() follows symlinks


def keep(state_dir: Path, path: Path, loaded: Loaded) -> bool:
    """Copy the files of ``loaded``, whose configuration is ``path``; False if they have changed since. Raises OSError.

    The copy takes the place of the one before it at once; only one process of a state directory may call this.
    """
    home = state_dir / DIRECTORY
    home.mkdir(mode=0o700, exist_ok=True)
    draft = home / f".{secrets.token_hex(8)}"
    draft.mkdir(mode=0o700)
    try:
        files, directories = [], []
        for number, original in enumerate(_copied(path, loaded.config)):
            place = draft / str(
                number
            )  # a directory may be called '..'; files keep their names, as the hash is over them
            place.mkdir(mode=0o700)
            is_whole = is_directory(original)
            if is_whole:
                directories.append({"copy": place.name, "original": _absolute(original)})
            for file in yaml_files(original) if is_whole else [original]:
                copy, content = place / file.name, read_bounded(file)
                write_private(copy, content)
                name, digest = str(copy.relative_to(draft)), sha256(content).hexdigest()
                files.append({"copy": name, "original": _absolute(file), "sha256": digest})
        if digest_of(loaded.watched) != loaded.digest:
            return False
        manifest: dict[str, Any] = {
            "version": VERSION,
            "policy": loaded.snapshot.hash,
            "files": files,
            "directories": directories,
        }
        manifest["made"] = draft.name  # no two copies have one name, so none is taken for another that was damaged
        written = json.dumps(manifest, indent=1).encode()
        write_private(draft / MANIFEST, written)
        _put_in_place(home, draft, sha256(written).hexdigest())
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def find(state_dir: Path, path: Path) -> Copy:
    """Return the copy of the configuration ``path``. Raises PolicyError if there is none that is sound."""
    home = state_dir / DIRECTORY
    try:
        return _read(home, path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = str(error) if isinstance(error, _Unsound) else f"no copy that can be read ({type(error).__name__})"
        raise PolicyError([Problem(str(home), 0, "last_good", found, "a copy as it was written")]) from error


class _Unsound(ValueError):
    """A copy that is not as it was written."""


def _read(home: Path, path: Path) -> Copy:
    place = (home / CURRENT).resolve(strict=True)
    written = read_bounded(place / MANIFEST)
    if sha256(written).hexdigest() != place.name:
        raise _Unsound("the manifest is not the one that was written")
    manifest: Any = json.loads(written)
    if manifest["version"] != VERSION:
        raise _Unsound(f"a copy of form {manifest['version']}, written by another version of Guard")
    copies = {entry["copy"]: entry["sha256"] for entry in manifest["files"]}
    there = {str(file.relative_to(place)) for file in place.rglob("*") if not file.is_dir()}
    if there != {*copies, MANIFEST}:
        raise _Unsound(f"'{min(there ^ {*copies, MANIFEST})}' is missing, or is one too many")
    for name, digest in copies.items():
        if sha256(read_bounded(place / name)).hexdigest() != digest:
            raise _Unsound(f"'{name}' is not the file that was copied")
    configuration, *others = manifest["files"]
    if configuration["original"] != _absolute(path):
        raise _Unsound(f"a copy of {configuration['original']}")
    moved = {entry["original"]: str(place / entry["copy"]) for entry in (*others, *manifest["directories"])}
    return Copy(place / configuration["copy"], path.parent, moved)


def _copied(path: Path, config: Config) -> Iterator[Path]:
    """The configuration, and what belongs to it and is no key and no case."""
    yield path
    named = [*config.policies, *config.screening.rules]
    named += [name for tenant in config.tenants.values() for name in tenant.rules]
    named += config.usage.attestations
    named += [model.license_file for model in config.models.values() if model.license_file]
    yield from map(Path, dict.fromkeys(named))


def _put_in_place(home: Path, draft: Path, name: str) -> None:
    draft.rename(home / name)
    pointer = home / f".{secrets.token_hex(8)}"
    pointer.symlink_to(name)
    pointer.replace(home / CURRENT)
    for other in home.iterdir():
        if other.name not in {name, CURRENT}:
            if other.is_dir() and not other.is_symlink():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - resolve() follows the symlinks of a ConfigMap
