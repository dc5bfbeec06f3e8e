"""Reads and copies data sets record by record, in memory that does not grow with the file.

JSONL (one object or text per line), JSON (an array of them) and CSV (a header, then rows), in UTF-8.
"""

import csv
import json
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, TextIO

import msgspec

from guard.provenance.record import Record, record_of

SUFFIXES = (".jsonl", ".json", ".csv")
LARGEST = 64 * 1024 * 1024
"""Characters of the largest record of a JSON array, and of the largest field of a CSV file."""
CHUNK = 1 << 20


class DataError(Exception):
    """A data set that cannot be read: ``file:line: what was found; what is allowed``."""

    def __init__(self, path: Path, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}" if line else f"{path}: {what}")
        self.line = line


class _Item(NamedTuple):
    """A parsed record, the line it begins in, and what it was read from: a line, an element, or a row."""

    line: int
    document: Any
    raw: bytes | str | list[str]


def read(path: Path, progress: Callable[[int], None] = lambda _bytes: None) -> Iterator[Record]:
    """Yield the records of a data set; ``progress`` gets the number of bytes read so far.

    Raises DataError for a format that is not known and at the first record that cannot be read.
    """
    number = -1
    with _opened(path) as file:
        for number, item in enumerate(_items(path, file)):
            try:
                record = record_of(item.document, number, item.line)
            except ValueError as error:
                raise DataError(path, item.line, str(error)) from error
            except RecursionError as error:
                raise DataError(path, item.line, "a record is nested too deeply") from error
            yield record
            if number % 256 == 0:
                progress(getattr(file, "buffer", file).tell())
    if number < 0:
        raise DataError(path, 0, "holds no record")


def copy_without(path: Path, target: Path, numbers: Collection[int]) -> int:
    """Write the records of ``path`` but those in ``numbers`` to ``target``, in the same format; return how many.

    JSONL lines are copied as they are. ``target`` appears complete or not at all. Raises DataError like ``read``,
    OSError if ``target`` cannot be written.
    """
    draft = target.with_name(f".{target.name}.part")
    try:
        with _opened(path) as file, draft.open("w", encoding="utf-8", newline="") as out:
            kept = _copy(_items(path, file), out, path.suffix.lower(), numbers)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return kept


def _copy(items: Iterator[_Item], out: TextIO, suffix: str, numbers: Collection[int]) -> int:
    rows = csv.writer(out, lineterminator="\n")
    kept = 0
    for number, item in enumerate(items):
        if number == 0 and suffix == ".csv":
            rows.writerow(item.document)
        if number in numbers:
            continue
        if isinstance(item.raw, list):
            rows.writerow(item.raw)
        elif isinstance(item.raw, str):
            out.write(("[\n" if kept == 0 else ",\n") + item.raw)
        else:
            out.write(item.raw.decode() + "\n")
        kept += 1
    if suffix == ".json":
        out.write("\n]\n" if kept else "[]\n")
    return kept


def _opened(path: Path) -> Any:
    """Return the open file: of bytes for JSONL, of text for the others."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(path, 0, f"the format {path.suffix or 'without suffix'!r}; allowed: {', '.join(SUFFIXES)}")
    try:
        if path.suffix.lower() == ".jsonl":
            return path.open("rb", buffering=1 << 18)
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise DataError(path, 0, f"cannot be read: {error.strerror}") from error


def _items(path: Path, file: Any) -> Iterator[_Item]:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return _lines(path, file)
    return _Array(path, file).items() if suffix == ".json" else _rows(path, file)


def _lines(path: Path, file: IO[bytes]) -> Iterator[_Item]:
    decode = msgspec.json.Decoder().decode
    for line, raw in enumerate(file, 1):
        data = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
        if not data.strip():
            continue
        try:
            yield _Item(line, decode(data), data.rstrip(b"\r\n"))
        except UnicodeDecodeError as error:
            raise DataError(path, line, "not UTF-8 text") from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise DataError(path, line, f"not JSON: {error}") from error


class _Array:
    """Takes a JSON array apart element by element, holding one element and one chunk at a time."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._text = path, file
        self._decode = json.JSONDecoder().raw_decode
        self._buffer, self._at, self._line = "", 0, 1

    def items(self) -> Iterator[_Item]:
        """Yield the elements. Raises DataError where the text is not an array of JSON."""
        if self._next() != "[":
            raise self._error("not a JSON array of records")
        self._at += 1
        ended = self._next() == "]"
        while not ended:
            document, end = self._element()
            raw = self._buffer[self._at : end]
            yield _Item(self._line, document, raw)
            self._line += raw.count("\n")
            self._at = end
            if (mark := self._next()) not in {",", "]"}:
                raise self._error("not JSON: a comma or the end of the array is missing")
            ended = mark == "]"
            self._at += not ended
        self._at += 1
        if self._next():
            raise self._error("not JSON: something follows the array")

    def _next(self) -> str:
        """Move to the next character that is no white space and return it; empty at the end."""
        while True:
            while self._at < len(self._buffer):
                character = self._buffer[self._at]
                if character not in " \t\r\n":
                    return character
                self._line += character == "\n"
                self._at += 1
            if not self._more():
                return ""

    def _element(self) -> tuple[Any, int]:
        """Return the value that begins here and where it ends in the buffer."""
        self._next()
        while True:
            try:
                return self._decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._buffer) - 16 or error.msg.startswith("Unterminated string")
                if not cut or len(self._buffer) - self._at > LARGEST or not self._more():
                    raise self._error(f"not JSON: {error.msg} in the record that begins here") from error
            except RecursionError as error:
                raise self._error("a record is nested too deeply") from error

    def _more(self) -> bool:
        try:
            # Growing with the element keeps the attempts to decode a large one few.
            new = self._text.read(max(CHUNK, len(self._buffer) - self._at))
        except UnicodeDecodeError as error:
            raise self._error("not UTF-8 text after this line") from error
        self._buffer, self._at = self._buffer[self._at :] + new, 0
        return bool(new)

    def _error(self, what: str) -> DataError:
        return DataError(self._path, self._line, what)


def _rows(path: Path, file: TextIO) -> Iterator[_Item]:
    csv.field_size_limit(min(LARGEST, sys.maxsize))
    reader = csv.reader(file, strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for row in reader:
            if header is None:
                header = row
                if len(set(header)) < len(header):
                    raise DataError(path, line, "the header names a column twice; allowed: each column once")
            elif row:
                if len(row) != len(header):
                    raise DataError(path, line, f"{len(row)} fields; allowed: {len(header)}, as in the header")
                yield _Item(line, dict(zip(header, row, strict=True)), row)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(path, line, f"not CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise DataError(path, line, "not UTF-8 text") from error
