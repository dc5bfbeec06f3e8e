"""``guard policy test``: whether policies answer the requests in their case files as they should."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.policy.table import print_table

if TYPE_CHECKING:
    from guard.policy.document import Problem
    from guard.policy.rehearsal.cases import Cases, Result

PATIENCE = 1.0
"""Seconds without a word before progress is shown."""


def run_cases(
    given: list[Path] | None = typer.Argument(
        None,
        metavar="[PATH]...",
        help="Case files, or directories of them. Default: the shipped ones, and those under `tests:` of the "
        "configuration ($GUARD_CONFIG or ./guard.yaml), if there is one.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    table: bool = typer.Option(
        False, "--table", help="Print what every license says about every use of outputs instead; PATHs are packs."
    ),
) -> None:
    """Run policy cases: a line for every file, and every case that fails. Exits 1 if one does."""
    if table:
        print_table(given or [], as_json)
        return
    from guard.policy.document import PolicyError

    try:
        results = list(_waiting(_run(given or []), as_json))
    except PolicyError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(1) from None
    failed = [result for _, found in results for result in found if not result.passed]
    passed = sum(len(found) for _, found in results) - len(failed)
    if as_json:
        entries = [_facts(result) for _, found in results for result in found]
        typer.echo(json.dumps({"ok": not failed, "passed": passed, "failed": len(failed), "cases": entries}, indent=2))
    else:
        typer.echo(f"{_cases(passed)} passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


def _run(given: list[Path]) -> "Iterator[tuple[Path, list[Result]]]":
    """Yield the results of each file in order. Every file is read before the first case runs."""
    import os

    from guard.policy.document import PolicyError
    from guard.policy.packs import shipped_packs
    from guard.policy.rehearsal.cases import Bench, case_files, read_cases

    paths = given or _default()
    sound: list[Cases] = []
    problems: list[Problem] = []
    for path in case_files(paths):
        try:
            sound.append(read_cases(path, shipped_packs()))
        except PolicyError as error:
            problems += error.problems
    bench = Bench(os.environ, time.time())
    for cases in sound:
        try:
            bench.prepare(cases)
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(problems)
    for cases in sound:
        yield cases.path, list(bench.run(cases))


def _default() -> list[Path]:
    from guard.policy.load import load_config
    from guard.policy.locations import configuration
    from guard.policy.rehearsal.cases import shipped_cases

    path = configuration(None)
    return [shipped_cases(), *(Path(name) for name in (load_config(path).tests if path is not None else ()))]


def _waiting(files: "Iterable[tuple[Path, list[Result]]]", as_json: bool) -> "Iterator[tuple[Path, list[Result]]]":
    """Print each file as it is done; on a terminal, say how far it is where that takes longer than a moment."""
    began, shown = time.monotonic(), sys.stderr.isatty()
    for done, (path, results) in enumerate(files, 1):
        if not as_json:
            failures = [result for result in results if not result.passed]
            typer.echo(f"{path}: {_cases(len(results) - len(failures))} passed, {len(failures)} failed")
            for result in failures:
                typer.echo(f"  {result}")
        elif shown and time.monotonic() - began > PATIENCE:
            sys.stderr.write(f"\r{done} files, {path.name}\x1b[K")
        yield path, results
    if as_json and shown and time.monotonic() - began > PATIENCE:
        sys.stderr.write("\r\x1b[K")


def _cases(number: int) -> str:
    return f"{number} case" if number == 1 else f"{number} cases"


def _facts(result: "Result") -> dict[str, Any]:
    refusal = result.rehearsal.refusal
    return {
        "file": str(result.path),
        "line": result.line,
        "name": result.case.name,
        "ok": result.passed,
        "failures": list(result.failures),
        "verdict": result.rehearsal.verdict.value,
        "code": refusal.code.value if refusal is not None else None,
        "license": refusal.license if refusal is not None else None,
        "clause": refusal.clause if refusal is not None else None,
        "category": refusal.category if refusal is not None else None,
        "step": result.rehearsal.decided_by.step,
    }
