"""``guard policy list``: the licenses Guard knows."""

import json
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.policy.description import threshold_line

if TYPE_CHECKING:
    from guard.licensing.license import License


def list_packs(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the licenses that ship with Guard: status, thresholds, rule on outputs."""
    from guard.policy.packs import shipped_packs

    packs = shipped_packs()
    if as_json:
        typer.echo(json.dumps([_summary(license_) for license_ in packs.values()], indent=2))
        return
    rows = [("LICENSE", "STATUS", "THRESHOLD", "TRAINING ON OUTPUTS", "NAME")]
    for license_ in packs.values():
        limits = ", ".join(threshold_line(threshold) for threshold in license_.thresholds) or "-"
        rule = license_.output_use.rule.value.replace("_", " ")
        rows.append((license_.id, license_.status.value, limits, rule, license_.name))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        typer.echo("  ".join([*cells, row[4]]).rstrip())


def _summary(license_: "License") -> dict[str, Any]:
    return {
        "id": license_.id,
        "name": license_.name,
        "date": license_.date,
        "status": license_.status.value,
        "family": license_.family,
        "version": license_.version,
        "thresholds": [threshold_line(threshold) for threshold in license_.thresholds],
        "output_rule": license_.output_use.rule.value,
        "models": list(license_.models),
    }
