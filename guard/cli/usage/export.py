"""``guard usage export``: a period's users in a file that another ledger takes."""

import json
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from guard.cli.usage.output import EX_CANTCREAT, whole_file
from guard.cli.usage.progress import progress
from guard.cli.usage.source import CONFIG, LEDGER, SPOOL, leftover_of, opened, period_of, source
from guard.cli.usage.words import counted

if TYPE_CHECKING:
    from guard.usage.ledger import Ledger
    from guard.usage.period import Period

EX_DATA = 65


def export(
    period: str = typer.Option(help="2026-11; or a day such as 2026-11-22, where days are tracked."),
    out: Path = typer.Option(help="The file to write; one that is there is replaced when the new one is whole."),
    license_: list[str] = typer.Option(
        [], "--license", metavar="LICENSE", help="Only the users of this license. May be repeated. Default: all."
    ),
    source_: str = typer.Option(
        "",
        "--source",
        metavar="NAME",
        help="What this gateway is called where the file goes. Default: the host's name.",
    ),
    ledger: str | None = LEDGER,
    config: Path | None = CONFIG,
    spool: Path | None = SPOOL,
    as_json: bool = typer.Option(False, "--json", help="Print what was written as JSON."),
) -> None:
    """Write the users of a period to a file, for `guard usage import` at a ledger with the same pseudonym key.

    The file holds pseudonyms and no names; its mode is 0600. Ends with 65 where the ledger does not know who its users
    are (it estimates, or the month is longer ago than `usage.keep`).
    """
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from guard.usage.figure import figures
    from guard.usage.interchange import InterchangeError, write_users

    where = source(ledger, config, spool)
    with opened(where) as store:
        calendar = where.calendar(store)
        asked = period_of(calendar, period)
        licenses = _licenses(store, asked, license_)
        users = sum(totals.users for name, totals in store.totals(asked.id).items() if name in licenses)
        leftover = leftover_of(where, store)
        late = {each.license: each.in_spool for each in figures(store, calendar, asked, leftover, None)}
        try:
            with whole_file(out) as file, progress("writing", users) as told:
                now = datetime.fromtimestamp(time.time(), ZoneInfo(calendar.zone))
                head = write_users(
                    file, store, asked.id, licenses, source=source_.strip() or socket.gethostname(),
                    made=now.isoformat(timespec="seconds"), progress=told,
                )  # fmt: skip
        except InterchangeError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(EX_DATA) from error
        except OSError as error:
            print(f"{out}: {error.strerror or error}", file=sys.stderr)
            raise typer.Exit(EX_CANTCREAT) from error
    if as_json:
        shares = [{"license": each.license, "users": each.users, "unidentified_requests": dict(each.unidentified),
                   "in_spool": late.get(each.license, 0)}
                  for each in head.shares]  # fmt: skip
        typer.echo(json.dumps({"file": str(out), "period": head.period, "zone": head.zone, "key": head.key,
                               "source": head.source, "made": head.made, "licenses": shares}))  # fmt: skip
        return
    for each in head.shares:
        unnamed = sum(each.unidentified.values())
        also = f", and {counted(unnamed, 'request')} that named nobody" if unnamed else ""
        typer.echo(f"{out}: {counted(each.users, 'user')} of {each.license} in {head.period}{also}")
        if waiting := late.get(each.license, 0):
            typer.echo(f"In the spool, and not in the file: {counted(waiting, 'user')} of {each.license}", err=True)


def _licenses(ledger: "Ledger", period: "Period", asked: Sequence[str]) -> list[str]:
    """Return the licenses to export. Leaves with 64 for one that nobody was counted under, 65 without any."""
    from guard.policy.document import nearest

    known = sorted(ledger.totals(period.id))
    if not known:
        print(f"{period.id}: the ledger has counted nobody in it", file=sys.stderr)
        raise typer.Exit(EX_DATA)
    for name in asked:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean '{near}'?" if near else f"allowed: {', '.join(known)}"
            raise typer.BadParameter(
                f"nobody was counted under '{name}' in {period.id}; {hint}", param_hint="--license"
            )
    return list(dict.fromkeys(asked)) or known
