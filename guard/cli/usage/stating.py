"""Numbers that people state: what speaks against one, and keeping it with a trail."""

import sys
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.usage.document import declaration_document
from guard.cli.usage.source import Source
from guard.cli.usage.trail import Deed, leave_trail
from guard.cli.usage.words import counted

if TYPE_CHECKING:
    from guard.usage.declaration import Declaration
    from guard.usage.ledger import Ledger

EX_DATA = 65


def day_stated(text: str | None) -> str | None:
    """Return the day in ``--stated``. Raises typer.BadParameter."""
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError:
        raise typer.BadParameter(f"{text!r}; allowed: YYYY-MM-DD such as 2026-11-22", param_hint="--stated") from None


def keep(
    where: Source, ledger: "Ledger", declarations: "Sequence[Declaration]", today: str, zone: str
) -> list[dict[str, Any]]:
    """Keep ``declarations`` in ``ledger``, after an entry for each in the audit chain. Returns them as JSON.

    ``today`` is the day in ``zone``. Leaves with 65, and nothing kept, if one of them is of a time to come or of a
    gateway whose users are merged, or withdraws what nobody stated; with 73 if they cannot be put on record.
    """
    from guard.usage.address import shown

    found = [(each, replaced(ledger, each)) for each in declarations]
    for each, before in found:
        if (problem := _problem(each, before, today, zone)) is not None:
            print(problem, file=sys.stderr)
            raise typer.Exit(EX_DATA)
    rows = [
        {"declared": declaration_document(each), "replaced": before and declaration_document(before)}
        for each, before in found
    ]
    leave_trail(where, [Deed("usage_declared", {"ledger": shown(where.url), **row}) for row in rows])
    for each in declarations:
        ledger.declare(each)
    return rows


def replaced(ledger: "Ledger", declaration: "Declaration") -> "Declaration | None":
    """Return what ``declaration`` takes the place of."""
    return next(
        (each for each in ledger.declarations(declaration.period)
         if (each.license, each.source) == (declaration.license, declaration.source)), None,
    )  # fmt: skip


def said(row: dict[str, Any]) -> str:
    """Return a line about a number that was kept, and what it takes the place of."""
    each, before = row["declared"], row["replaced"]
    what = f"{counted(each['users'], 'user')} of" if each["users"] else "no users any more of"
    line = f"{each['license']} in {each['period']}: {what} {_stated(each)}"
    if before is None:
        return line
    return f"{line}; before: {counted(before['users'], 'user') if before['users'] else 'none'} of {_stated(before)}"


def _stated(each: dict[str, Any]) -> str:
    return f"{each['source']} ({each['part']}), stated by {each['owner']} on {each['stated']}"


def _problem(each: "Declaration", before: "Declaration | None", today: str, zone: str) -> str | None:
    from guard.usage.declaration import Part
    from guard.usage.interchange import begun

    if not begun(each.period, today):
        return f"{each.period} has not begun: it is {today} in zone {zone}"
    if each.stated > today:
        return f"stated on {each.stated}: it is {today} in zone {zone}; allowed: a day up to today"
    if before is not None and before.part is Part.GATEWAY:
        return (
            f"the users of {each.source} were merged into {each.period}, and are in the count; allowed: another source"
        )
    if before is None and not each.users and not each.unidentified:
        return f"{each.license} in {each.period}: nothing was stated of '{each.source}', which could be withdrawn"
    return None
