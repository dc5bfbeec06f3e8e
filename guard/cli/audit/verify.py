"""``guard audit verify``: whether the audit chains are as they were written."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from guard.cli.audit.locations import journals_of

if TYPE_CHECKING:
    from guard.evidence.kept import Kept
    from guard.evidence.signing import Verifier
    from guard.evidence.verify import ChainReport, Report

EX_BAD, EX_DATA, EX_CONFIG = 1, 65, 78


def verify(
    paths: list[Path] = typer.Argument(
        None,
        metavar="PATH",
        show_default=False,
        help="Directories of journals, or journals. What is in several, archives say, is put together. Default: the "
        "directory of the configuration.",
    ),
    config: Path | None = typer.Option(None, help="guard.yaml, which names the state directory."),
    heads: list[Path] = typer.Option(
        [], metavar="FILE", help="Heads kept elsewhere: a line each, as Guard sends them, or a hash. May be repeated."
    ),
    head: list[str] = typer.Option(
        [], metavar="HEX", help="A hash kept elsewhere, that must be an entry's. May be repeated."
    ),
    length: int | None = typer.Option(None, min=0, help="The least number of entries there must be in all."),
    keys: Path | None = typer.Option(
        None, help="The public keys of the signatures: keys.json. Default: that beside the journals, in signing/."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Verify that no entry was changed, removed, inserted or moved, and that everything signed is as it was signed.

    Ends with 0 if so, 1 if not, 65 without a journal and for a file of heads that is none, 78 for keys that cannot be
    read. What is not proven is listed: entries cut off the end show only against heads that were kept elsewhere.
    """
    from guard.cli.usage.progress import progress
    from guard.evidence.journals import journals
    from guard.evidence.kept import Kept, KeptError
    from guard.evidence.signing import SigningError
    from guard.evidence.verify import NoJournalError
    from guard.evidence.verify import verify as walk

    for wanted in head:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", wanted):
            raise typer.BadParameter(f"'{wanted}'; allowed: 64 hexadecimal digits", param_hint="--head")
    where = paths or [journals_of(config)]
    try:
        kept = [Kept(wanted.lower(), f"--head {wanted[:8]}", 0) for wanted in head] + _read(heads)
        files = {file for chain in journals(*where) for file in chain.files}
        with progress("verifying", sum(file.stat().st_size for file in files if file.exists()), "bytes") as done:
            report = walk(*where, heads=kept, length=length, keys=_keys(where[0], keys), progress=done)
    except SigningError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from error
    except (NoJournalError, KeptError, OSError) as error:
        strerror = getattr(error, "strerror", None)
        print(f"{getattr(error, 'filename', None) or where[0]}: {strerror}" if strerror else error, file=sys.stderr)
        raise typer.Exit(EX_DATA) from error
    print(json.dumps(_facts(report)) if as_json else "\n".join(_lines(report)))
    raise typer.Exit(0 if report.ok else EX_BAD)


def _read(paths: list[Path]) -> "list[Kept]":
    from guard.evidence.kept import read

    return [kept for path in paths for kept in read(path)]


def _keys(where: Path, given: Path | None) -> "Verifier | None":
    """Return the keys of the journals at ``where``, None if nothing is said of any. Raises SigningError."""
    from guard.evidence.signing import PUBLIC, Verifier
    from guard.provenance.layout import Layout

    if given is not None:
        return Verifier.of_list(given)
    state_dir = where.absolute().parent if where.is_dir() else where.absolute().parent.parent
    listed = Layout(state_dir).signing / PUBLIC
    return Verifier.of_list(listed) if listed.exists() else None


def _facts(report: "Report") -> dict[str, object]:
    chains = [
        {
            **asdict(chain),
            "bad": chain.bad and chain.bad._asdict(),
            "checkpoint": chain.checkpoint and chain.checkpoint.line(),
        }
        for chain in report.chains
    ]
    totals = ("ok", "entries", "heads", "lengths", "unclean_stops", "seals", "sealed", "unsealed", "first_unsealed")
    return {
        **{name: getattr(report, name) for name in totals},
        "first_bad": report.first_bad and report.first_bad._asdict(),
        "bad": [bad._asdict() for bad in report.bads],
        "anchored": report.anchored,
        "signatures": report.signatures,
        "heads_not_compared": report.not_compared,
        "chains": chains,
    }


def _lines(report: "Report") -> Iterator[str]:
    if report.first_bad is not None:
        yield f"BAD {report.first_bad}"
        yield from (f"BAD {bad}" for bad in report.bads[1:])
    else:
        yield f"ok: {report.entries} entries in {len(report.chains)} chains, each follows the one before it"
    for chain in report.chains:
        yield ""
        yield chain.name
        yield from (f"  {name:<16} {value}" for name, value in _table(chain, report))
    gaps = list(_not_proven(report))
    if gaps:
        yield from ("", "NOT proven:", *(f"- {gap}" for gap in gaps))


def _table(chain: "ChainReport", report: "Report") -> Iterator[tuple[str, str]]:
    from guard.evidence.signing import moment

    names = [Path(file).name for file in chain.files]
    yield "files", names[0] if len(names) == 1 else f"{len(names)}: {names[0]} to {names[-1]}" if names else "none"
    yield "entries", f"{chain.first} to {chain.length}" if chain.entries else "none"
    if chain.began is not None and chain.ended is not None:
        yield "time", f"{moment(chain.began)} to {moment(chain.ended)}"
    yield "head", chain.head
    if chain.checkpoint is None:
        yield "last checkpoint", "none"
    else:
        checked = "signature holds" if report.signatures else "signature not checked"
        made = f"entry {chain.checkpoint.seq}, {moment(chain.checkpoint.time)}, {checked}"
        yield "last checkpoint", f"{made}; {chain.checkpoints} in all"
        since = (
            f" in {_span(chain.ended - chain.checkpoint.time)}" if chain.ended is not None and chain.unsigned else ""
        )
        yield "unsigned since", f"{chain.unsigned} entries{since}"
    if chain.seals:
        yield "seals", f"{chain.seals} over {chain.sealed} receipts and declarations"
    yield "heads matched", str(chain.matched) if report.anchored else "none given"
    if chain.unclean_stops:
        yield "runs killed", f"{chain.unclean_stops}; the last moments of each may be missing"


def _not_proven(report: "Report") -> Iterator[str]:
    if not report.anchored:
        yield "whether entries were cut off the end, or the chain recomputed with the key: give --heads"
    if not report.signatures:
        yield "signatures, and so whether the chain was recomputed without the key: give --keys"
    for chain in report.chains:
        if chain.first > 1:
            before = f"{chain.name}: entries 1 to {chain.first - 1}: their files were archived"
            yield f"{before}; give the directory with them, too"
        if not chain.live and chain.files:
            yield f"{chain.name}: what follows entry {chain.length}: the file that was written to is not here"
        if report.signatures and chain.checkpoint is None and chain.entries:
            yield f"{chain.name}: whether it was recomputed: it has no checkpoint"
        if chain.early:
            signed = f"{chain.early} signatures are from before their key is listed, the first at {chain.first_early}"
            yield f"{chain.name}: when it was signed: {signed}; a clock that was set back does that"
        yield from (f"{chain.name}: {each}: it counts once" for each in chain.earlier)
        if not chain.announced:
            yield f"{chain.name}: that it was set aside: no `damaged` entry that is here names it"
        if report.anchored and not chain.matched:
            yield f"{chain.name}: whether entries were cut off the end: no head is of it"
    if report.not_compared:
        yield f"{report.not_compared} heads are of entries in files that are not here"
    if report.unsealed:
        yield f"{report.unsealed} receipts and declarations have no seal, the first at {report.first_unsealed}"


def _span(seconds: float) -> str:
    minutes = max(0, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
