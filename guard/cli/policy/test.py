"""``guard policy test``: whether policies answer the requests in their case files as they should."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.policy.table import print_table

if TYPE_CHECKING:
    from guard.policy.document import Problem
    from guard.policy.rehearsal.cases import Cases, Result

PATIENCE = 1.0
"""Seconds without a word before progress is shown."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one case file: results, or the problems for which it could not be run."""

    path: Path
    results: "Sequence[Result]" = ()
    problems: "Sequence[Problem]" = ()


def run_cases(
    given: list[Path] | None = typer.Argument(
        None,
        metavar="[PATH]...",
        help="Case files, or directories of them. Default: the shipped ones, and those under `tests:` of the "
        "configuration, if there is one.",
    ),
    config: Path | None = typer.Option(
        None, help="guard.yaml, whose packs count too. Default: $GUARD_CONFIG, or else ./guard.yaml."
    ),
    packs: list[Path] | None = typer.Option(
        None, metavar="DIR", help="Packs of your own that the cases are about; may be given several times."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    table: bool = typer.Option(
        False, "--table", help="Print what every license says about every use of outputs instead; PATHs are packs."
    ),
) -> None:
    """Run policy cases: a line for every file, and every case that fails. Exits 1 if one does, or cannot be run."""
    from guard.policy.known import own_packs
    from guard.policy.locations import configuration

    found = configuration(config)
    own = [*own_packs(found), *(packs or [])]
    if table:
        print_table(given or own, as_json)
        return
    ran = list(_waiting(_run(given or _default(found), own), as_json))
    results = [result for one in ran for result in one.results]
    failed = sum(not result.passed for result in results)
    passed, left = len(results) - failed, [one for one in ran if one.problems]
    if as_json:
        problems = [_problem(problem) for one in left for problem in one.problems]
        cases = [_facts(result) for result in results]
        ok = not failed and not left
        entries = {"ok": ok, "passed": passed, "failed": failed, "cases": cases, "problems": problems}
        typer.echo(json.dumps(entries, indent=2))
    else:
        typer.echo(f"{_number(passed, 'case')} passed, {failed} failed{_left(len(left))}")
    if failed or left:
        raise typer.Exit(1)


def _run(paths: Sequence[Path], own: Sequence[Path]) -> Iterator[Ran]:
    """Yield what becomes of each file in order. Raises PolicyError if the packs in ``own`` are mistaken."""
    from guard.policy.document import PolicyError
    from guard.policy.known import known_licenses
    from guard.policy.rehearsal.cases import Bench, case_files, read_cases

    licenses, bench = known_licenses(own), Bench(os.environ, time.time(), packs=own)
    done: set[Path] = set()
    for path in paths:
        try:
            files = case_files([path])
        except PolicyError as error:
            yield Ran(path, problems=error.problems)
            continue
        for file in files:
            if file in done:
                continue
            done.add(file)
            try:
                cases: Cases = read_cases(file, licenses)
                bench.prepare(cases)
            except PolicyError as error:
                yield Ran(file, problems=error.problems)
            else:
                yield Ran(file, list(bench.run(cases)))


def _default(configuration: Path | None) -> list[Path]:
    from guard.policy.load import load_config
    from guard.policy.rehearsal.cases import shipped_cases

    own = load_config(configuration).tests if configuration is not None else ()
    return [shipped_cases(), *map(Path, own)]


def _waiting(files: Iterable[Ran], as_json: bool) -> Iterator[Ran]:
    """Print each file as it is done; on a terminal, say how far it is where that takes longer than a moment."""
    began, shown = time.monotonic(), sys.stderr.isatty()
    for done, ran in enumerate(files, 1):
        if not as_json:
            _print(ran)
        elif shown and time.monotonic() - began > PATIENCE:
            sys.stderr.write(f"\r{done} files, {ran.path.name}\x1b[K")
        yield ran
    if as_json and shown and time.monotonic() - began > PATIENCE:
        sys.stderr.write("\r\x1b[K")


def _print(ran: Ran) -> None:
    if ran.problems:
        typer.echo(f"{ran.path}: not run, {_number(len(ran.problems), 'problem')}")
        for problem in ran.problems:
            typer.echo(str(problem), err=True)
        return
    failures = [result for result in ran.results if not result.passed]
    passed = _number(len(ran.results) - len(failures), "case")
    typer.echo(f"{ran.path}: {passed} passed, {len(failures)} failed")
    for result in failures:
        typer.echo(f"  {result}")


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _left(files: int) -> str:
    return f", {_number(files, 'file')} not run" if files else ""


def _problem(problem: "Problem") -> dict[str, Any]:
    names = ("file", "line", "path", "found", "allowed", "nearest")
    return {name: getattr(problem, name) for name in names}


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
