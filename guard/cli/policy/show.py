"""``guard policy show``: what a license says, fact by fact."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.policy.description import describe

if TYPE_CHECKING:
    from guard.licensing.license import License


def show(
    license_id: str = typer.Argument(metavar="ID", help="License id, as `guard policy list` prints it."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show what a license says, fact by fact, with its clauses."""
    from guard.policy.document import nearest
    from guard.policy.packs import shipped_packs

    packs = shipped_packs()
    license_ = packs.get(license_id)
    if license_ is None:
        near = nearest(license_id, packs)
        hint = f"; did you mean '{near}'?" if near else f"; allowed: {', '.join(packs)}"
        raise typer.BadParameter(f"unknown license '{license_id}'{hint}", param_hint="ID")
    if as_json:
        typer.echo(json.dumps(_facts(license_), indent=2))
        return
    for line in describe(license_):
        typer.echo(line)


def _facts(license_: "License") -> dict[str, Any]:
    from dataclasses import asdict

    from guard.screening.findings import Action

    def plain(value: Any) -> Any:
        if isinstance(value, Action):
            return value.name.lower()
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value

    facts: dict[str, Any] = plain(asdict(license_))
    return facts
