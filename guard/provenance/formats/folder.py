"""The files of data in a folder; what is neither data nor known to stand beside data is an error, never passed over."""

from fnmatch import fnmatchcase
from pathlib import Path

from guard.provenance.formats.error import DataError
from guard.provenance.formats.format import ALLOWED, Format, format_of

BYSTANDERS = (
    "README", "README.md", "README.txt", "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE", "CITATION.cff",
    "dataset_info.json", "dataset_infos.json", ".gitattributes", ".gitignore", ".DS_Store", "*.lock", "*.crc",
    "_SUCCESS", "*.guard.json",
)  # fmt: skip
"""Files that are passed over: they stand beside data and hold none."""
BYSTANDING = (".git", ".cache")
"""Folders that are passed over: those of version control and of downloads."""
_NAMED = 5


def files(folder: Path) -> tuple[list[tuple[Path, Format]], list[Path]]:
    """Return the files of data in a folder, and what is passed over there, both sorted by their paths.

    Raises DataError if it holds anything else.
    """
    passed: list[Path] = []
    found: list[tuple[Path, Format]] = []
    strange: list[str] = []
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            state = here.stat()
            if (state.st_dev, state.st_ino) in visited:  # a link that leads back
                continue
            visited.add((state.st_dev, state.st_ino))
            for entry in here.iterdir():
                if entry.is_dir():
                    (passed if entry.name in BYSTANDING else waiting).append(entry)
                elif any(fnmatchcase(entry.name, pattern) for pattern in BYSTANDERS):
                    passed.append(entry)
                else:
                    format_ = format_of(entry.name)
                    if format_ is None or not entry.is_file():
                        strange.append(str(entry.relative_to(folder)))
                    else:
                        found.append((entry, format_))
        except OSError as error:
            raise DataError(str(here), 0, f"cannot be read: {error.strerror}") from error
    if strange:
        named = ", ".join(sorted(strange)[:_NAMED]) + f" and {len(strange) - _NAMED} more" * (len(strange) > _NAMED)
        allowed = f"{ALLOWED}; beside them {', '.join(BYSTANDERS)}"
        raise DataError(str(folder), 0, f"holds what is not known to be data: {named}; allowed: {allowed}")
    if not found:
        raise DataError(str(folder), 0, f"holds no file of data; allowed: {ALLOWED}")
    return sorted(found, key=lambda pair: pair[0].relative_to(folder).parts), sorted(passed)
