"""``guard report``: everything that Guard has of one month, for whoever answers for the licenses."""

import json
import re
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from guard.cli.report.gathering import State
    from guard.cli.usage.source import Source

NEGATIVE, EX_DATA, EX_CANTCREAT, EX_CONFIG = 1, 65, 73, 78
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def report(
    month: str = typer.Option(metavar="YYYY-MM", help="The month."),
    out: Path = typer.Option(metavar="DIR", help="The directory to write to; it is made if it is not there."),
    config: Path | None = typer.Option(
        None, help="guard.yaml, which names models, ledger and state directory. Default: $GUARD_CONFIG or ./guard.yaml."
    ),
    state: list[Path] = typer.Option(
        [], metavar="DIR", help="A gateway's state directory, instead of the configuration's; once for each gateway."
    ),
    archive: list[str] = typer.Option(
        [],
        metavar="DIR",
        help="A directory that closed journals were moved to; may be repeated. With several --state it is N=DIR: of "
        "the gateway whose --state is the Nth.",
    ),
    at: str | None = typer.Option(
        None,
        metavar="DAY",
        help="The day on which attestations and statements are to be in force, none to come. "
        "Default: as `guard usage report` says.",
    ),
    pdf: bool = typer.Option(False, "--pdf", help="Print the page to a PDF too, by an installed Chromium."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Write the month's evidence as guard-report-YYYY-MM.html and .json: what was counted, decided and not visible.

    The same inputs give the same bytes, whenever it is made. Ends with 1 if the audit chain does not verify, gateways
    ran for a part of the month only, or something else that must be known is not: the report is written all the same,
    and says so on its first page. With 65 for
    a month that has not begun or journals that cannot be read, 73 for what cannot be written, 78 for a configuration,
    ledger or state directory that cannot be used.
    """  # fmt: skip
    from guard.cli.report.gathering import gathered
    from guard.cli.report.pdf import NoBrowser, browser, print_page
    from guard.cli.usage.output import whole_file
    from guard.cli.usage.source import source
    from guard.evidence.report.document import sealed
    from guard.evidence.report.page import page

    if not _MONTH.fullmatch(month):
        raise typer.BadParameter(f"'{month}'; allowed: a year and a month such as 2026-11", param_hint="--month")
    asked = _day(at)
    try:
        program = browser() if pdf else None
    except NoBrowser as error:
        _leave(EX_CANTCREAT, str(error))
    where = source(None, config)
    found = sealed(gathered(where, _states(state, archive, where), month, asked, time.time()))
    names = {suffix: out / f"guard-report-{month}.{suffix}" for suffix in ("html", "json", "pdf")}
    texts = {"json": json.dumps(found, ensure_ascii=False, indent=2) + "\n", "html": page(found)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            with whole_file(names[suffix]) as file:
                file.write(text.encode())
        if program is not None:
            print_page(names["html"], names["pdf"], program)
    except NoBrowser as error:
        _leave(EX_CANTCREAT, str(error))
    except OSError as error:
        _leave(EX_CANTCREAT, f"{error.filename or out}: {error.strerror or error}")
    written = [str(names[suffix]) for suffix in (*texts, *(["pdf"] if program is not None else []))]
    _told(found, written, as_json=as_json)
    raise typer.Exit(NEGATIVE if found["summary"]["must_be_known"] else 0)


def _told(found: dict[str, Any], written: list[str], *, as_json: bool) -> None:
    from guard.evidence.report.verdicts import WORDS

    summary = found["summary"]
    if as_json:
        typer.echo(json.dumps({"files": written, "sha256": found["sha256"], "over": found["over"], **summary}))
        return
    for row in summary["verdicts"]:
        typer.echo(f"{row['license']}: {WORDS.get(row['verdict'], row['verdict'])}")
    for unknown in summary["must_be_known"]:
        typer.echo(f"not known: {unknown}")
    for caution in summary["cautions"]:
        typer.echo(f"note: {caution}")
    if not found["over"]:
        typer.echo(f"The month is not over: as of {found['as_of']}.")
    for name in written:
        typer.echo(name)


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}; allowed: YYYY-MM-DD such as 2026-11-30", param_hint="--at") from None


def _states(states: list[Path], archives: list[str], where: "Source") -> "list[State]":
    """Return the state directories with what their gateways are called: by their order, as paths are nobody's names."""
    from guard.cli.report.gathering import State

    for each in states:
        if not each.is_dir():
            _leave(EX_CONFIG, f"{each}: not a directory; allowed: the state directory of a gateway")
    if len({each.resolve() for each in states}) < len(states):
        raise typer.BadParameter("a directory is named twice; allowed: each gateway once", param_hint="--state")
    if not states:
        if where.config is None:
            raise typer.BadParameter("no guard.yaml here; name one with --config", param_hint="--config")
        states = [Path(where.config.state_dir)]
    several = len(states) > 1
    moved = [_archive(each, len(states)) for each in archives]
    return [
        State(str(number) if several else "", each, tuple(path for of, path in moved if of == number))
        for number, each in enumerate(states, 1)
    ]


def _archive(text: str, states: int) -> tuple[int, Path]:
    """Return the number of the gateway whose journals were moved to a directory, and the directory."""
    number, path = 1, text
    if states > 1:
        said, equals, path = text.partition("=")
        if not equals or said not in map(str, range(1, states + 1)):
            allowed = f"N=DIR, N from 1 to {states}: of the gateway whose --state is the Nth"
            raise typer.BadParameter(f"'{text}'; allowed: {allowed}", param_hint="--archive")
        number = int(said)
    if not Path(path).is_dir():
        _leave(EX_CONFIG, f"{path}: not a directory; allowed: one with closed journals")
    return number, Path(path)


def _leave(code: int, why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(code)
