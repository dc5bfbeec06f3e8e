"""``guard usage show``: the active users of now or of a period, by license."""

import json
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import typer

from guard.cli.usage.document import figure_document, period_document
from guard.cli.usage.grounds import grounds
from guard.cli.usage.growth import growth_chart
from guard.cli.usage.lines import AS_PEOPLE, counts_table, item, wrapped
from guard.cli.usage.source import CONFIG, LEDGER, SPOOL, leftover_of, opened, period_of, source


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
    from guard.usage.outlook.ahead import came
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
        begun = [each for each in periods if each.start <= now]
        found = {each: figures(store, calendar, each, leftover, where.limits) for each in begun}
        counted = [each for each in found.get(periods[0], ()) if chart and each.users]
        drawn = {each: store.growth(each.license, each.period) for each in counted}
    attested = grounds(where, where.limits or (), date.fromisoformat(today), by_clock=True)
    documents = [
        {
            **period_document(calendar, each),
            "begun": each in found,
            "licenses": [
                figure_document(figure, where.reading(figure.license), attested) for figure in found.get(each, ())
            ],
        }
        for each in periods
    ]
    if as_json:
        typer.echo(json.dumps({"ledger": shown(where.url), "zone": calendar.zone, "periods": documents}))
        return
    for document in documents:
        for line in _lines(document):
            typer.echo(line)
    for figure, growth in drawn.items():
        title = f"{figure.license}, users in {figure.period} up to each day"
        undated = max(0, figure.users - came(growth))
        limits = [tested.limit for tested in figure.tests or ()]
        for line in growth_chart(title, figure.period, growth, today, undated=undated, limits=limits):
            typer.echo(line)


def _lines(period: dict[str, Any]) -> Iterator[str]:
    where, rows = f"{period['period']} ({period['zone']})", period["licenses"]
    if not period["begun"]:
        yield f"{where} has not begun."
        return
    uncounted = [each for each in rows if not each["counted"]]
    if uncounted:
        yield from wrapped(f"Not counted in {where}: {uncounted[0]['reasons'][0]}.")
        rows = [each for each in rows if each["counted"] or each["declared"]]
    elif rows:
        yield f"Active users in {where}"
    else:
        yield f"Nobody was counted in {where}."
    yield from counts_table(rows)
    for each in rows:
        notes = [*map(said, each["limits"] or ()), *each["reasons"]]
        if each["measured"]["exact"] and not each["exact"]:
            notes.append(f"measured here: {each['users']:,}, exactly")
        if notes:
            yield f"{each['license']}:"
        for note in notes:
            yield from item(note)
    yield from wrapped(period["definition"])
    for each in rows:
        if each["reading"] == "people":
            yield from wrapped(f"{each['license']} (usage.readings): {AS_PEOPLE}")
    yield f"From {period['start']} to {period['end']}."


def said(limit: dict[str, Any]) -> str:
    """Return a limit as people read it: where a past month counts, the live count changes nothing."""
    whose = f"clause {limit['clause']}" if limit["clause"] else "your own"
    left_out = f"; {', '.join(limit['not_included'])} not included" if limit["not_included"] else ""
    at = f"{limit['held_against']:,}{left_out}"
    if limit["standing"]:
        return f"limit {limit['value']:,} {limit['state']} at {at} ({whose}, standing)"
    ground = f"attestation: {limit['attestation']}; " if limit["attestation"] else ""
    return (
        f"limit {limit['value']:,} not tested by this count ({whose}, release snapshot); {ground}as an early warning: "
        f"{at}"
    )
