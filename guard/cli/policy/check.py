"""``guard policy check``: whether a policy is sound."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guard.policy.document import Problem


def check(
    given: Path | None = typer.Argument(
        None,
        metavar="[PATH]",
        help="A configuration, a license pack, a rule file, or a directory of packs or rules. "
        "Default: $GUARD_CONFIG, or else ./guard.yaml.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Check a policy: every problem with its line, or the policy's hash. Exits 1 if there is a problem."""
    from guard.policy.document import PolicyError
    from guard.policy.locations import configuration

    path = configuration(given) or Path("guard.yaml")
    try:
        what, digest, warnings = _check(path)
    except PolicyError as error:
        _report(error.problems, as_json)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps({"ok": True, "kind": what, "hash": digest, "warnings": warnings, "problems": []}))
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{path}: {what} ok, {digest}")


def _check(path: Path) -> tuple[str, str, list[str]]:
    from guard.policy import document
    from guard.policy.load import digest_of, load
    from guard.policy.locations import shipped_licenses, shipped_rules, yaml_files
    from guard.policy.packs import load_packs
    from guard.policy.rules import load_rules

    files = yaml_files(path) if path.is_dir() else [path]
    if not files:
        raise document.PolicyError(
            [document.Problem(str(path), 0, "", "no YAML files", "a directory of packs or rules")]
        )
    found = document.scan(document.read_text(files[0]), str(files[0])).data
    names = set(found) if isinstance(found, dict) else set()
    if {"id", "family"} & names:
        directory = path if path.is_dir() else path.parent
        own = [] if directory.resolve() == shipped_licenses().resolve() else [shipped_licenses()]
        packs = load_packs([*own, directory])
        from guard.policy.checks.warnings import unconfirmed

        checked = [packs[file.stem] for file in files]
        warnings = [f"license {item.id}: {fact} is unconfirmed" for item in checked for fact in unconfirmed(item)]
        return "license pack" + ("s" if path.is_dir() else ""), digest_of([path]), warnings
    if path.is_dir() or {"rules", "lists", "category"} & names:
        own_rules = path if path.is_dir() else path.parent
        shipped = own_rules.resolve() == shipped_rules().resolve()
        _, notes = load_rules([shipped_rules()] if shipped else [shipped_rules(), path])
        return "rules", digest_of([path]), list(notes)
    snapshot = load(path).snapshot
    return "configuration", snapshot.hash, list(snapshot.warnings)


def _report(problems: "tuple[Problem, ...]", as_json: bool) -> None:
    if not as_json:
        for problem in problems:
            typer.echo(str(problem), err=True)
        return
    entries = [
        {
            "file": problem.file,
            "line": problem.line,
            "path": problem.path,
            "found": problem.found,
            "allowed": problem.allowed,
            "nearest": problem.nearest,
        }
        for problem in problems
    ]
    typer.echo(json.dumps({"ok": False, "problems": entries}))
