"""``guard report``: everything that Guard has of one month, for whoever answers for the licenses."""

import json
import re
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import typer

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

    The same inputs give the same bytes, whenever it is made. Ends with 1 if the audit chain does not verify, or
    something that must be known is not: the report is written all the same, and says so on its first page. With 65 for
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
    found = sealed(gathered(source(None, config), _states(state), month, asked, time.time()))
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
    summary = found["summary"]
    if as_json:
        typer.echo(json.dumps({"files": written, "sha256": found["sha256"], "over": found["over"], **summary}))
        return
    for row in summary["verdicts"]:
        typer.echo(f"{row['license']}: {row['verdict']}")
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


def _states(states: list[Path]) -> list[tuple[str, Path]]:
    """Return the state directories with what their gateways are called: by their order, as paths are nobody's names."""
    for each in states:
        if not each.is_dir():
            _leave(EX_CONFIG, f"{each}: not a directory; allowed: the state directory of a gateway")
    return [(str(number) if len(states) > 1 else "", each) for number, each in enumerate(states, 1)]


def _leave(code: int, why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(code)
