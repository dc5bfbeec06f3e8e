"""Chains that were copied: the same entries under two names count as often as somebody likes."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from guard.evidence.entry import LONGEST, NotAnEntry, parse
from guard.evidence.journals import Chain


class Double(NamedTuple):
    """Two files of two chains that begin with the same entry: no journal writes an entry twice."""

    file: Path
    of: Path
    """The one that was there before it, in the order of the chains."""


def doubles(chains: Iterable[Chain]) -> list[Double]:
    """Return the files of ``chains`` that begin with an entry which a file of another of them begins with, too."""
    seen: dict[str, tuple[int, Path]] = {}
    found = []
    for at, chain in enumerate(chains):
        for path in chain.files:
            hash_ = _first(path)
            if hash_ is None:
                continue
            before, of = seen.setdefault(hash_, (at, path))
            if before != at:
                found.append(Double(path, of))
    return found


def _first(path: Path) -> str | None:
    """Return the hash of a file's first entry; None where it has none, or was moved meanwhile."""
    with suppress(OSError, NotAnEntry), path.open("rb") as file:
        return parse(file.readline(LONGEST)).hash
    return None
