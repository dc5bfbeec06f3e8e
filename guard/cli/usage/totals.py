"""Other gateways' totals as stated numbers: of files whose users cannot be merged."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.usage.source import Source
from guard.cli.usage.stating import EX_DATA, keep

if TYPE_CHECKING:
    from guard.usage.interchange import Head
    from guard.usage.ledger import Ledger
    from guard.usage.period import Calendar


def declare_totals(
    where: Source, ledger: "Ledger", files: "Sequence[tuple[Path, Head]]", calendar: "Calendar", now: float,
    owner: str, part: str, stated: str | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Declare the totals of ``files``; leaves with 65 for one that can be merged, as then nobody counts twice."""
    from guard.usage.declaration import Declaration, Part
    from guard.usage.period import Calendar

    today = calendar.day(now)
    declarations: list[Declaration] = []
    for path, head in files:
        if _mergeable(where, head, ledger, calendar, today):
            print(
                f"{path}: its users can be merged, and then nobody counts twice; allowed: it without --as-declared",
                file=sys.stderr,
            )
            raise typer.Exit(EX_DATA)
        declarations += [
            Declaration(
                share.license, head.period, head.source, Part(part), share.users, sum(share.unidentified.values()),
                owner, stated or head.made[:10],
            )
            for share in head.shares
            if share.users or any(share.unidentified.values())
        ]  # fmt: skip
    zones = {calendar.zone, *(head.zone for _, head in files)}
    latest, zone = max((Calendar(zone).day(now), zone) for zone in sorted(zones))  # a file is dated in its own zone
    return keep(where, ledger, declarations, latest, zone)


def _mergeable(where: Source, head: "Head", ledger: "Ledger", calendar: "Calendar", today: str) -> bool:
    """Return True if a file with ``head`` is under the key of ``ledger`` and fits it."""
    from guard.usage.interchange import InterchangeError, fit
    from guard.usage.period import month_of

    month = month_of(head.period)
    key = ledger.key_of(month) or where.key_of(month)
    try:
        fit(head, ledger, calendar, today, key)
    except InterchangeError:
        return False
    return key is not None
