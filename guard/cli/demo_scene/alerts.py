"""``guard demo --alerts``: users pass 80 % of a limit, and the alert goes the whole road to a webhook.

A real Guard is scraped by a real Prometheus with the rules that ship with Guard; a real Alertmanager routes what they
find to a receiver in this process.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import typer

from guard.cli.demo_scene.deployment import PACE, SCRIPT, serve_embedded, sidecar
from guard.cli.demo_scene.monitoring import HOLD_SECONDS, SCRAPE_SECONDS, Monitoring, watching
from guard.cli.demo_scene.scene import BRIDGES, ask
from guard.cli.demo_scene.stage import LLAMA, QWEN, Stage
from guard.cli.demo_scene.upstream import Upstream
from guard.cli.demo_scene.webhook import Alert, Webhook, receiving

LICENSE = "qwen-2024"
LIMIT, USERS = 20, 17
"""A demo-sized limit of the operator's own, and how many users come: 85 % of it."""
ALERT = "GuardUsersAt80Percent"
SECONDS = 90.0
"""How long the alert may take."""


class Watched(NamedTuple):
    """A Guard, the servers that watch it, and where the alerts arrive."""

    stage: Stage
    monitoring: Monitoring
    webhook: Webhook


class Arrival(NamedTuple):
    """The alert as the webhook received it, None if it did not; and the seconds since the last user was answered."""

    alert: Alert | None
    seconds: float


@contextmanager
def deployed(folder: Path, usage: dict[str, Any] | None = None) -> Iterator[Watched]:
    """Run the embedded upstream, Guard with the settings ``usage`` before it, and what watches Guard."""
    limits = {"usage": {"limits": {LICENSE: LIMIT}, **(usage or {})}}
    with (
        serve_embedded(Upstream((LLAMA, QWEN), SCRIPT, PACE)) as upstream,
        sidecar(folder, upstream, {}, "", "", limits) as stage,
        receiving() as webhook,
        watching(folder, [urlsplit(stage.admin).netloc], webhook.url) as monitoring,
    ):
        yield Watched(stage, monitoring, webhook)


def play(watched: Watched, said: Callable[[str], None]) -> Arrival:
    """Let distinct users be answered, one by one, and wait for the alert."""
    for number in range(1, USERS + 1):
        ask(watched.stage, QWEN, f"user-{number}", BRIDGES, max_tokens=16)
    said(f"{USERS} users were answered under {LICENSE}; the limit is {LIMIT}")
    began = time.monotonic()
    alert = watched.webhook.wait(ALERT, SECONDS, lambda alert: alert["labels"].get("license") == LICENSE)
    return Arrival(alert, time.monotonic() - began)


def introduce(monitoring: Monitoring, said: Callable[[str], None]) -> None:
    """Say what runs, and what is other than in the files that ship."""
    shipped, here = monitoring.held
    said(f"Prometheus:    {monitoring.prometheus}/alerts")
    said(f"Alertmanager:  {monitoring.alertmanager}")
    said(
        f"For the demo Prometheus looks every {SCRAPE_SECONDS} s, and alerts hold {here} before they are sent, "
        f"in a copy of the rules; in the file that ships they hold {shipped}."
    )


def show(arrival: Arrival, *, as_json: bool) -> None:
    """Print the alert as it arrived, or that it did not."""
    if as_json:
        typer.echo(
            json.dumps({"received": arrival.alert is not None, "seconds": round(arrival.seconds, 1), **_facts(arrival)})
        )
        return
    if arrival.alert is None:
        typer.echo(f"{ALERT} did not arrive within {SECONDS:.0f} s")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    alert = arrival.alert
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column()
    for name, value in {
        "to": alert["receiver"],
        **{name: alert["labels"][name] for name in ("severity", "license", "limit")},
        **{name: alert["annotations"][name] for name in ("summary", "description", "meaning")},
        "runbook": alert["annotations"]["runbook_url"],
        "since": alert["startsAt"],
    }.items():
        rows.add_row(name, escape(value))
    title = f"the webhook received [bold yellow]{ALERT}[/] after {arrival.seconds:.0f} s"
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(Panel(rows, title=title, title_align="left", border_style="yellow"))


def _facts(arrival: Arrival) -> dict[str, Any]:
    return {"license": LICENSE, "users": USERS, "limit": LIMIT, "hold_seconds": HOLD_SECONDS, "alert": arrival.alert}
