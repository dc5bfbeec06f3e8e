"""``guard usage import``: users of other gateways, and numbers that people state."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import typer

from guard.cli.policy.unknown import known_license
from guard.cli.usage.document import declaration_document
from guard.cli.usage.progress import progress
from guard.cli.usage.source import CONFIG, LEDGER, Source, opened, period_of, source

if TYPE_CHECKING:
    from guard.usage.declaration import Declaration
    from guard.usage.interchange import Head
    from guard.usage.ledger import Ledger
    from guard.usage.period import Calendar

EX_DATA = 65


def import_users(
    files: list[Path] | None = typer.Argument(None, metavar="[FILE]...", help="What `guard usage export` wrote."),
    as_declared: bool = typer.Option(
        False, "--as-declared", help="Take the files' totals as stated numbers: for gateways under another key."
    ),
    declared: int | None = typer.Option(
        None, min=0, help="Without a file: users that someone states. 0 withdraws the number of that source."
    ),
    license_: str | None = typer.Option(None, "--license", metavar="LICENSE", help="Whose users are stated."),
    period: str | None = typer.Option(None, help="The month, day or window that the number is of (2026-11)."),
    source_: str | None = typer.Option(None, "--source", metavar="NAME", help="What was counted: 'mobile app'."),
    owner: str | None = typer.Option(None, help="Who answers for the number."),
    part: Literal["product", "affiliate"] = typer.Option(
        "product", help="Whose users they are: of a product of the licensee, or of an affiliate."
    ),
    stated: str | None = typer.Option(None, metavar="DAY", help="The day it was stated. Default: today."),
    ledger: str | None = LEDGER,
    config: Path | None = CONFIG,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Merge other gateways' users into the ledger, nobody counted twice; or keep a number that someone states.

    All files are read to their ends before anything is written; one that is damaged, foreign, or of another zone or key
    ends the command with 65. The same file again adds nothing. Guard may run meanwhile.
    """
    options = {"--license": license_, "--source": source_, "--period": period}
    where = source(ledger, config)
    if declared is not None:
        if files or as_declared:
            raise typer.BadParameter("states a number; allowed: no files beside it", param_hint="--declared")
        for name, value in {**options, "--owner": owner}.items():
            if value is None:
                raise typer.BadParameter("is missing beside --declared", param_hint=name)
        results = _declare(where, declared, license_ or "", period or "", source_ or "", owner or "", part, stated)
    elif not files:
        raise typer.BadParameter("name a file, or state a number with --declared", param_hint="[FILE]...")
    else:
        for name, value in options.items():
            if value is not None:
                raise typer.BadParameter("belongs to --declared; a file says it itself", param_hint=name)
        if not as_declared and (owner is not None or stated is not None):
            name = "--owner" if owner is not None else "--stated"
            raise typer.BadParameter("belongs to --declared and --as-declared", param_hint=name)
        if as_declared and not (owner or "").strip():
            raise typer.BadParameter(
                "is missing beside --as-declared: who answers for the number", param_hint="--owner"
            )
        results = _take(where, files, owner if as_declared else None, part, stated)
    if as_json:
        typer.echo(json.dumps(results))
    else:
        for result in results:
            typer.echo(_line(result))


def _take(
    where: Source, files: Sequence[Path], owner: str | None, part: str, stated: str | None
) -> list[dict[str, Any]]:
    """Merge ``files``, or with an ``owner`` declare their totals; nothing is written before all of them are checked."""
    from guard.usage.interchange import fit
    from guard.usage.period import month_of

    day = _day(stated)
    with ExitStack() as closing:
        taken: list[tuple[Path, BinaryIO, Head]] = []
        for path in files:
            with _about(path):
                opened_file = closing.enter_context(path.open("rb"))
                taken.append((path, opened_file, _checked(opened_file, path)))
        store = closing.enter_context(opened(where, read_only=False))
        if owner is not None:
            return [_declared(store, each) for _, _, head in taken for each in _totals(head, owner, part, day)]
        calendar = where.calendar(store, taken[0][2].zone)
        today, keys = calendar.day(time.time()), dict[str, str | None]()
        for path, _, head in taken:
            month = month_of(head.period)
            with _about(path):
                fit(head, store, calendar, today, keys.setdefault(month, store.key_of(month) or where.key_of(month)))
            keys[month] = head.key
        results = []
        for path, file, head in taken:
            with _about(path):
                results += _merged(path, file, head, store, calendar, today)
        return results


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """End the command with 65 for what is wrong with the file ``path``."""
    from guard.usage.interchange import InterchangeError

    try:
        yield
    except InterchangeError as error:
        print(f"{path}: {error}", file=sys.stderr)
        raise typer.Exit(EX_DATA) from error
    except OSError as error:
        print(f"{path}: {error.strerror or error}", file=sys.stderr)
        raise typer.Exit(EX_DATA) from error


def _checked(file: BinaryIO, path: Path) -> "Head":
    from guard.usage.interchange import check

    with progress(f"checking {path.name}", path.stat().st_size // 8) as told:
        return check(file, told)


def _merged(
    path: Path, file: BinaryIO, head: "Head", ledger: "Ledger", calendar: "Calendar", today: str
) -> list[dict[str, Any]]:
    from guard.usage.interchange import merge

    with progress(f"merging {path.name}", head.users) as told:
        done = merge(file, head, ledger, calendar, today, told)
    return [{"file": str(path), "source": head.source, "period": head.period, **each._asdict()} for each in done]


def _totals(head: "Head", owner: str, part: str, stated: str | None) -> "list[Declaration]":
    from guard.usage.declaration import Declaration, Part

    return [
        Declaration(
            share.license, head.period, head.source, Part(part), share.users, sum(share.unidentified.values()), owner,
            stated or head.made[:10],
        )
        for share in head.shares
    ]  # fmt: skip


def _declare(
    where: Source, users: int, license_: str, period: str, source_: str, owner: str, part: str, stated: str | None
) -> list[dict[str, Any]]:
    from guard.usage.declaration import Declaration, Part

    known_license(license_, where.packs, "--license")
    for name, text in {"--source": source_, "--owner": owner}.items():
        if not text.strip() or not text.isprintable():
            raise typer.BadParameter(f"{text!r}; allowed: one line of text", param_hint=name)
    day = _day(stated)
    with opened(where, read_only=False) as store:
        calendar = where.calendar(store)
        asked = period_of(calendar, period).id
        return [
            _declared(store, Declaration(license_, asked, source_.strip(), Part(part), users, 0, owner.strip(),
                                         day or calendar.day(time.time())))
        ]  # fmt: skip


def _declared(ledger: "Ledger", declaration: "Declaration") -> dict[str, Any]:
    ledger.declare(declaration)
    return {"declared": declaration_document(declaration)}


def _day(text: str | None) -> str | None:
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError:
        raise typer.BadParameter(f"{text!r}; allowed: YYYY-MM-DD such as 2026-11-22", param_hint="--stated") from None


def _line(result: dict[str, Any]) -> str:
    if (each := result.get("declared")) is not None:
        what = f"{each['users']:,} users of {each['source']} ({each['part']})" if each["users"] else (
            f"no users of {each['source']} any more")  # fmt: skip
        return f"{each['license']} in {each['period']}: {what}, stated by {each['owner']} on {each['stated']}"
    new = "" if result["new"] is None else f", {result['new']:,} of them new"
    return (
        f"{result['file']}: {result['read']:,} users of {result['license']} in {result['period']} from "
        f"{result['source']}{new}; the ledger has {result['users']:,}"
    )
