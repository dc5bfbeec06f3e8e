"""``guard audit show``: the entries of the audit chains that somebody asks for."""

import re
import sys
from pathlib import Path

import typer

from guard.cli.audit.locations import journals_of

EX_NONE, EX_DATA = 1, 65


def show(
    paths: list[Path] = typer.Argument(
        None, metavar="PATH", show_default=False, help="Journals, as for `guard audit verify`."
    ),
    config: Path | None = typer.Option(None, help="guard.yaml, which names the state directory."),
    reference: str | None = typer.Option(None, help="Entries that name it: x-guard-reference, or the id of a receipt."),
    month: str | None = typer.Option(None, metavar="YYYY-MM", help="Entries of a UTC month."),
    kind: list[str] = typer.Option([], help="Entries of a kind, such as decision or reload. May be repeated."),
) -> None:
    """Print entries as they stand in the journals, one JSON object a line; unverified: see `guard audit verify`.

    Ends with 0 if there are any, 1 if there are none, 65 without a journal.
    """
    from guard.evidence.entry import NotAnEntry, outline, parse
    from guard.evidence.journals import journals
    from guard.provenance.layout import month_of

    if month is not None and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise typer.BadParameter(f"'{month}'; allowed: a month, such as 2026-11", param_hint="--month")
    places = paths or [journals_of(config)]
    chains = journals(*places)
    if not chains:
        print(f"{places[0]}: no journal", file=sys.stderr)
        raise typer.Exit(EX_DATA)
    # As a whole value, or within a receipt's id (r-REFERENCE-0); a signature may hold the same characters by chance.
    named = re.compile(rb'["-]' + re.escape(reference.encode()) + rb'["-]') if reference else None
    found = False
    try:
        for chain in chains:
            for file, number, raw in chain.lines():
                if named is not None and not named.search(raw):
                    continue
                try:
                    if kind and outline(raw).kind not in kind:
                        continue
                    if month is not None and month_of(parse(raw).time) != month:
                        continue
                    text = raw.decode().rstrip("\n")
                except (NotAnEntry, UnicodeDecodeError):
                    print(f"{file}:{number}: not an entry: run `guard audit verify`", file=sys.stderr)
                    continue
                found = True
                print(text)
    except OSError as error:
        print(f"{error.filename or places[0]}: {error.strerror or error}", file=sys.stderr)
        raise typer.Exit(EX_DATA) from None
    raise typer.Exit(0 if found else EX_NONE)
