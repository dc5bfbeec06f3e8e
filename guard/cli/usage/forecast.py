"""``guard usage forecast``: when the users will pass the limits."""

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from guard.cli.usage.document import declaration_document, tested_document
from guard.cli.usage.expected import expected_lines
from guard.cli.usage.growth import came, growth_chart
from guard.cli.usage.progress import progress
from guard.cli.usage.source import CONFIG, LEDGER, SPOOL, Source, leftover_of, opened, source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guard.usage.declaration import Declaration
    from guard.usage.figure import Figure, Tested
    from guard.usage.ledger import Growth, Ledger
    from guard.usage.outlook.forecast import Forecast
    from guard.usage.period import Calendar

EX_DATA = 65
SEED = 0
"""The same ledger gives the same forecast."""
WINDOWS_BACK = 60
"""Days that a forecast of days rests on at most."""


class Outlook(NamedTuple):
    """What is expected of one limit."""

    figure: "Figure"
    tested: "Tested"
    forecast: "Forecast"
    history: "Mapping[str, Sequence[Growth]]"
    """Of months; empty where the limit looks at days."""

    @property
    def larger(self) -> "Declaration | None":
        """The declared product with most users, where each is looked at by itself and this gateway's has fewer."""
        if self.tested.limit.products != "each" or self.tested.upper <= self.figure.measured.upper:
            return None
        return next(each for each in self.figure.declarations if each.users == self.tested.upper)


def forecast(
    license_: str | None = typer.Option(None, "--license", metavar="LICENSE", help="Only the limits of this license."),
    ledger: str | None = LEDGER,
    config: Path | None = CONFIG,
    spool: Path | None = SPOOL,
    chart: bool = typer.Option(False, "--chart", help="Draw the month and what is expected of its rest."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say when the users of each license are expected to pass its limits, how surely, and what that rests on.

    Where there is too little to say anything, it says what is missing, and from when there may be enough.
    """
    where = source(ledger, config, spool)
    if where.limits is None:
        raise typer.BadParameter("limits follow from a configuration; name one (--config guard.yaml)")
    if license_ is not None and license_ not in where.limits:
        _unknown(license_, where.limits)
    with opened(where) as store:
        calendar, now = where.calendar(store), time.time()
        today = calendar.day(now)
        wanted = [each for each in _figures(where, store, calendar, now) if license_ in {None, each.license}]
        outlooks = []
        with progress("looking ahead", sum(len(each.tests or ()) for each in wanted), "limits") as told:
            for figure in wanted:
                history = _history(store, figure.license, today) if figure.tests else {}
                for tested in figure.tests or ():
                    try:
                        outlooks.append(_outlook(store, calendar, figure, tested, history, now))
                    except ValueError as error:  # a clock that went back: the ledger has days that are yet to come
                        print(f"{figure.license}: {error}", file=sys.stderr)
                        raise typer.Exit(EX_DATA) from error
                    told(1)
    if as_json:
        rows = [{"license": each.figure.license, "limit": tested_document(each.tested, {}),
                 "larger": each.larger and declaration_document(each.larger), "measured": each.figure.users,
                 "forecast": each.forecast.to_dict()} for each in outlooks]  # fmt: skip
        typer.echo(json.dumps({"today": today, "zone": calendar.zone, "limits": rows}))
        return
    for each in outlooks:
        for line in expected_lines(each.figure, each.tested, each.forecast, each.larger):
            typer.echo(line)
        if chart and each.history:
            for line in _chart(each, today):
                typer.echo(line)
    if not outlooks:
        typer.echo(f"{license_ or 'No license here'} has no limit on users: nothing to forecast.")


def _unknown(name: str, limits: "Mapping[str, object]") -> None:
    from guard.policy.document import nearest

    near = nearest(name, limits)
    hint = f"did you mean '{near}'?" if near else f"allowed: {', '.join(sorted(limits))}"
    raise typer.BadParameter(f"no model is configured under '{name}'; {hint}", param_hint="--license")


def _figures(where: Source, ledger: "Ledger", calendar: "Calendar", now: float) -> "Iterator[Figure]":
    """Yield the figures of the month and, where limits look at days, of the day."""
    from guard.usage.figure import figures
    from guard.usage.period import Kind

    leftover, current = leftover_of(where, ledger), calendar.periods(now)
    for kind in (Kind.MONTH, Kind.DAY):
        if kind in current:
            yield from figures(ledger, calendar, calendar.parse(current[kind]), leftover, where.limits)


def _history(ledger: "Ledger", license_: str, today: str) -> "Mapping[str, Sequence[Growth]]":
    """Return the growth of every month from the first that was counted to this one."""
    from guard.usage.period import Kind, kind_of, month_before

    first = min((period for period in ledger.periods() if kind_of(period) is Kind.MONTH), default=today[:7])
    months = [today[:7]]
    while months[-1] > first:
        months.append(month_before(months[-1]))
    return {month: ledger.growth(license_, month) for month in reversed(months)}


def _outlook(
    ledger: "Ledger", calendar: "Calendar", figure: "Figure", tested: "Tested",
    history: "Mapping[str, Sequence[Growth]]", now: float,
) -> Outlook:  # fmt: skip
    from datetime import date, timedelta

    from guard.usage.outlook.forecast import forecast as look_ahead
    from guard.usage.outlook.forecast import forecast_windows
    from guard.usage.period import Kind

    limit, today = tested.limit, calendar.day(now)
    day = calendar.parse(today)
    elapsed = (now - day.start) / (day.end - day.start)
    rng = random.Random(SEED)  # noqa: S311  (a simulation, no secret)
    upper = (
        figure.measured.upper if limit.products == "each" else tested.upper
    )  # another product does not grow this one
    if limit.kind is Kind.MONTH:
        beyond = max(0, upper - came(history[today[:7]]))
        found = look_ahead(history, today, elapsed, limit.allowed, beyond=beyond, rng=rng)
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
    return Outlook(figure, tested, found, history if limit.kind is Kind.MONTH else {})


def _chart(outlook: Outlook, today: str) -> Iterator[str]:
    """Yield the chart of the month against one limit, all that it counts included."""
    found, limit = outlook.forecast, outlook.tested.limit
    return growth_chart(
        f"{limit.license}, users in {found.period} up to each day",
        found.period,
        outlook.history[found.period],
        today,
        undated=found.beyond,
        limits=[limit],
        band=[(expected.low, expected.high) for expected in found.band if expected.day > today],
    )
