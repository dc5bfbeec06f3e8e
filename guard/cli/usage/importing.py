"""``guard usage import``: users of other gateways, and numbers that people state."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import typer

from guard.cli.policy.unknown import known_license
from guard.cli.usage.document import declaration_document
from guard.cli.usage.progress import progress
from guard.cli.usage.source import CONFIG, LEDGER, Source, opened, period_of, source
from guard.cli.usage.stating import EX_DATA, day_stated, keep, replaced, said
from guard.cli.usage.totals import declare_totals
from guard.cli.usage.trail import Deed, leave_trail
from guard.cli.usage.words import counted

if TYPE_CHECKING:
    from guard.usage.interchange import Head
    from guard.usage.ledger import Ledger
    from guard.usage.period import Calendar


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
    create: bool = typer.Option(False, "--create", help="Make the ledger if there is none."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Merge other gateways' users into the ledger, nobody counted twice; or keep a number that someone states.

    All files are read to their ends before anything is written; one that is damaged, foreign, or of another zone or key
    ends the command with 65. The same file again adds nothing. Guard may run meanwhile. What is merged or stated is put
    into the audit chain first, if there is a configuration.
    """
    options = {"--license": license_, "--source": source_, "--period": period}
    where = source(ledger, config)
    if declared is not None:
        if files or as_declared:
            raise typer.BadParameter("states a number; allowed: no files beside it", param_hint="--declared")
        for name, value in {**options, "--owner": owner}.items():
            if value is None:
                raise typer.BadParameter("is missing beside --declared", param_hint=name)
        number = (declared, license_ or "", period or "", source_ or "", owner or "", part, stated)
        results = _declare(where, *number, create=create)
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
        results = _take(where, files, owner if as_declared else None, part, stated, create=create)
    if as_json:
        typer.echo(json.dumps(results))
    else:
        for result in results:
            typer.echo(_line(result))


def _take(
    where: Source, files: Sequence[Path], owner: str | None, part: str, stated: str | None, *, create: bool
) -> list[dict[str, Any]]:
    """Merge ``files``, or with an ``owner`` declare their totals; nothing is written before all of them are checked."""
    from guard.usage.interchange import fit
    from guard.usage.period import month_of

    day, now = day_stated(stated), time.time()
    with ExitStack() as closing:
        taken: list[tuple[Path, BinaryIO, Head]] = []
        for path in files:
            with _about(path):
                opened_file = closing.enter_context(path.open("rb"))
                taken.append((path, opened_file, _checked(opened_file, path)))
        store = closing.enter_context(opened(where, read_only=False, create=create))
        calendar = where.calendar(store, taken[0][2].zone)
        if owner is not None:
            return declare_totals(
                where, store, [(path, head) for path, _, head in taken], calendar, now, owner, part, day
            )
        today, keys = calendar.day(now), dict[str, str | None]()
        for path, _, head in taken:
            month = month_of(head.period)
            with _about(path):
                fit(head, store, calendar, today, keys.setdefault(month, store.key_of(month) or where.key_of(month)))
            keys[month] = head.key
        deeds = []
        for path, file, head in taken:
            with _about(path):
                deeds.append(_deed(where, path, file, head, store))
        leave_trail(where, deeds)
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


def _deed(where: Source, path: Path, file: BinaryIO, head: "Head", ledger: "Ledger") -> Deed:
    """Return what the audit chain is to say of a file that is about to be merged."""
    from guard.usage.address import shown
    from guard.usage.interchange import seal_of
    from guard.usage.ledger import Scope

    licenses = [
        {"license": share.license, "users": share.users, "unidentified_requests": dict(share.unidentified),
         "users_before": ledger.users(Scope(head.period, share.license))}
        for share in head.shares
    ]  # fmt: skip
    facts = {"ledger": shown(where.url), "file": str(path), "digest": seal_of(file), "source": head.source,
             "period": head.period, "zone": head.zone, "key": head.key, "made": head.made}  # fmt: skip
    return Deed("usage_import", {**facts, "licenses": licenses})


def _merged(
    path: Path, file: BinaryIO, head: "Head", ledger: "Ledger", calendar: "Calendar", today: str
) -> list[dict[str, Any]]:
    from guard.usage.declaration import Part
    from guard.usage.interchange import merge, unidentified

    before = [each for each in (replaced(ledger, one) for one in unidentified(head)) if each is not None]
    stated = [declaration_document(each) for each in before if each.part is not Part.GATEWAY]
    with progress(f"merging {path.name}", head.users) as told:
        done = merge(file, head, ledger, calendar, today, told)
    return [
        {"file": str(path), "source": head.source, "period": head.period, **each._asdict(),
         "replaced": [one for one in stated if one["license"] == each.license]}
        for each in done
    ]  # fmt: skip


def _declare(
    where: Source, users: int, license_: str, period: str, source_: str, owner: str, part: str, stated: str | None,
    *, create: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    from guard.usage.declaration import Declaration, Part

    known_license(license_, where.packs, "--license")
    for name, text in {"--source": source_, "--owner": owner}.items():
        if not text.strip() or not text.isprintable():
            raise typer.BadParameter(f"{text!r}; allowed: one line of text", param_hint=name)
    day = day_stated(stated)
    with opened(where, read_only=False, create=create) as store:
        calendar = where.calendar(store)
        asked, today = period_of(calendar, period).id, calendar.day(time.time())
        number = Declaration(
            license_, asked, source_.strip(), Part(part), users, 0, owner.strip(), day or today,
        )  # fmt: skip
        return keep(where, store, [number], today, calendar.zone)


def _line(result: dict[str, Any]) -> str:
    if "declared" in result:
        return said(result)
    new = "" if result["new"] is None else f", {result['new']:,} of them new"
    line = (
        f"{result['file']}: {counted(result['read'], 'user')} of {result['license']} in {result['period']} from "
        f"{result['source']}{new}; the ledger has {result['users']:,}"
    )
    for each in result["replaced"]:
        line += f"; the {counted(each['users'], 'user')} stated of {each['source']} by {each['owner']} are withdrawn"
    return line
