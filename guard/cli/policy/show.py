"""``guard policy show``: what a license says, fact by fact."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.policy.description import describe
from guard.cli.policy.owed import by_model, configured, of_license
from guard.cli.policy.unknown import known_license

if TYPE_CHECKING:
    from guard.licensing.license import License


def show(
    license_id: str | None = typer.Argument(None, metavar="[ID]", help="License id, as `guard policy list` prints it."),
    obligations: bool = typer.Option(
        False, "--obligations", help="What is owed under it; without ID, for every model of the configuration."
    ),
    config: Path | None = typer.Option(
        None, help="guard.yaml, whose packs count too. Default: $GUARD_CONFIG, or else ./guard.yaml."
    ),
    markdown: bool = typer.Option(False, "--markdown", help="Print the license as a page of Markdown."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show what a license says, fact by fact with its clauses, or what is owed for serving the configured models."""
    if license_id is None:
        if not obligations:
            raise typer.BadParameter("a license id, or --obligations for the configured models", param_hint="ID")
        owed = configured(config)
        typer.echo(json.dumps({"obligations": owed}, indent=2) if as_json else "\n".join(by_model(owed)))
        return
    from guard.policy.known import known_licenses, own_packs
    from guard.policy.locations import configuration

    packs = known_licenses(own_packs(configuration(config)))
    license_ = known_license(license_id, packs, "ID")
    if obligations:
        owed = of_license(license_)
        typer.echo(json.dumps({"obligations": owed}, indent=2) if as_json else "\n".join(by_model(owed)))
    elif markdown:
        from guard.cli.policy.page import page

        typer.echo("\n".join(page(license_, packs)))
    elif as_json:
        typer.echo(json.dumps(_facts(license_), indent=2))
    else:
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
