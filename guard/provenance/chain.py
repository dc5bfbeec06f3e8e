"""Which segments of an index follow which, by what they say of themselves: clocks go back, and files are copied.

Each segment names the one that its instance wrote before it. The last of an instance is the one that no other names,
whatever its name and month. A file with the same beginning as another one is a copy of it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from guard.provenance.layout import SEGMENT_SUFFIX, month_of
from guard.provenance.segment import Begin, read_begin, segment_name

MOST = 32
"""Segments that one names at most: its beginning has to fit into what is read of it."""

Begins = Mapping[Path, Begin | None]
"""Segments in the order of their paths; None where the beginning cannot be read."""


def begins_of(directory: Path, instance: str | None = None) -> dict[Path, Begin | None]:
    """Return the beginnings of all segments in the index, or of those that ``instance`` wrote.

    One that cannot be read is taken for its file name's.
    """
    found: dict[Path, Begin | None] = {}
    paths: list[Path] = []
    for month in directory.glob("[0-9]*"):
        with suppress(FileNotFoundError):  # retention may be at work
            paths += month.glob(f"{instance or ''}*{SEGMENT_SUFFIX}")
    for path in sorted(paths):
        try:
            begin = read_begin(path)
        except OSError:
            begin = None
        if instance is None or (begin.instance == instance if begin else path.name.startswith(f"{instance}.")):
            found[path] = begin
    return found


def copies(begins: Begins) -> dict[Path, Path]:
    """Return the segments that are copies, and what of: the one that has the name it was written under, if any has."""
    same: dict[Begin, list[Path]] = {}
    for path, begin in begins.items():
        if begin is not None:
            same.setdefault(begin, []).append(path)
    found = {}
    for begin, paths in same.items():
        original = min(paths, key=lambda path: (not _original(path, begin), path))
        found.update(dict.fromkeys((path for path in paths if path != original), original))
    return found


def named(begins: Iterable[Begin | None]) -> Iterator[str]:
    """Yield the segments that others name, as month and file name."""
    for begin in begins:
        if begin is not None and begin.before:
            yield from begin.before.split("\n")


def last_of(directory: Path, instance: str) -> str:
    """Return what the next segment of ``instance`` has to name as the one before it.

    That is the one that no other names: the last. If some in between were taken away there are more of these, and all
    are named, that none of them can go unnoticed.
    """
    begins = begins_of(directory, instance)
    followed, twice = set(named(begins.values())), copies(begins)
    followed.update(_name(original) for copy, original in twice.items() if _name(copy) in followed)
    ends = [path for path in begins if path not in twice and _name(path) not in followed]
    ends.sort(key=lambda path: begin.time if (begin := begins[path]) else 0.0)
    return "\n".join(map(_name, ends[-MOST:]))


def _original(path: Path, begin: Begin) -> bool:
    """Return True if ``path`` is where a segment that begins so was written, or one whose name was taken."""
    try:
        name = segment_name(begin.instance, datetime.fromtimestamp(begin.time, UTC))
    except (ValueError, OverflowError, OSError):
        return False  # a time that no writer has
    second, _, rest = name.removesuffix(SEGMENT_SUFFIX).rpartition(".")
    form = re.escape(second) + rf"\.\d{{{len(rest) - 1}}}Z" + re.escape(SEGMENT_SUFFIX)
    return path.parent.name == month_of(begin.time) and re.fullmatch(form, path.name) is not None


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
