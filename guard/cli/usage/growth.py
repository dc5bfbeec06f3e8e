"""How a month of a license grew, drawn for a terminal."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guard.usage.ledger import Growth
    from guard.usage.thresholds import Limit

NARROWEST, WIDEST = 40, 100


def days_in(month: str) -> list[str]:
    """Return the days of ``month``, in order."""
    from calendar import monthrange

    return [f"{month}-{day:02d}" for day in range(1, monthrange(int(month[:4]), int(month[5:]))[1] + 1)]


def growth_chart(
    title: str,
    month: str,
    growth: "Sequence[Growth]",
    today: str,
    *,
    undated: int,
    limits: "Sequence[Limit]",
    band: Sequence[tuple[int, int]] = (),
) -> Iterator[str]:
    """Yield the chart of a month's count up to ``today``, with ``limits``, and the ``band`` of the days after it.

    ``undated`` users are there from the first day: nobody knows when they came.
    """
    from guard.cli.chart import chart
    from guard.usage.outlook.ahead import came

    days, by_day = days_in(month), {each.day: came([each]) for each in growth}
    counts = list(accumulate((by_day.get(day, 0) for day in days if day <= today), initial=undated))[1:]
    lines = [(f"{limit.license} {limit.id}", limit.value) for limit in limits]
    width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    yield title
    yield chart(days, counts, limits=lines, band=band or None, width=width, ascii_only=plain)
    if undated:
        yield f"{undated:,} of them are there from the first day: merged, declared or in the spool, they have none"
