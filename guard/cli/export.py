"""``guard export``: whether a data set holds outputs of a restricted model, and what follows for training another."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from guard.licensing.license import License
    from guard.provenance.gate import Hit, Result

EX_DATA, EX_CANTCREAT, EX_CONFIG = 65, 73, 78
CODES = {"allow": 0, "allow_with_obligations": 1, "deny": 2, "undetermined": 3}
SHOWN = 20
"""Hits that are printed; ``--json`` prints all of them."""

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def export() -> None:
    """Check whether a data set may train a model."""


@app.command()
def check(
    data: Path = typer.Argument(help="The data set: .jsonl, .json (an array) or .csv."),
    target: str = typer.Option(help="The model that is to be trained: a repository, a family or a license id."),
    config: Path | None = typer.Option(None, help="guard.yaml, which names state directory and licenses of your own."),
    index: Path | None = typer.Option(None, help="The index of outputs, if not the one in the state directory."),
    key: Path | None = typer.Option(None, help="The key file the index was made with, likewise."),
    write_clean: Path | None = typer.Option(
        None, help="Write the data set here without the records held (tiers A, B) that are not plainly allowed."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Find records that are outputs Guard has seen, and judge their use for training TARGET.

    Ends with 0 if it is allowed, 1 if obligations follow, 2 if it is denied, 3 if it cannot be told; with 65 for a data
    set that cannot be read, 78 for an index, 73 for a clean copy that cannot be written.
    """
    from guard.provenance.formats import DataError, copy_without, read
    from guard.provenance.gate import check as search
    from guard.provenance.judge import judge_of
    from guard.provenance.statement import statement

    if not target.strip():
        allowed = "a repository, a family or a license id"
        raise typer.BadParameter(f"names no model; allowed: {allowed}", param_hint="--target")
    if write_clean is not None:
        _check_clean(data, write_clean)
    directory, secret, licenses = _where(config, index, key)
    try:
        with _progress() as bar:
            records = read(data, bar("reading", _size(data)))
            result = search(
                records, directory, key=secret, judge=judge_of(target, licenses),
                progress=bar("searching", sum(_size(path) for path in directory.glob("*/*")), steps=True),
            )  # fmt: skip
    except DataError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_DATA) from error
    except OSError as error:
        print(f"{error.filename or directory}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from error
    kept = None
    if write_clean is not None:
        try:
            kept = copy_without(data, write_clean, result.dropped)
        except OSError as error:
            print(f"{error.filename or write_clean}: {error.strerror}", file=sys.stderr)
            raise typer.Exit(EX_CANTCREAT) from error
    document = statement(result, target)
    if write_clean is not None:
        document["clean"] = {"file": str(write_clean), "records": kept, "left_out": len(result.dropped)}
    if as_json:
        print(json.dumps(document))
    else:
        print("\n".join(_lines(result, document)))
    raise typer.Exit(CODES[str(result.verdict)])


def _check_clean(data: Path, clean: Path) -> None:
    if clean.resolve() == data.resolve():
        raise typer.BadParameter("would replace the data set itself; allowed: another file", param_hint="--write-clean")
    if clean.suffix.lower() != data.suffix.lower():
        found, allowed = clean.suffix or "no suffix", data.suffix or "no suffix"
        raise typer.BadParameter(f"{found}; allowed: {allowed}, as the data set", param_hint="--write-clean")


def _where(
    config: Path | None, index: Path | None, key: Path | None
) -> tuple[Path, bytes, "Mapping[str, License]"]:  # fmt: skip
    """Return the index, the key it was made with, and the licenses to judge by."""
    from guard.policy.load import load_config
    from guard.policy.locations import configuration, shipped_licenses
    from guard.policy.packs import load_packs, shipped_packs
    from guard.provenance.layout import Layout

    if config is None and index is not None and key is not None:
        return index, _secret(key), shipped_packs()
    settings = load_config(configuration(config))
    layout, own = Layout(Path(settings.state_dir)), [Path(name) for name in settings.policies]
    licenses = load_packs([shipped_licenses(), *own]) if own else shipped_packs()
    return index or layout.provenance, _secret(key or layout.key), licenses


def _secret(file: Path) -> bytes:
    from guard.provenance.receipt import Receipts

    try:
        secret = file.read_bytes()
        Receipts(secret)
    except OSError as error:
        print(f"{file}: {error.strerror}; allowed: the key file the index was made with", file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from error
    except ValueError as error:
        print(f"{file}: {error}", file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from error
    return secret


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def _progress() -> "Iterator[Callable[..., Callable[[int], None]]]":
    """Give a maker of progress bars on standard error; they are shown on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda *_, **__: lambda _bytes: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:

        def bar(what: str, total: int, *, steps: bool = False) -> Callable[[int], None]:
            task = progress.add_task(what, total=total or None)
            if steps:
                return lambda count: progress.advance(task, count)
            return lambda done: progress.update(task, completed=done)

        yield bar


def _lines(result: "Result", document: dict[str, Any]) -> Iterator[str]:
    yield f"{document['verdict'].replace('_', ' ')}: {_summary(result)} for training {document['target']}"
    for hit in result.hits[:SHOWN]:
        yield from _describe(hit)
    if len(result.hits) > SHOWN:
        yield f"... and {len(result.hits) - SHOWN} more records (--json prints all of them)"
    for obligation in document["obligations"]:
        yield f"owed: {obligation['text']} ({obligation['license']} {obligation['clause']}; {obligation['trigger']})"
    if result.short:
        yield f"{result.short} texts have fewer than 13 words: only exact copies of whole outputs are found among them"
    if result.unsearched:
        yield f"{result.unsearched} texts could not be searched for: over a thousand texts here share their phrases"
    yield from _coverage(document["coverage"])
    if clean := document.get("clean"):
        yield f"clean: {clean['records']} records in {clean['file']}, {clean['left_out']} left out"


def _summary(result: "Result") -> str:
    found = len(result.hits)
    return f"{found} of {result.records} records {'is an output' if found == 1 else 'are outputs'} Guard has seen,"


def _describe(hit: "Hit") -> Iterator[str]:
    from guard.provenance.statement import moment

    match = hit.match
    strength = {"A": "proof", "B": "strong", "C": "review"}[match.tier.name]
    how = match.evidence if not match.matched else f"{match.matched} of {match.of} fingerprints"
    place = f"line {hit.line}" + (f", {hit.path}" if hit.path else "")
    yield f"  {place}: {str(match.verdict).replace('_', ' ')} ({strength}, {how})"
    yield f"    {match.model} answered {moment(match.time)}, receipt {match.receipt}"
    clause = f" {match.ruling.clause}" if match.ruling.clause else ""
    yield f"    {match.ruling.license or 'no license'}{clause}: {match.ruling.reason}"


def _coverage(coverage: dict[str, Any]) -> Iterator[str]:
    for name, month in coverage["months"].items():
        share = month["indexed"] / month["answered"] if month["answered"] else 1.0
        yield (
            f"index {name}: {month['indexed']} of {month['answered']} answered choices ({share:.1%}), "
            f"{month['attributable']} of them recognizable by their words"
            + (f", {month['waiting']} being written" if month["waiting"] else "")
        )
    for gap in coverage["gaps"]:
        yield f"not seen: {gap}"
    yield "not seen: answers that did not pass through the gateways writing to this index"
