"""``guard policy check``: whether a policy is sound."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.policy.document import Problem


def check(
    given: list[Path] | None = typer.Argument(
        None,
        metavar="[PATH]...",
        help="Configurations, license packs, rule files, case files, or directories of them. "
        "Default: $GUARD_CONFIG, or else ./guard.yaml, or else everything that ships with Guard.",
    ),
    strict: bool = typer.Option(
        False,
        "--strict",
        help="Refuse what nobody confirmed or answers for: unconfirmed facts in use, expired exceptions, statements "
        "that are wanted and missing, models of undetermined license.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Check policies: every problem with its line, or the hash of each. Exits 1 if there is a problem."""
    from datetime import UTC, datetime

    from guard.policy.document import in_order
    from guard.policy.inspection import inspect
    from guard.policy.locations import configuration

    named = [] if given else [path for path in [configuration(None)] if path is not None]
    found = inspect(given or named, os.environ, datetime.now(UTC).date())
    refused = [caution for caution in found.cautions if strict and caution.strict]
    errors = in_order([*found.problems, *refused])
    warnings = [caution for caution in found.cautions if caution not in refused]
    if as_json:
        checked = [{"path": str(one.path), "kind": one.what, "hash": one.digest} for one in found.checked]
        result = {"ok": not errors, "checked": checked, "errors": _plain(errors), "warnings": _plain(warnings)}
        typer.echo(json.dumps(result))
    else:
        for warning in warnings:
            typer.echo(f"warning: {warning}", err=True)
        for error in errors:
            typer.echo(str(error), err=True)
        for one in () if errors else found.checked:
            typer.echo(f"{one.path}: {one.what} ok, {one.digest}")
    if errors:
        raise typer.Exit(1)


def _plain(problems: "Sequence[Problem]") -> list[dict[str, Any]]:
    names = ("file", "line", "path", "found", "allowed", "nearest")
    return [{name: getattr(problem, name) for name in names} for problem in problems]
