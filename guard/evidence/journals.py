"""The files of the audit chains in a directory: the one place that knows their names.

A chain is ``<instance>.000001.jsonl``, ``<instance>.000002.jsonl`` ... (closed) and ``<instance>.jsonl`` (live), read
in this order: numbers and hashes run on from each to the next. Closed files may have been moved away, the oldest first.
A chain that could not be continued is called ``<instance>.damaged-<n>``, with files named in the same way. What has
such a name and is no regular file (a directory, a pipe, a link to nothing) is of no chain: see ``odd``.
"""

import os
import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import BinaryIO, NamedTuple

from guard.evidence.entry import LONGEST

SUFFIX = ".jsonl"
_PIECE = 256 * 1024
_NAME = re.compile(r"(?P<chain>.+?)(?:\.(?P<number>\d{6}|[1-9]\d{6,}))?\.jsonl", re.DOTALL)
_DAMAGED = re.compile(r"\.damaged-\d+\Z")
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Line(NamedTuple):
    """A line of a chain. ``number`` is 1-based in ``file``; ``raw`` ends with the line feed, if the line has one."""

    file: Path
    number: int
    raw: bytes


class Copy(NamedTuple):
    """A file that does not count: every byte of it is in another one, which may go on behind that."""

    file: Path
    of: Path
    whole: bool
    """The two are the same; else ``file`` is what ``of`` was earlier."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The files of one chain that are there, in order: the oldest first and the live one, if it is there, last."""

    name: str
    """The name before the numbers: that of the instance, and ``.damaged-<n>`` where the chain was set aside."""
    files: tuple[Path, ...]
    directory: Path | None = None
    """Where the live file is; None if files were named one by one, which says nothing about others."""
    copies: tuple[Copy, ...] = ()
    """Files in other places that were left out."""

    @property
    def instance(self) -> str:
        """Whose chain it is, as its entries say."""
        return _DAMAGED.sub("", self.name)

    def opened(self, after: int = 0) -> Generator[tuple[Path, BinaryIO], None, None]:
        """Yield every file behind number ``after``, open for reading until the next one is asked for. Raises OSError.

        A live file that gets its number meanwhile is yielded under that, and what followed it behind it: so nothing is
        left out that was there when this began.
        """
        last = max((number_of(path) or 0 for path in self.files), default=after)
        for path in self.files:
            number = number_of(path)
            if self.directory is None if number is None else number > after:
                with path.open("rb") as file:
                    yield path, file
        if self.directory is None:
            return
        live = live_path(self.directory, self.name)
        while True:
            with ExitStack() as closing:
                newest: BinaryIO | None = None
                with suppress(FileNotFoundError):  # moved away, or between two names
                    newest = closing.enter_context(live.open("rb"))
                # A file gets its number before another one takes its place: no new number, so this is the live file.
                closed = self._closed_after(last)
                if closed is None:
                    if newest is not None:
                        yield live, newest
                    return
                last = number_of(closed) or last
                yield closed, closing.enter_context(closed.open("rb"))

    def lines(self) -> Iterator[Line]:
        """Yield every line in order, unverified, as ``lines_of`` does. Raises OSError."""
        for path, file in self.opened():
            for number, raw in enumerate(lines_of(file), 1):
                yield Line(path, number, raw)

    def _closed_after(self, last: int) -> Path | None:
        """Return the first closed file behind number ``last``."""
        assert self.directory is not None
        found = [path for path in self.directory.glob(f"{escape(self.name)}.*{SUFFIX}") if chain_of(path) == self.name]
        behind = (path for path in found if (number_of(path) or 0) > last and path.is_file())
        return min(behind, key=_order, default=None)


def journals(*places: Path) -> list[Chain]:
    """Return the chains in ``places``, directories or single files, by name; none where there are none.

    A chain whose files are spread over several places is one. A file that is in several of them counts once, and of one
    that has grown since it was copied the longer counts; those that differ stand beside each other.
    """
    found: dict[str, list[Path]] = {}
    inside: set[Path] = set()
    for place in places:
        for path in [place] if place.is_file() else _named_in(place):
            if not path.is_file():
                continue
            files = found.setdefault(chain_of(path), [])
            if path not in files:
                files.append(path)
            if path is not place:
                inside.add(path)
    chains = []
    for name in sorted(found):
        files = sorted(found[name], key=_order)
        copies = _copies(files)
        left = {copy.file for copy in copies}
        files = [path for path in files if path not in left]
        live = next((path for path in files if path in inside and number_of(path) is None), None)
        chains.append(Chain(name, tuple(files), live and live.parent, tuple(copies)))
    return chains


def odd(*places: Path) -> list[Path]:
    """Return what is named as a file of a chain in ``places`` and is no regular file: nobody reads it."""
    found = {path: None for place in places if not place.is_file() for path in _named_in(place) if not path.is_file()}
    return list(found)


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield every line; an unfinished one has no line feed. Of one that is too long only LONGEST bytes and one more."""
    while raw := file.readline(LONGEST + 1):
        yield raw
        while len(raw) > LONGEST and not raw.endswith(b"\n"):
            raw = file.readline(LONGEST + 1)


def begins(file: Path, other: Path) -> bool:
    """Return whether ``other`` is, or begins with, what is in ``file`` now. Raises OSError."""
    with file.open("rb") as first, other.open("rb") as second:
        if os.path.samestat(os.fstat(first.fileno()), os.fstat(second.fileno())):
            return True
        left = os.fstat(first.fileno()).st_size
        if left > os.fstat(second.fileno()).st_size:
            return False
        while left > 0:
            piece = first.read(min(left, _PIECE))
            if not piece or second.read(len(piece)) != piece:
                return False
            left -= len(piece)
    return True


def chain_of(path: Path) -> str:
    """Return the name of the chain that a file is of; a file of any other name is of one by itself."""
    match = _NAME.fullmatch(path.name)
    return path.name if match is None else match["chain"]


def number_of(path: Path) -> int | None:
    """Return the number of a closed file; None of a live one."""
    match = _NAME.fullmatch(path.name)
    return int(match["number"]) if match is not None and match["number"] is not None else None


def live_path(directory: Path, name: str) -> Path:
    """Return the file that entries of the chain ``name`` are appended to."""
    return directory / f"{name}{SUFFIX}"


def closed_path(directory: Path, name: str, number: int) -> Path:
    """Return the closed file ``number`` (from 1 on) of the chain ``name``."""
    return directory / f"{name}.{number:06}{SUFFIX}"


def fit(instance: str) -> bool:
    """Return whether ``instance`` can name a chain: a plain name that is not one of a closed or damaged file."""
    plain = _INSTANCE.fullmatch(instance) is not None and _DAMAGED.search(instance) is None
    return plain and number_of(Path(f"{instance}{SUFFIX}")) is None


def _order(path: Path) -> float:
    number = number_of(path)
    return float("inf") if number is None else number


def _named_in(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"*{SUFFIX}"))


def _copies(files: list[Path]) -> list[Copy]:
    """Return those files of a chain that are wholly in one of another directory, be it under a number by now."""
    copies: dict[Path, Copy] = {}
    if len({path.parent for path in files}) < 2:
        return []
    for at, path in enumerate(files):
        for after, other in enumerate(files):
            number = number_of(path)
            if path.parent == other.parent or other in copies or number not in (None, number_of(other)):
                continue
            with suppress(OSError):  # moved meanwhile
                mine, its = path.stat().st_size, other.stat().st_size
                if number != number_of(other) and not mine:
                    continue  # an empty live file is the beginning of anything
                if (mine < its or (mine == its and at > after)) and begins(path, other):
                    copies[path] = Copy(path, other, mine == its)
                    break
    return list(copies.values())
