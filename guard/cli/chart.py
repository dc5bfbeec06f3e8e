"""A chart of cumulative users by day, in plain text."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

_HEIGHT = 12
"""Rows between the axis and the top."""
_NARROWEST = 40
_STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
"""What the top of the axis is a multiple of, times a power of ten."""


class _Ink(NamedTuple):
    """The characters of a chart, each one column wide everywhere."""

    eighths: str
    """Parts of a cell from empty to full."""
    band: str
    limit: str
    side: str
    corner: str
    floor: str


_UNICODE = _Ink(" ▁▂▃▄▅▆▇█", "░", "─", "│", "└", "─")
_ASCII = _Ink("  ....:##", "-", "=", "|", "+", "-")


def chart(
    days: Sequence[str],
    counts: Sequence[int],
    *,
    limits: Sequence[tuple[str, int]] = (),
    band: Sequence[tuple[int, int]] | None = None,
    width: int = 80,
    ascii_only: bool = False,
) -> str:
    """Return the chart as lines without a trailing line break, none wider than ``width`` (at least 40).

    ``days`` are all days on the axis (ISO dates); ``counts`` the cumulative counts of the first ``len(counts)`` of
    them; ``limits`` are (name, count) lines; ``band`` is (low, high) for the days after those, as many as it has. A
    limit so high that the counts would be flat beside it is not drawn, only named below. Empty without days.
    """
    if not days:
        return ""
    ink = _ASCII if ascii_only else _UNICODE
    ahead = list(band or ())[: len(days) - len(counts)]
    peak = max([*counts, *(high for _, high in ahead), 1])
    drawn = [(name, limit) for name, limit in limits if limit <= 3 * peak]
    top = _top(max([peak, *(limit for _, limit in drawn)]))
    label = len(f"{top:,}")
    room = max(width, _NARROWEST) - label - 2
    per_day = max(room // len(days), 1)
    shown = _kept(len(days), room)
    rows = []
    for row in range(_HEIGHT, 0, -1):
        cells = "".join(_cell(day, row, top, counts, ahead, ink) * per_day for day in shown)
        limit = [name for name, value in drawn if _row(value, top) == row]
        mark = {_HEIGHT: f"{top:,}", _HEIGHT // 2: f"{top // 2:,}" if top % 2 == 0 else ""}.get(row, "")
        line = _ruled(cells, limit, ink, room) if limit else cells.rstrip()
        rows.append(f"{mark:>{label}} {ink.side}{line}".rstrip())
    rows.append(f"{'0':>{label}} {ink.corner}{ink.floor * (len(shown) * per_day)}")
    rows.append(" " * (label + 2) + _axis([days[day] for day in shown], per_day))
    named = [(name, limit, (name, limit) in drawn) for name, limit in limits]
    rows += _legend(named, ahead, ink, max(width, _NARROWEST))
    return "\n".join(rows)


def _top(most: int) -> int:
    """Return a round number of at least ``most``, for the top of the axis."""
    power = 10 ** (len(str(most)) - 1)
    return next((int(step * power) for step in _STEPS if step * power >= most and step * power % 1 == 0), most)


def _row(value: int, top: int) -> int:
    """Return the row (1 is the lowest) that the number lies in."""
    return min(max(-(-value * _HEIGHT // top), 1), _HEIGHT)


def _kept(days: int, room: int) -> Sequence[int]:
    """Return the days that are drawn: all of them, or as many as there are columns, the last one always."""
    if days <= room:
        return range(days)
    return [(column + 1) * days // room - 1 for column in range(room)]


def _cell(day: int, row: int, top: int, counts: Sequence[int], ahead: Sequence[tuple[int, int]], ink: _Ink) -> str:
    if day < len(counts):
        eighths = min(max(round(8 * (counts[day] * _HEIGHT / top - row + 1)), 0), 8)
        if row == 1 and counts[day] > 0:
            eighths = max(eighths, 1)  # a few users are not none
        return ink.eighths[eighths]
    if day < len(counts) + len(ahead):
        low, high = ahead[day - len(counts)]
        return ink.band if _row(low, top) <= row <= _row(high, top) else " "
    return " "


def _ruled(cells: str, names: Iterable[str], ink: _Ink, room: int) -> str:
    """Return the row with a limit's line drawn where it is empty, and the limit's name at its beginning."""
    line = "".join(ink.limit if cell == " " else cell for cell in cells)
    name = f"{ink.limit} {_plain(', '.join(names), ink)} "
    if len(name) <= room and line[: len(name)] == ink.limit * len(name):
        line = name + line[len(name) :]
    return line


def _axis(days: Sequence[str], per_day: int) -> str:
    """Return the days of the month below the columns, about one a week, and never two that touch."""
    line = ""
    for at, day in enumerate(days):
        number = str(int(day[8:10]))
        begin = at * per_day
        if (at == 0 or int(number) in {1, 8, 15, 22, 29}) and begin >= len(line) + bool(line):
            if begin + len(number) > len(days) * per_day:
                break
            line = line.ljust(begin) + number
    return line


def _legend(limits: Sequence[tuple[str, int, bool]], ahead: Sequence[object], ink: _Ink, width: int) -> list[str]:
    lines = [
        f"{ink.limit} {_plain(name, ink)}: {limit:,}{'' if drawn else ', above the chart'}"
        for name, limit, drawn in limits
    ]
    if ahead:
        lines.append(f"{ink.band} forecast")
    return [line if len(line) <= width else line[: width - 3] + "..." for line in lines]


def _plain(name: str, ink: _Ink) -> str:
    """Return a name that the characters of ``ink`` go with, on one line and without control characters."""
    text = "".join(char if char.isprintable() else "?" for char in " ".join(name.split()))
    return text.encode("ascii", "replace").decode() if ink is _ASCII else text
