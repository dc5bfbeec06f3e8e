"""``guard usage forecast``: when the users will pass the limits."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from guard.cli.usage.document import declaration_document, tested_document
from guard.cli.usage.expected import expected_lines
from guard.cli.usage.growth import growth_chart
from guard.cli.usage.progress import progress
from guard.cli.usage.source import CONFIG, LEDGER, SPOOL, leftover_of, opened, source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.usage.outlook.ahead import Outlook

EX_DATA = 65


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
    from guard.usage.outlook.ahead import ahead, current, history

    with opened(where) as store:
        calendar, now = where.calendar(store), time.time()
        today = calendar.day(now)
        found = current(store, calendar, leftover_of(where, store), where.limits, now)
        wanted = [each for each in found if license_ in {None, each.license}]
        outlooks = []
        with progress("looking ahead", sum(len(each.tests or ()) for each in wanted), "limits") as told:
            for figure in wanted:
                months = history(store, figure.license, today) if figure.tests else {}
                for tested in figure.tests or ():
                    try:
                        outlooks.append(ahead(store, calendar, figure, tested, months, now))
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


def _chart(outlook: "Outlook", today: str) -> Iterator[str]:
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
