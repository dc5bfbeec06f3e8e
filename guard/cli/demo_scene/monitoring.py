"""A real Prometheus and a real Alertmanager with the rules and routes that ship with Guard, made quick to watch."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from guard.cli.demo_scene.process import Server, free_port
from guard.policy.locations import shipped_monitoring

READY_SECONDS = 60.0
PACKAGES = {"prometheus": ("prometheus",), "prometheus-alertmanager": ("prometheus-alertmanager", "alertmanager")}
"""The Debian package that brings each server, and the names that its command has."""
SCRAPE_SECONDS, HOLD_SECONDS, GROUP_SECONDS = 1, 2, 1
HOLD = re.compile(r"^(\s+for:) \w+$", re.MULTILINE)


class Commands(NamedTuple):
    """Where the two servers are."""

    prometheus: str
    alertmanager: str


class Monitoring(NamedTuple):
    """The servers that watch."""

    prometheus: str
    """URL."""
    alertmanager: str
    """URL."""
    held: tuple[str, str]
    """How long the alerts of the shipped file hold before they are sent, and how long those of the copy."""


def missing() -> list[str]:
    """Return the Debian packages of those servers that are not on PATH."""
    return [package for package, names in PACKAGES.items() if not any(map(shutil.which, names))]


def commands() -> Commands:
    """Return where they are. Raises FileNotFoundError."""
    if absent := missing():
        raise FileNotFoundError(", ".join(absent))
    found = (next(path for name in names if (path := shutil.which(name))) for names in PACKAGES.values())
    return Commands(*found)


def quick_rules(folder: Path) -> tuple[str, str]:
    """Copy the shipped rules into ``folder``, with alerts that hold two seconds; return the old holds and the new."""
    held = []
    for name in ("guard-rules.yml", "guard-alerts.yml"):
        text = (shipped_monitoring() / name).read_text(encoding="utf-8")
        held += [match[0].split()[-1] for match in HOLD.finditer(text)]
        (folder / name).write_text(HOLD.sub(rf"\1 {HOLD_SECONDS}s", text), encoding="utf-8")
    return f"{min(held, key=_minutes)} to {max(held, key=_minutes)}", f"{HOLD_SECONDS} s"


def scraping(targets: Sequence[str], alertmanager: str) -> dict[str, Any]:
    """Return a Prometheus configuration for the admin ports ``targets`` (``host:port``), beside the copied rules."""
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": ["guard-rules.yml", "guard-alerts.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{"job_name": "guard", "static_configs": [{"targets": list(targets)}]}],
    }


def routing(webhook: str) -> dict[str, Any]:
    """Return the shipped Alertmanager configuration with every receiver at ``webhook`` and one second to group."""
    text = (shipped_monitoring() / "alertmanager.yml").read_text(encoding="utf-8")
    config: dict[str, Any] = yaml.safe_load(text)
    config["route"] |= {"group_wait": f"{GROUP_SECONDS}s", "group_interval": f"{GROUP_SECONDS}s"}
    config["receivers"] = [
        {"name": receiver["name"], "webhook_configs": [{"url": webhook}]} for receiver in config["receivers"]
    ]
    return config


@contextmanager
def watching(folder: Path, targets: Sequence[str], webhook: str) -> Iterator[Monitoring]:
    """Run both servers on loopback ports; they end with the context. Raises FileNotFoundError, DidNotStart."""
    found, held = commands(), quick_rules(folder)
    prometheus, alertmanager = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    for name, config in (("prometheus", scraping(targets, alertmanager)), ("alertmanager", routing(webhook))):
        (folder / f"{name}.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    alerter = [found.alertmanager, f"--config.file={folder / 'alertmanager.yml'}", "--cluster.listen-address="]
    alerter += [f"--web.listen-address={alertmanager}", f"--storage.path={folder / 'alertmanager'}"]
    scraper = [found.prometheus, f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={prometheus}"]
    scraper += [f"--storage.tsdb.path={folder / 'prometheus'}"]
    with (
        Server("alertmanager", alerter, f"http://{alertmanager}/-/ready", folder / "alertmanager.log") as first,
        Server("prometheus", scraper, f"http://{prometheus}/-/ready", folder / "prometheus.log") as second,
    ):
        first.wait_ready(READY_SECONDS)
        second.wait_ready(READY_SECONDS)
        yield Monitoring(f"http://{prometheus}", f"http://{alertmanager}", held)


def _minutes(duration: str) -> float:
    return float(duration[:-1]) * {"s": 1 / 60, "m": 1, "h": 60}[duration[-1]]
