"""How long the index keeps a month, and what is done to one it keeps no longer: its key goes first, then its segments.

Without the month's key nothing can be tested against its segments, wherever they were copied: that is what shreds them.
Any number of processes may do this at once; each reports the segments that it removed itself.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from guard.provenance.layout import SEGMENT_SUFFIX, month_of
from guard.provenance.months import MonthKeys

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class Shredded(NamedTuple):
    """A month that is gone."""

    month: str
    segments: int
    """Removed by this call."""

    def facts(self) -> dict[str, object]:
        """Return the facts of a journal entry of kind ``shredded``."""
        return self._asdict()


def is_month(name: str) -> bool:
    """Return True for a year and a month such as ``2026-11``."""
    return _MONTH.fullmatch(name) is not None


def months_in(directory: Path, keys: MonthKeys) -> list[str]:
    """Return every month that has a key or a directory, oldest first."""
    return sorted({*keys.months(), *(path.name for path in directory.glob("*") if is_month(path.name))})


def expired(months: Iterable[str], keep: int, now: float) -> list[str]:
    """Return those of ``months`` that are over for more than ``keep`` whole months at ``now`` (epoch seconds)."""
    current = _number(month_of(now))
    return [month for month in months if _number(month) < current - keep]


def shred(directory: Path, keys: MonthKeys, month: str) -> Shredded | None:
    """Remove the month's key, then its segments and all beside them; None if nothing was left to remove.

    Raises OSError or MonthKeyError for what cannot be removed; once the key is gone, the rest cannot be read.
    """
    held = month in keys.months()
    keys.shred(month)
    segments = found = 0
    paths: list[Path] = []
    with suppress(FileNotFoundError):  # another process may remove the directory while it is read
        paths = sorted((directory / month).glob("*"))
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue  # another process was faster
        found += 1
        segments += path.name.endswith(SEGMENT_SUFFIX)
    with suppress(FileNotFoundError, NotADirectoryError):
        (directory / month).rmdir()
    return Shredded(month, segments) if held or found else None


def _number(month: str) -> int:
    year, _, of_year = month.partition("-")
    return int(year) * 12 + int(of_year)
