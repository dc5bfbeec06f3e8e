"""Where a data set comes from: files, folders, standard input, in the order they are read."""

import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, Self

from guard.provenance.formats.error import DataError
from guard.provenance.formats.folder import files
from guard.provenance.formats.format import ALLOWED, Format, format_named, format_of
from guard.provenance.formats.opened import BUFFER, Input, Opened

STDIN = "stdin"


class Part(NamedTuple):
    """One file of a data set."""

    name: str
    """As errors and hits name it."""
    path: Path | None
    """None for standard input."""
    format: Format
    inside: PurePosixPath
    """Where it stands in a copy of the data set."""


class Read(NamedTuple):
    """What was read of one file."""

    name: str
    bytes: int
    records: int
    sha256: str | None
    """In hexadecimal, of the bytes the records were read from; None if it was not asked for."""


class Source:
    """The files of one data set.

    ``paths`` are files, folders (read recursively, in the order of their names) and ``-``, standard input, which needs
    ``format`` (``jsonl``, ``csv.gz``); it is also the format of files that are given by name. With ``again`` what can
    be read only once is kept in a temporary file without a name, for ``copy_without``; with ``digest`` every file's
    SHA-256 is taken as it is read. Raises DataError if a path is not there, is of no known format, or is a folder that
    holds something else than data; ValueError for a ``format`` that is not known or missing.
    """

    def __init__(
        self,
        paths: Path | str | Iterable[Path | str],
        *,
        format: str | None = None,  # noqa: A002 - the name of the option
        again: bool = False,
        digest: bool = False,
        stdin: Input | None = None,
    ) -> None:
        given = [Path(path) for path in ([paths] if isinstance(paths, Path | str) else paths)]
        if not given:
            raise ValueError("no data set is named; allowed: files, folders, and - for standard input")
        if len(given) > len(set(given)):
            raise ValueError("a path is named twice; allowed: each once")
        stated = format_named(format) if format is not None else None
        self.name = ", ".join(str(path) if str(path) != "-" else STDIN for path in given)
        self.folders = tuple(path for path in given if path.is_dir())
        """The folders among the paths."""
        self.not_looked_at: list[str] = []
        """Files and folders that stand beside the data and are passed over."""
        self.parts = tuple(
            part for path in given for part in _parts(path, stated, self.not_looked_at, alone=len(given) == 1)
        )
        self.reads: list[Read] = []
        """What was read of every file that has been read to its end."""
        self.many = bool(self.folders) or len(self.parts) > 1
        """True for what is copied as a folder."""
        self.digest = digest
        self._again, self._stdin = again, stdin
        self._spools: dict[int, IO[bytes]] = {}
        self._spent: set[int] = set()
        self._states: dict[int, tuple[int, ...]] = {}

    @property
    def total(self) -> int:
        """Bytes of all files, as they are stored; 0 if that is not known."""
        files = [part.path for part in self.parts if part.path is not None and part.path.is_file()]
        return sum(file.stat().st_size for file in files) if len(files) == len(self.parts) else 0

    def close(self) -> None:
        """Let what was kept of standard input go."""
        while self._spools:
            self._spools.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def open(self, index: int) -> Iterator[Opened]:
        """Open a file by its number among ``parts``.

        Raises DataError if it cannot be read, or is not what it was when it was opened first; OSError if what can be
        read only once cannot be kept.
        """
        part = self.parts[index]
        raw: Any = self._spools.get(index) or self._raw(part)
        try:
            if index not in self._spools and not _is_file(part, raw):
                if index in self._spent:
                    raise DataError(part.name, 0, "can be read only once; allowed: a file")
                self._spent.add(index)
                if self._again or part.format.name == "parquet":
                    stream, raw = raw, _spooled(part, raw)
                    self._spools[index] = raw
                    if part.path is not None:
                        stream.close()
            size = self._size(index, raw) if index in self._spools or _is_file(part, raw) else 0
            yield Opened(part.name, part.format.name, raw, size, compressed=part.format.compressed)
        finally:
            if part.path is not None and index not in self._spools:
                raw.close()

    def _raw(self, part: Part) -> Any:
        if part.path is None:
            return self._stdin or sys.stdin.buffer
        try:
            return part.path.open("rb", buffering=0)
        except OSError as error:
            raise DataError(part.name, 0, f"cannot be read: {error.strerror}") from error

    def _size(self, index: int, raw: Any) -> int:
        """Go to the beginning; return the size. Raises DataError if the file has changed since it was opened first."""
        raw.seek(0)
        state = os.fstat(raw.fileno())
        known = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
        if self._states.setdefault(index, known) != known:
            what = "changed while it was being checked; allowed: a file that stays as it is until the end"
            raise DataError(self.parts[index].name, 0, what)
        return state.st_size


def _parts(path: Path, stated: Format | None, passed: list[str], *, alone: bool) -> Iterator[Part]:
    """Yield the files that a path stands for; name what is passed over there in ``passed``."""
    if str(path) == "-":
        if stated is None:
            raise ValueError("standard input has no name to tell its format by; allowed: a format besides")
        yield Part(STDIN, None, stated, PurePosixPath(STDIN + stated.suffix))
    elif path.is_dir():
        data, beside = files(path)
        passed += map(str, beside)
        for file, found in data:
            within = PurePosixPath(file.relative_to(path).as_posix())
            yield Part(str(file), file, found, within if alone else path.resolve().name / within)
    else:
        if not path.exists():
            raise DataError(str(path), 0, "No such file; allowed: files, folders, and - for standard input")
        known = stated or format_of(path.name)
        if known is None:
            raise DataError(str(path), 0, f"the format {path.suffix or 'without suffix'!r}; allowed: {ALLOWED}")
        yield Part(str(path), path, known, PurePosixPath(path.name))


def _is_file(part: Part, raw: Any) -> bool:
    """Return whether what is open can be read again: pipes and devices have paths, too."""
    return part.path is not None and stat.S_ISREG(os.fstat(raw.fileno()).st_mode)


def _spooled(part: Part, raw: Any) -> IO[bytes]:
    """Return all that ``raw`` has in a temporary file that has no name and ends with this process."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by Source.close
    try:
        buffer = memoryview(bytearray(BUFFER))
        while count := raw.readinto(buffer):
            spool.write(buffer[:count])
        spool.flush()
    except OSError as error:
        spool.close()
        raise OSError(error.errno, f"{part.name} cannot be kept: {error.strerror}", tempfile.gettempdir()) from error
    return spool
