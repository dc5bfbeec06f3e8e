"""The files of the audit chains in a directory: the one place that knows their names.

A chain is ``<instance>.000001.jsonl``, ``<instance>.000002.jsonl`` ... (closed) and ``<instance>.jsonl`` (live), read
in this order: numbers and hashes run on from each to the next. Closed files may have been moved away, the oldest first.
A chain that could not be continued is called ``<instance>.damaged-<n>``, with files named in the same way.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import BinaryIO, NamedTuple

SUFFIX = ".jsonl"
_NAME = re.compile(r"(?P<chain>.+?)(?:\.(?P<number>\d{6}|[1-9]\d{6,}))?\.jsonl", re.DOTALL)
_DAMAGED = re.compile(r"\.damaged-\d+\Z")
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Line(NamedTuple):
    """A line of a chain. ``number`` is 1-based in ``file``; ``raw`` ends with the line feed, if the line has one."""

    file: Path
    number: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Chain:
    """The files of one chain that are there, in order: the oldest first and the live one, if it is there, last."""

    name: str
    """The name before the numbers: that of the instance, and ``.damaged-<n>`` where the chain was set aside."""
    files: tuple[Path, ...]
    directory: Path | None = None
    """Where the live file is; None if files were named one by one, which says nothing about others."""

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
        """Yield every line in order, unverified; an unfinished one has no line feed. Raises OSError."""
        for path, file in self.opened():
            for number, raw in enumerate(file, 1):
                yield Line(path, number, raw)

    def _closed_after(self, last: int) -> Path | None:
        """Return the first closed file behind number ``last``."""
        assert self.directory is not None
        found = [path for path in self.directory.glob(f"{escape(self.name)}.*{SUFFIX}") if chain_of(path) == self.name]
        return min((path for path in found if (number_of(path) or 0) > last), key=_order, default=None)


def journals(*places: Path) -> list[Chain]:
    """Return the chains in ``places``, directories or single files, by name; none where there are none.

    A chain whose files are spread over several places is one; files of one number stand beside each other.
    """
    found: dict[str, list[Path]] = {}
    followed: dict[str, Path] = {}
    for place in places:
        inside = not place.is_file()
        for path in sorted(place.glob(f"*{SUFFIX}")) if inside else [place]:
            name = chain_of(path)
            files = found.setdefault(name, [])
            if path not in files:
                files.append(path)
            if inside and number_of(path) is None:
                followed.setdefault(name, place)
    return [Chain(name, tuple(sorted(found[name], key=_order)), followed.get(name)) for name in sorted(found)]


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
