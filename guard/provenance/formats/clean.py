"""A data set without some of its records."""

import gzip
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path

from guard.provenance.formats.error import Unreadable
from guard.provenance.formats.format import format_of
from guard.provenance.formats.opened import BUFFER, Output
from guard.provenance.formats.records import READERS
from guard.provenance.formats.source import Source


def check_target(source: Source, target: Path) -> None:
    """Raise ValueError, which says what is allowed, if ``source`` cannot be copied to ``target`` (- : standard out)."""
    if source.many:
        _check_folder(source, target)
        return
    part = source.parts[0]
    if str(target) == "-":
        return
    if part.path is not None and target.resolve() == part.path.resolve():
        raise ValueError("would replace the data set itself; allowed: another file")
    if target.is_dir():
        raise ValueError(f"{target} is a folder; allowed: a file, as the data set")
    found = format_of(target.name)
    if found is None or not found.equals(part.format):
        raise ValueError(f"{target.name}; allowed: a name in {part.format.suffix}, as the data set")


def _check_folder(source: Source, target: Path) -> None:
    if str(target) == "-":
        raise ValueError("several files cannot be written to standard output; allowed: a folder")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ValueError(f"{target} is there already; allowed: a new folder, or an empty one")
    for folder in source.folders:
        if target.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{target} is within the data set; allowed: a folder outside of it")
    places = [part.inside for part in source.parts]
    if len(set(places)) < len(places):
        twice = next(place for place, count in Counter(places).items() if count > 1)
        raise ValueError(f"two files are named {twice}; allowed: each name once, or the folder above")


def copy_without(
    source: Source | Path | str | Iterable[Path | str], target: Path | str, dropped: Container[int]
) -> int:
    """Write the records of a data set but those whose number is in ``dropped``; return how many.

    A file is written in the format of the data set, records of JSON lines, CSV and TSV byte for byte; folders and
    several files as a folder, in which files without any record left are missing. ``target`` (- : standard output, once
    all is known to be well) appears complete or not at all. Raises DataError like ``read``, ValueError like
    ``check_target``, OSError if ``target`` cannot be written.
    """
    source = source if isinstance(source, Source) else Source(source)
    target = Path(target)
    check_target(source, target)
    copy = _Copy(source, dropped)
    if str(target) == "-":
        with tempfile.TemporaryFile() as draft:
            kept = copy.write(0, draft)
            draft.seek(0)
            shutil.copyfileobj(draft, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return kept
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        kept = copy.folder(part) if source.many else copy.file(0, part)
        part.replace(target)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)
    return kept


class _Copy:
    """Writes the files of a data set, in their order."""

    def __init__(self, source: Source, dropped: Container[int]) -> None:
        self._source, self._dropped = source, dropped
        self._number = -1

    def folder(self, target: Path) -> int:
        """Write every file that keeps a record below ``target``; return how many records there are."""
        target.mkdir()
        kept = 0
        for index, part in enumerate(self._source.parts):
            file = target / part.inside
            file.parent.mkdir(parents=True, exist_ok=True)
            here = self.file(index, file)
            if not here:
                file.unlink()
            kept += here
        for folder in sorted((path for path in target.rglob("*") if path.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()
        return kept

    def file(self, index: int, target: Path) -> int:
        """Write one file and wait until the disk has it."""
        with target.open("wb", buffering=BUFFER) as out:
            kept = self.write(index, out)
            out.flush()
            os.fsync(out.fileno())
        return kept

    def write(self, index: int, out: Output) -> int:
        """Write the records of one file that are kept; return how many they are."""
        with self._source.open(index) as file:
            copy = READERS[file.format].copy
            try:
                if not file.compressed:
                    return copy(file, out, self._keeps)
                with gzip.GzipFile("", "wb", 6, out, mtime=0) as packed:
                    return copy(file, packed, self._keeps)
            except Unreadable as error:
                raise file.error(0, str(error)) from error

    def _keeps(self) -> bool:
        self._number += 1
        return self._number not in self._dropped
