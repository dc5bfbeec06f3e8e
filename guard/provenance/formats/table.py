"""CSV and TSV: a header, then rows; fields in double quotes may hold delimiters and ends of lines; UTF-8.

A header with a text among its names is a record as well: it is the first row of a file that has no header.
"""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

from guard.provenance.formats.members import members
from guard.provenance.formats.opened import LARGEST, Opened, Output
from guard.provenance.record import is_text

_DELIMITERS = {"csv": ",", "tsv": "\t"}


def items(file: Opened) -> Iterator[tuple[int, Any]]:
    """Yield the line and the fields of every row, by the names in the header; before them texts in the header."""
    _, content = file.bytes()
    for line, row, _ in _Rows(file, content).rows():
        if row is not None:
            yield line, row


def copy(file: Opened, out: Output, keeps: Callable[[], bool]) -> int:
    """Write the header and the rows that ``keeps``, asked once for each, wants, byte for byte; return how many."""
    mark, content = file.bytes()
    out.write(mark)
    kept = 0
    for _, row, raw in _Rows(file, content).rows():
        if row is None:
            out.write(raw)
        elif keeps():
            out.write(raw)
            kept += 1
    return kept


class _Rows:
    """Reads rows, and remembers the bytes each was read from."""

    def __init__(self, file: Opened, content: io.BufferedIOBase) -> None:
        self._file, self._readline = file, content.readline
        self._line = 0
        self._taken: list[bytes] = []

    def rows(self) -> Iterator[tuple[int, dict[str, str] | None, bytes]]:
        """Yield the line a row begins in, its fields, and its bytes; blank lines are left out.

        The fields of the header are None, or the texts in it.
        """
        # The limit is one for the whole process; it is never lowered, since others may need more.
        csv.field_size_limit(max(csv.field_size_limit(), LARGEST))
        reader = csv.reader(self._lines(), delimiter=_DELIMITERS[self._file.format], strict=True)
        header: list[str] | None = None
        while True:
            line = self._line + 1
            self._taken.clear()
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                allowed = 'fields in double quotes if they hold one (which is then written twice: "") or an end of line'
                raise self._file.error(line, f"not {self._file.format.upper()}: {error}; allowed: {allowed}") from error
            raw = b"".join(self._taken)
            if header is None:
                if not row:
                    continue
                header = row
                if len(set(header)) < len(header):
                    raise self._file.error(line, "the header names a column twice; allowed: each column once")
                columns = [f"column {number}" for number in range(1, len(header) + 1)]
                texts = {column: name for column, name in zip(columns, header, strict=True) if is_text(name)}
                if texts:  # a text stands in the header once, so it is no name in every row
                    names = [column if is_text(name) else name for column, name in zip(columns, header, strict=True)]
                    header = list(members([(name, None) for name in names]))
                yield line, texts or None, raw
            elif row:
                if len(row) != len(header):
                    found = f"{len(row)} field{'s' * (len(row) != 1)}"
                    raise self._file.error(line, f"{found}; allowed: {len(header)}, as in the header")
                yield line, dict(zip(header, row, strict=True)), raw

    def _lines(self) -> Iterator[str]:
        row = 0
        while raw := self._readline(LARGEST + 1):
            self._line += 1
            row = row + len(raw) if self._taken else len(raw)
            if row > LARGEST:
                begun = self._line - len(self._taken)
                what = f"a row of more than {LARGEST >> 20} MiB (a quote is missing?); allowed: shorter rows"
                raise self._file.error(begun, what)
            self._taken.append(raw)
            try:
                yield raw.decode()
            except UnicodeDecodeError as error:
                raise self._file.error(self._line, "not UTF-8 text; allowed: UTF-8") from error
