"""``guard usage``: what the ledger says about active users."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from guard.usage.ledger import Ledger
    from guard.usage.period import Calendar, Period
    from guard.usage.spool import Leftover
    from guard.usage.thresholds import Limit

EX_CONFIG = 78

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def usage() -> None:
    """Show monthly active users."""


@app.command()
def show(
    ledger: str | None = typer.Option(
        None, help="The ledger: sqlite:///absolute/path.db. Default: the configuration's."
    ),
    config: Path | None = typer.Option(None, help="guard.yaml, which names ledger, zone and state directory."),
    spool: Path | None = typer.Option(None, help="The spool directory, if it is elsewhere than beside the ledger."),
    period: str | None = typer.Option(None, help="Calendar month (2026-11). Default: the current one."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show the active users of a period, by license, with bounds, limits and what was counted.

    The limits follow from the configuration; with --ledger and without --config there are none to show.
    """
    from guard.usage.ledger import LedgerError, LedgerUnavailable, open_ledger
    from guard.usage.period import Calendar, CalendarError
    from guard.usage.spool import SpoolError, inspect

    url, zone, directory, limits = _where(ledger, config, spool)
    try:
        store = open_ledger(url, None)
        try:
            calendar = Calendar(store.zone() or zone)
            month = _month(calendar, period)
            leftover = inspect(directory, store.key_fingerprint) if directory.is_dir() else None
            report = _report(store, calendar, month, leftover, directory, limits)
        finally:
            store.close()
    except (LedgerError, LedgerUnavailable, SpoolError, CalendarError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from error
    if as_json:
        print(json.dumps({"ledger": url, **report}))
    else:
        _table(report)


def _where(
    ledger: str | None, config: Path | None, spool: Path | None
) -> tuple[str, str, Path, "dict[str, list[Limit]] | None"]:
    """Return the ledger's URL, the zone if it has none yet, the spool directory, and the limits if they are known."""
    from guard.policy.locations import configuration
    from guard.usage.ledger import LedgerUrlError, parse_url, sqlite_url

    zone, state, limits = "UTC", None, None
    if ledger is None or config is not None:
        config = configuration(config)
    if config is not None:
        from guard.policy.load import load_config
        from guard.policy.locations import shipped_licenses
        from guard.policy.packs import load_packs, shipped_packs
        from guard.policy.snapshot import limits_by_license

        settings = load_config(config)
        own = [Path(name) for name in settings.policies]
        limits = limits_by_license(settings, load_packs([shipped_licenses(), *own]) if own else shipped_packs())
        zone, state = settings.usage.zone, Path(settings.state_dir)
        ledger = ledger or settings.usage.ledger or sqlite_url(state / "ledger.db")
    if ledger is None:
        raise typer.BadParameter("name a ledger (--ledger sqlite:///path.db) or a configuration (--config guard.yaml)")
    if spool is None:
        try:
            spool = (state if state is not None else Path(parse_url(ledger).path).parent) / "spool"
        except LedgerUrlError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(EX_CONFIG) from None
    return ledger, zone, spool, limits


def _month(calendar: "Calendar", text: str | None) -> "Period":
    from guard.usage.period import CalendarError

    try:
        return calendar.parse(text) if text is not None else calendar.period(time.time())
    except CalendarError as error:
        raise typer.BadParameter(str(error)) from error


def _report(
    ledger: "Ledger",
    calendar: "Calendar",
    period: "Period",
    leftover: "Leftover | None",
    directory: Path,
    limits: "dict[str, list[Limit]] | None",
) -> dict[str, Any]:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from guard.usage.ledger import Totals

    totals = ledger.totals(period.id)
    # What reached the ledger after its totals were read is in neither number: the sum can only be too low.
    waiting: dict[str, int] = dict.fromkeys([*totals, *(limits or {})], 0)
    for scope, pseudonyms in (leftover.sightings if leftover else {}).items():
        if scope.period == period.id:
            new = sum(not ledger.contains(scope, user) for user in pseudonyms)
            waiting[scope.license] = waiting.get(scope.license, 0) + new
    licenses = []
    for name, spooled in sorted(waiting.items()):
        users, unidentified = totals.get(name, Totals(0, 0))
        reasons = []
        if unidentified:
            reasons.append(f"{unidentified} answered requests named no user")
        if leftover is None:
            reasons.append(f"no spool at {directory}: users on their way to the ledger are not in the number")
        elif leftover.damaged:
            reasons.append(f"{leftover.damaged} damaged records in the spool, of any period and license")
        licenses.append(
            {
                "license": name,
                "users": users + spooled,
                "bound": "lower" if reasons else "exact",
                "reasons": reasons,
                "unidentified_requests": unidentified,
                "in_spool": spooled,
                "limits": None if limits is None else _limits(limits.get(name, []), users + spooled),
            }
        )
    zone = ZoneInfo(calendar.zone)
    return {
        "period": period.id,
        "zone": calendar.zone,
        "start": datetime.fromtimestamp(period.start, zone).isoformat(),
        "end": datetime.fromtimestamp(period.end, zone).isoformat(),
        "definition": calendar.definition,
        "licenses": licenses,
    }


def _limits(limits: "list[Limit]", users: int) -> list[dict[str, Any]]:
    return [
        {
            "id": limit.id,
            "value": limit.value,
            "state": limit.state(users).value,
            "standing": limit.standing,
            "clause": limit.clause,
        }
        for limit in limits
    ]


def _said(limit: dict[str, Any]) -> str:
    """Return a limit as people read it: where a past month counts, the live count changes nothing."""
    whose = f"clause {limit['clause']}" if limit["clause"] else "your own"
    return f"{limit['value']:,} {limit['state']} ({whose}, {'standing' if limit['standing'] else 'release snapshot'})"


def _table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if report["licenses"]:
        table = Table(title=f"Active users in {report['period']} ({report['zone']})", title_justify="left")
        table.add_column("license")
        table.add_column("users", justify="right")
        table.add_column("bound")
        known = any(row["limits"] is not None for row in report["licenses"])
        if known:
            table.add_column("limits")
        table.add_column("why")
        for row in report["licenses"]:
            sign = "" if row["bound"] == "exact" else "\u2265 "
            limits = ["\n".join(map(_said, row["limits"] or ())) or "none"] if known else []
            table.add_row(row["license"], f"{sign}{row['users']:,}", row["bound"], *limits, "; ".join(row["reasons"]))
        console.print(table)
    else:
        console.print(f"Nobody was counted in {report['period']} ({report['zone']}).")
    console.print(
        f"{report['definition']}\nFrom {report['start']} to {report['end']}.", soft_wrap=True, highlight=False
    )
