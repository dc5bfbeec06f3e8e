"""A file of a data set, open: its bytes, decompressed, and how far it has been read."""

import io
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from guard.provenance.formats.error import DataError, Unreadable

LARGEST = 64 * 1024 * 1024
"""Bytes of the largest record."""
BUFFER = 1 << 18
_GZIP = 31
"""What zlib calls a window of 32 KiB in gzip's frame."""
_BOM = b"\xef\xbb\xbf"
_OTHERS = {
    b"\x1f\x8b": "gzip; allowed: a name that ends in .gz",
    b"PAR1": "Parquet; allowed: a name that ends in .parquet",
    b"\x28\xb5\x2f\xfd": "Zstandard; allowed: text as it is, or gzip",
    b"BZh": "bzip2; allowed: text as it is, or gzip",
    b"\xfd7zXZ": "xz; allowed: text as it is, or gzip",
    b"PK\x03\x04": "a ZIP archive; allowed: the files in it",
    b"\xff\xfe": "UTF-16; allowed: UTF-8",
    b"\xfe\xff": "UTF-16; allowed: UTF-8",
}


class Input(Protocol):
    """Bytes of a file or of standard input."""

    def readinto(self, into: Any, /) -> int | None: ...  # noqa: D102 - as io.RawIOBase has it
    def close(self) -> None: ...  # noqa: D102 - as io.RawIOBase has it


class Output(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> int: ...  # noqa: D102 - as io.RawIOBase has it
    def flush(self) -> None: ...  # noqa: D102 - as io.RawIOBase has it


class Opened:
    """One file of a data set. Text formats read ``bytes``, which are decompressed and begin after a byte order mark.

    Reading from them raises ``Unreadable`` where the file is damaged or the disk is.
    """

    def __init__(self, name: str, format_: str, raw: Input, size: int, *, compressed: bool) -> None:
        self.name, self.format, self.raw, self.size, self.compressed = name, format_, raw, size, compressed
        self.count = 0
        """Bytes of the file read so far, as they are stored."""
        self.moved: Callable[[], None] = lambda: None
        """Is called whenever ``count`` has grown."""
        self.taken: Callable[[memoryview], None] = lambda _bytes: None
        """Is given the bytes as they are stored."""

    def bytes(self) -> tuple[bytes, io.BufferedIOBase]:
        """Return the byte order mark, empty if there is none, and the bytes behind it.

        Raises DataError for a file of no bytes and for one that is plainly of another format.
        """
        stored = io.BufferedReader(_Stored(self), BUFFER)
        first = stored.peek(8)
        if not first:
            raise self.error(0, "is empty; allowed: a file with a record in it")
        if self.compressed and first[:2] != b"\x1f\x8b":
            raise self.error(0, "is not gzip; allowed: a name without .gz, or a file that gzip wrote")
        content: io.BufferedReader[Any] = stored
        if self.compressed:
            content = io.BufferedReader(_Unzipped(stored), BUFFER)
        first = content.peek(8)
        for magic, what in _OTHERS.items():
            if first.startswith(magic):
                raise self.error(0, f"is {what}")
        if first.startswith(_BOM):
            return content.read(len(_BOM)), content
        return b"", content

    def error(self, line: int, what: str) -> DataError:
        """Return the error that is ``what`` in ``line`` of this file."""
        return DataError(self.name, line, what)


class _Stored(io.RawIOBase):
    """Counts the bytes of a file as they are read."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        opened = self._opened
        try:
            count = opened.raw.readinto(into) or 0
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from error
        opened.taken(memoryview(into)[:count])
        opened.count += count
        opened.moved()
        return count


class _Unzipped(io.RawIOBase):
    """Decompresses the members of a gzip file (RFC 1952), one after another; zeros between them are padding.

    Every byte before a damage is given first, so that the damage is told behind the last record that is whole.
    """

    def __init__(self, stored: io.BufferedIOBase) -> None:
        self._stored = stored
        self._data = b""
        self._member = zlib.decompressobj(_GZIP)
        self._begun = True

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while True:
            data = self._data or self._stored.read1(BUFFER)
            if not data:
                if self._begun:
                    raise Unreadable("the compressed file ends too early; allowed: a whole gzip file")
                return 0
            if not self._begun:
                self._data = data.lstrip(b"\0")
                if not self._data:
                    continue
                data, self._member, self._begun = self._data, zlib.decompressobj(_GZIP), True
            try:
                text = self._member.decompress(data, len(into))
            except zlib.error as error:
                raise Unreadable(f"damaged compression: {error}; allowed: a whole gzip file") from error
            self._begun = not self._member.eof
            self._data = self._member.unconsumed_tail if self._begun else self._member.unused_data
            if text:
                into[: len(text)] = text
                return len(text)
