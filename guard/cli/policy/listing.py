"""``guard policy list``: the licenses Guard knows."""

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.policy.description import threshold_line

if TYPE_CHECKING:
    from guard.licensing.license import License

HEADINGS = ("LICENSE", "STATUS", "THRESHOLD", "TRAINING ON OUTPUTS", "NAME")
WIDTHS = (28, 11, 28, 21, 24)
"""120 columns with two between each; an id that ships fits its own."""


def list_packs(
    config: Path | None = typer.Option(
        None, help="guard.yaml, whose packs are listed too. Default: $GUARD_CONFIG, or else ./guard.yaml."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List the licenses that ship with Guard and those of the configuration: status, thresholds, rule on outputs."""
    from guard.policy.known import known_licenses, own_packs
    from guard.policy.locations import configuration

    packs = known_licenses(own_packs(configuration(config)))
    if as_json:
        typer.echo(json.dumps([_summary(license_) for license_ in packs.values()], indent=2))
        return
    for line in _row([[heading] for heading in HEADINGS]):
        typer.echo(line)
    for license_ in packs.values():
        limits = [threshold_line(threshold) for threshold in license_.thresholds] or ["-"]
        rule = license_.output_use.rule.value.replace("_", " ")
        for line in _row([[license_.id], [license_.status.value], limits, [rule], [license_.name]]):
            typer.echo(line)


def _row(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of one row; each cell holds paragraphs, wrapped into its column."""
    wrapped = [
        [line for text in cell for line in wrap(text, width, break_on_hyphens=False)]
        for cell, width in zip(cells, WIDTHS, strict=True)
    ]
    for parts in zip_longest(*wrapped, fillvalue=""):
        yield "  ".join(part.ljust(width) for part, width in zip(parts, WIDTHS, strict=True)).rstrip()


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
