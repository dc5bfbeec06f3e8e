"""``guard demo``: an upstream, Guard before it, and real traffic through all of Guard's duties."""

import json
import signal
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guard.cli.demo_scene.scene import Outcome, Step
    from guard.cli.demo_scene.stage import Stage

EX_CONFIG = 78


def demo(
    once: bool = typer.Option(False, "--once", help="End after the scene."),
    vllm: bool = typer.Option(False, "--vllm", help="Play before a real vLLM instead of the embedded upstream."),
    vllm_venv: Path | None = typer.Option(None, "--vllm-venv", help="Virtual environment that holds vLLM."),
    alerts: bool = typer.Option(False, "--alerts", help="Pass 80 % of a limit, and show the alert as it arrives."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object per step."),
) -> None:
    """Play real traffic through Guard and show what happens to it.

    Ends with 0 if every step did what it says, with 1 otherwise.
    """
    if alerts and (vllm or vllm_venv is not None):
        raise typer.BadParameter("allowed: --alerts before the embedded upstream, or --vllm without it")
    if find_spec("openai") is None:
        typer.echo("guard demo needs the openai client, which comes with Guard's extra 'demo'", err=True)
        raise typer.Exit(EX_CONFIG)
    for ending in (signal.SIGINT, signal.SIGTERM):
        # So that the servers are stopped then, too; a shell's background jobs inherit SIGINT as ignored.
        signal.signal(ending, signal.default_int_handler)
    if alerts:
        _alerts(once, as_json)
        return
    from guard.cli.demo_scene.process import DidNotStart
    from guard.cli.demo_scene.scene import SCENE, play

    with tempfile.TemporaryDirectory(prefix="guard-demo-") as name:
        try:
            with _stage(Path(name), vllm or vllm_venv is not None, vllm_venv) as stage:
                outcomes = []
                for number, step in enumerate(SCENE, 1):
                    outcome = play(step, stage)
                    outcomes.append(outcome)
                    _show(number, step, outcome, as_json)
                if not once:
                    _show_addresses(stage)
                passed = sum(outcome.passed for outcome in outcomes)
                _end(f"{passed} passed, {len(outcomes) - passed} failed", once, as_json)
        except DidNotStart as error:
            typer.echo(error, err=True)
            raise typer.Exit(1) from error
    if passed < len(outcomes):
        raise typer.Exit(1)


def _alerts(once: bool, as_json: bool) -> None:
    """The road of one alert, from the users to the webhook."""
    from guard.cli.demo_scene import alerts, monitoring
    from guard.cli.demo_scene.process import DidNotStart

    if absent := monitoring.missing():
        typer.echo(
            f"guard demo --alerts needs Prometheus and its Alertmanager, and not on PATH: {', '.join(absent)}; "
            f"on Debian: apt-get install --no-install-recommends {' '.join(absent)}",
            err=True,
        )
        raise typer.Exit(EX_CONFIG)

    def said(line: str) -> None:
        typer.echo(line, err=as_json)

    with tempfile.TemporaryDirectory(prefix="guard-demo-") as name:
        try:
            with alerts.deployed(Path(name)) as watched:
                alerts.introduce(watched.monitoring, said)
                arrival = alerts.play(watched, said)
                alerts.show(arrival, as_json=as_json)
                if not once:
                    _show_addresses(watched.stage)
                _end("1 alert received" if arrival.alert else "no alert received", once, as_json)
        except KeyboardInterrupt:
            typer.echo("", err=True)
            raise typer.Exit(1) from None
        except DidNotStart as error:
            typer.echo(error, err=True)
            raise typer.Exit(1) from error
    if arrival.alert is None:
        raise typer.Exit(1)


def _end(line: str, once: bool, as_json: bool) -> None:
    """Print the last line, and unless it is to end ``once`` that is said, stay until the user interrupts."""
    try:
        typer.echo(line, err=as_json)
        while not once:
            time.sleep(1)  # not signal.pause(), which would sleep through a signal that came just before it
    except KeyboardInterrupt:
        typer.echo("", err=True)


def _stage(folder: Path, real: bool, venv: Path | None) -> AbstractContextManager["Stage"]:
    from guard.cli.demo_scene import deployment, vllm_server

    if not real:
        return deployment.embedded(folder)
    command = vllm_server.find(venv)
    if command is None:
        typer.echo(
            f"no vllm command in {venv / 'bin'}" if venv else "no vllm command on PATH; see --vllm-venv", err=True
        )
        raise typer.Exit(EX_CONFIG)
    typer.echo(f"starting {command}, which takes about a minute", err=True)
    return deployment.before_vllm(folder, command)


def _show(number: int, step: "Step", outcome: "Outcome", as_json: bool) -> None:
    if as_json:
        record = {"step": number, "name": step.name, "asked": step.asked, "why": step.why}
        typer.echo(json.dumps({**record, **outcome._asdict()}))
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column()
    rows.add_row("asked", _plain(step.asked))
    rows.add_row("happened", _plain(outcome.happened))
    rows.add_row("why", _plain(step.why))
    color, verdict = ("green", "passed") if outcome.passed else ("red", "failed")
    console = Console(width=None if sys.stdout.isatty() else 110)
    title = f"{number} {step.name}: [bold {color}]{verdict}[/]"
    console.print(Panel(rows, title=title, title_align="left", border_style=color))


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _show_addresses(stage: "Stage") -> None:
    from guard.cli.demo_scene.scene import BRIDGES
    from guard.cli.demo_scene.stage import LLAMA

    body = json.dumps({"model": LLAMA, "user": "you", "messages": [{"role": "user", "content": BRIDGES}]})
    typer.echo(f"\nGuard:         {stage.url}/v1")
    typer.echo(f"Console:       {stage.admin}/")
    typer.echo(f"Metrics:       {stage.admin}/metrics")
    typer.echo(f"Configuration: {stage.config}")
    typer.echo(f"\ncurl -s {stage.url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'")
    typer.echo("\nCtrl-C ends the demo.\n")
