"""``guard policy test --table``: the decision table of output use."""

import json
from collections.abc import Sequence
from pathlib import Path

import typer


def print_table(own: Sequence[Path], as_json: bool) -> None:
    """Print what every license says about every use of outputs, the packs in ``own`` included. Raises PolicyError."""
    from guard.licensing.decisions import decisions, lines
    from guard.policy.known import known_licenses

    packs = known_licenses(own)
    if not as_json:
        for line in lines(packs):
            typer.echo(line)
        return
    entries = [
        {
            "license": found.license,
            "kind": found.kind,
            "purpose": str(found.purpose),
            "verdict": str(found.verdict.kind),
            "clause": found.verdict.clause or None,
            "reason": found.verdict.reason,
            "obligations": [owed.text for owed in found.verdict.obligations],
        }
        for found in decisions(packs)
    ]
    typer.echo(json.dumps(entries, indent=2))
