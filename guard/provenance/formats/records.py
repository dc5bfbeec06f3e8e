"""The records of a data set, one by one, in memory that does not grow with it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from guard.provenance.formats import document, lines, parquet, table
from guard.provenance.formats.error import DataError, Unreadable
from guard.provenance.formats.opened import BUFFER, Opened, Output
from guard.provenance.formats.source import Read, Source
from guard.provenance.record import Record, record_of


class Reader(NamedTuple):
    """What a format can do."""

    items: Callable[[Opened], Iterator[tuple[int, Any]]]
    """Yields the line and the value of every record."""
    copy: Callable[[Opened, Output, Callable[[], bool]], int]
    """Writes the records that are wanted, asking once for each, in order; returns how many it wrote."""


_lines, _tables = Reader(lines.items, lines.copy), Reader(table.items, table.copy)
READERS = {
    "jsonl": _lines,
    "ndjson": _lines,
    "json": Reader(document.items, document.copy),
    "csv": _tables,
    "tsv": _tables,
    "parquet": Reader(parquet.items, parquet.copy),
}


def read(
    source: Source | Path | str | Iterable[Path | str], progress: Callable[[int], None] = lambda _bytes: None
) -> Iterator[Record]:
    """Yield the records of a data set, file by file, numbered from 0.

    ``progress`` gets the bytes read so far, as they are stored; ``source.reads`` tells of every file that is done.
    Raises DataError at the first record that cannot be read, and at the end if there was none at all.
    """
    source = source if isinstance(source, Source) else Source(source)
    source.reads.clear()
    number = done = 0
    for index, part in enumerate(source.parts):
        begun = number
        with source.open(index) as file:
            digest = _hashed(file) if source.digest else None
            _report(file, done, progress)
            for line, value in _items(file):
                try:
                    record = record_of(value, number, line, part.name)
                except ValueError as error:
                    raise DataError(part.name, line, str(error)) from error
                number += 1
                yield record
            done += file.count
            sha256 = digest.hexdigest() if digest is not None else None
            source.reads.append(Read(part.name, file.count, number - begun, sha256))
    if number == 0:
        raise DataError(source.name, 0, "holds no record; allowed: one record or more")


def _items(file: Opened) -> Iterator[tuple[int, Any]]:
    """Yield the line and the value of every record; bytes that cannot be had are told behind the last of them."""
    line = 0
    try:
        for line, value in READERS[file.format].items(file):
            yield line, value
    except Unreadable as error:
        raise file.error(line, f"{error} (after this record)" if line else str(error)) from error


def _report(file: Opened, done: int, progress: Callable[[int], None]) -> None:
    file.moved = lambda: progress(done + file.count)


def _hashed(file: Opened) -> "hashlib._Hash":
    """Return a hash that the bytes of ``file`` go through."""
    digest = hashlib.sha256()
    if file.format != "parquet":
        file.taken = digest.update
        return digest
    # Parquet is read from its end and in pieces.
    buffer = memoryview(bytearray(BUFFER))
    while count := file.raw.readinto(buffer):
        digest.update(buffer[:count])
    return digest
