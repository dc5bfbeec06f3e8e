"""``guard usage show``: the active users of now or of a period, by license."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.usage.document import figure_document, period_document
from guard.cli.usage.growth import came, growth_chart
from guard.cli.usage.lines import item, table, wrapped
from guard.cli.usage.source import CONFIG, LEDGER, SPOOL, leftover_of, opened, period_of, source

if TYPE_CHECKING:
    from guard.usage.figure import Figure, Tested


def show(
    ledger: str | None = LEDGER,
    config: Path | None = CONFIG,
    spool: Path | None = SPOOL,
    period: str | None = typer.Option(
        None, help="2026-11, 2026-11-22, or 2026-11-22/30d for the 30 days that end there. Default: those of now."
    ),
    chart: bool = typer.Option(False, "--chart", help="Draw how the month grew, day by day."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show the active users by license: the bounds of the count and what they leave out, limits, and what was counted.

    Without --period it is the current month, and day and rolling windows where they are tracked. The limits follow from
    the configuration; with --ledger and without --config there are none to show.
    """
    from guard.usage.address import shown
    from guard.usage.figure import figures
    from guard.usage.period import Kind, kind_of

    where = source(ledger, config, spool)
    with opened(where) as store:
        calendar = where.calendar(store)
        now = time.time()
        today = calendar.day(now)
        asked = calendar.periods(now).values() if period is None else [period]
        periods = [period_of(calendar, each) for each in asked]
        if chart and kind_of(periods[0].id) is not Kind.MONTH:
            raise typer.BadParameter(f"draws how a month grew; {period} is none", param_hint="--chart")
        leftover = leftover_of(where, store)
        found = {each: figures(store, calendar, each, leftover, where.limits) for each in periods}
        counted = [each for each in found[periods[0]] if chart and each.users]
        drawn = {each: store.growth(each.license, each.period) for each in counted}
    if as_json:
        documents = [
            {**period_document(calendar, each), "licenses": [figure_document(figure) for figure in rows]}
            for each, rows in found.items()
        ]
        typer.echo(json.dumps({"ledger": shown(where.url), "zone": calendar.zone, "periods": documents}))
        return
    for each, rows in found.items():
        for line in _lines(period_document(calendar, each), rows):
            typer.echo(line)
    for figure, growth in drawn.items():
        title = f"{figure.license}, users in {figure.period} up to each day"
        undated = max(0, figure.users - came(growth))
        limits = [tested.limit for tested in figure.tests or ()]
        for line in growth_chart(title, figure.period, growth, today, undated=undated, limits=limits):
            typer.echo(line)


def _lines(period: dict[str, Any], figures: "Sequence[Figure]") -> Iterator[str]:
    where = f"{period['period']} ({period['zone']})"
    if figures:
        yield f"Active users in {where}"
        yield from table(
            ("license", "users", "at least", "at most", "exact"),
            [
                [each.license, f"{each.users:,}", f"{each.lower:,}", f"{each.upper:,}", "yes" if each.exact else "no"]
                for each in figures
            ],
        )
    else:
        yield f"Nobody was counted in {where}."
    for figure in figures:
        notes = [*(f"limit {said(tested)}" for tested in figure.tests or ()), *figure.reasons]
        if notes:
            yield f"{figure.license}:"
        for note in notes:
            yield from item(note)
    yield from wrapped(period["definition"])
    yield f"From {period['start']} to {period['end']}."


def said(tested: "Tested") -> str:
    """Return a limit as people read it: where a past month counts, the live count changes nothing."""
    limit = tested.limit
    whose = f"clause {limit.clause}" if limit.clause else "your own"
    kind = "standing" if limit.standing else "release snapshot"
    return f"{limit.value:,} {tested.state} ({whose}, {kind})"
