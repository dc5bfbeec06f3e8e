"""What a ledger lets one expect of each limit: a figure's history and uncertainty, put to the forecast."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from guard.usage.declaration import Declaration
from guard.usage.figure import Figure, Tested, figures
from guard.usage.ledger import Growth, Ledger
from guard.usage.outlook.forecast import Forecast, forecast, forecast_windows
from guard.usage.period import Calendar, Kind, kind_of, month_before
from guard.usage.spool import Leftover
from guard.usage.thresholds import Limit

SEED = 0
"""The same ledger gives the same forecast."""
WINDOWS_BACK = 60
"""Days that a forecast of days rests on at most."""


class Outlook(NamedTuple):
    """What is expected of one limit."""

    figure: Figure
    tested: Tested
    forecast: Forecast
    history: Mapping[str, Sequence[Growth]]
    """Of months; empty where the limit looks at days."""

    @property
    def larger(self) -> Declaration | None:
        """The declared product with most users, where each is looked at by itself and this gateway's has fewer."""
        if self.tested.limit.products != "each" or self.tested.upper <= self.figure.measured.upper:
            return None
        return next(each for each in self.figure.declarations if each.users == self.tested.upper)


def current(
    ledger: Ledger,
    calendar: Calendar,
    leftover: Leftover | None,
    limits: Mapping[str, Sequence[Limit]] | None,
    now: float,
) -> Iterator[Figure]:
    """Yield the figures of the month and, where limits look at days, of the day. Raises LedgerUnavailable."""
    periods = calendar.periods(now)
    for kind in (Kind.MONTH, Kind.DAY):
        if kind in periods:
            yield from figures(ledger, calendar, calendar.parse(periods[kind]), leftover, limits)


def history(ledger: Ledger, license: str, today: str) -> Mapping[str, Sequence[Growth]]:
    """Return the growth of every month from the first that was counted to this one. Raises LedgerUnavailable."""
    first = min((period for period in ledger.periods() if kind_of(period) is Kind.MONTH), default=today[:7])
    months = [today[:7]]
    while months[-1] > first:
        months.append(month_before(months[-1]))
    return {month: ledger.growth(license, month) for month in reversed(months)}


def came(growth: Sequence[Growth]) -> int:
    """Return how many users the days of ``growth`` brought into the month."""
    return sum(each.new + (each.returning or 0) for each in growth)


def ahead(
    ledger: Ledger, calendar: Calendar, figure: Figure, tested: Tested, months: Mapping[str, Sequence[Growth]],
    now: float,
) -> Outlook:  # fmt: skip
    """Return what is expected of the limit of ``tested``, one of ``figure``, whose license grew as ``months``.

    Raises LedgerUnavailable, and ValueError for a ledger that has days which are yet to come.
    """
    limit, today = tested.limit, calendar.day(now)
    day = calendar.parse(today)
    elapsed = (now - day.start) / (day.end - day.start)
    rng = random.Random(SEED)  # noqa: S311  (a simulation, no secret)
    upper = (
        figure.measured.upper if limit.products == "each" else tested.upper
    )  # another product does not grow this one
    if limit.kind is Kind.MONTH:
        beyond = max(0, upper - came(months[today[:7]]))
        found = forecast(months, today, elapsed, limit.allowed, beyond=beyond, rng=rng)
    else:
        days = [(date.fromisoformat(today) - timedelta(back)).isoformat() for back in range(WINDOWS_BACK, -1, -1)]
        known = set(ledger.periods())
        tracked = {each: ledger.totals(each) for each in days if each in known}
        totals = {each: found[figure.license].users if figure.license in found else 0
                  for each, found in tracked.items()}  # fmt: skip
        found = forecast_windows(
            totals, today, elapsed, limit.allowed, kind=limit.kind,
            beyond=max(0, upper - totals.get(today, 0)), rng=rng,
        )  # fmt: skip
    return Outlook(figure, tested, found, months if limit.kind is Kind.MONTH else {})
