"""``guard policy test --table``: the decision table of output use."""

import json
from pathlib import Path

import typer


def print_table(directories: list[Path], as_json: bool) -> None:
    """Print what every license says about every use of outputs, the packs in ``directories`` included.

    Without directories those of the configuration, if there is one. Raises PolicyError.
    """
    from guard.licensing.decisions import decisions, lines
    from guard.policy.load import load_config
    from guard.policy.locations import configuration, shipped_licenses
    from guard.policy.packs import load_packs

    own = directories
    if not own and (path := configuration(None)) is not None:
        own = [Path(name) for name in load_config(path).policies]
    packs = load_packs([shipped_licenses(), *own])
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
