"""``guard audit``: whether the audit chain is as it was written."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guard.evidence.signing import Verifier
    from guard.evidence.verify import Report

EX_BAD, EX_DATA, EX_CONFIG = 1, 65, 78

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def audit() -> None:
    """Verify the audit chain."""


@app.command()
def verify(
    path: Path | None = typer.Argument(
        None, help="A journal, or a directory of journals. Default: those of the configuration."
    ),
    config: Path | None = typer.Option(None, help="guard.yaml, which names the state directory."),
    head: list[str] = typer.Option(
        [], metavar="HEX", help="A hash kept elsewhere, that must be an entry's. May be repeated."
    ),
    length: int | None = typer.Option(None, min=0, help="The least number of entries there must be in all."),
    keys: Path | None = typer.Option(
        None, help="The public keys of the seals: keys.json. Default: that beside the journals, in signing/."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Verify that no entry was changed, removed, inserted or moved, and that the seals over receipts are as signed.

    Ends with 0 if so, 1 if not, 65 without a journal, 78 for keys that cannot be read. Entries cut off the end show
    only against a head or a length that was kept elsewhere.
    """
    from guard.evidence.signing import SigningError
    from guard.evidence.verify import NoJournalError
    from guard.evidence.verify import verify as walk

    for wanted in head:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", wanted):
            raise typer.BadParameter(f"'{wanted}'; allowed: 64 hexadecimal digits", param_hint="--head")
    where = path or _journals(config)
    try:
        report = walk(where, heads=head, length=length, keys=_keys(where, keys))
    except SigningError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from error
    except (NoJournalError, OSError) as error:
        strerror = getattr(error, "strerror", None)
        print(f"{where}: {strerror}" if strerror else error, file=sys.stderr)
        raise typer.Exit(EX_DATA) from error
    if as_json:
        print(json.dumps(asdict(report) | {"first_bad": report.first_bad and report.first_bad._asdict()}))
    else:
        print("\n".join(_lines(report)))
    raise typer.Exit(0 if report.ok else EX_BAD)


def _journals(config: Path | None) -> Path:
    from guard.policy.load import load_config
    from guard.policy.locations import configuration
    from guard.provenance.layout import Layout

    return Layout(Path(load_config(configuration(config)).state_dir)).audit


def _keys(where: Path, given: Path | None) -> "Verifier | None":
    """Return the keys of the journals at ``where``, None if nothing is said of any. Raises SigningError."""
    from guard.evidence.signing import PUBLIC, Verifier
    from guard.provenance.layout import Layout

    if given is not None:
        return Verifier.of_list(given)
    state_dir = where.parent if where.is_dir() else where.parent.parent
    listed = Layout(state_dir).signing / PUBLIC
    return Verifier.of_list(listed) if listed.exists() else None


def _lines(report: "Report") -> Iterator[str]:
    if report.first_bad is not None:
        yield f"BAD {report.first_bad}"
    else:
        yield f"ok: {report.entries} entries in {len(report.heads)} journals, each follows the one before it"
    for name, head in report.heads.items():
        yield f"  {name}: {report.lengths[name]} entries, head {head}"
    if report.seals:
        yield f"{report.seals} seals over {report.sealed} receipts and declarations are of the leaves before them"
    if report.seals and not report.signatures:
        yield "not checked: the signatures of the seals; give --keys to check them"
    if report.unsealed:
        yield f"{report.unsealed} receipts and declarations have no seal, the first at {report.first_unsealed}"
    if report.unclean_stops:
        yield f"{report.unclean_stops} runs were killed; the last moments of each may be missing"
    if not report.anchored:
        yield "not checked: whether entries were cut off the end, or the chain recomputed; give --head to check that"
