"""The command: every check in order, as a table or as JSON."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from guard.cli.doctor.check import Check, fail

EX_CONFIG = 78


def doctor(
    config: Path | None = typer.Option(None, help="guard.yaml of the deployment."),
    upstream: str | None = typer.Option(None, help="Inference server, instead of the configuration's."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Probe a deployment for what Guard cannot see or guard, and for what operators trip over.

    Ends with 0 if nothing failed, 1 if something did, and 78 if it is the configuration.
    """
    from guard.policy.document import PolicyError
    from guard.policy.load import load_config
    from guard.policy.locations import configuration

    if upstream is not None:
        try:
            load_config(None, {"upstream": upstream})
        except PolicyError as error:
            allowed = error.problems[0].allowed
            raise typer.BadParameter(f"'{upstream}'; allowed: {allowed}", param_hint="--upstream") from None
    checks = list(examine(configuration(config), upstream))
    failed = any(check.state == "fail" for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "checks": [check._asdict() for check in checks]}, indent=2))
    else:
        _table(checks)
    if any(check.name == "policy" and check.state == "fail" for check in checks):
        raise typer.Exit(EX_CONFIG)
    raise typer.Exit(1 if failed else 0)


def examine(path: Path | None, upstream: str | None = None) -> Iterator[Check]:
    """Yield every check of the deployment that ``path`` configures; nothing is created or changed by looking."""
    import asyncio

    from guard.cli.doctor import admin, evidence, judge, keys, ledger, policy, process, server, state, traces
    from guard.policy.document import PolicyError
    from guard.policy.load import load, load_config

    overrides = {"upstream": upstream} if upstream is not None else {}
    try:
        config = load_config(path, overrides)
    except PolicyError as error:
        yield fail("policy", str(error), "mend it: guard policy check says the same")
        return
    try:
        yield from policy.checks(load(path, overrides).snapshot, path)
    except PolicyError as error:
        yield fail("policy", str(error), "mend it: guard policy check says the same")
    yield from state.checks(config)
    yield from keys.checks(config)
    yield from ledger.checks(config)
    yield from evidence.checks(config)
    yield from admin.checks(config)
    yield from process.checks(config)
    yield from traces.checks(config)
    yield from asyncio.run(server.checks(config))
    yield from asyncio.run(judge.checks(config))


def _table(checks: Sequence[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colors: dict[str, Any] = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = Table(box=None, pad_edge=False)
    for heading in ("", "Check", "Found"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        found = Text(check.detail)
        if check.do:
            found.append(f"\n-> {check.do}", style="dim")
        table.add_row(Text(check.state, style=colors[check.state]), Text(check.name), found)
    Console().print(table)
