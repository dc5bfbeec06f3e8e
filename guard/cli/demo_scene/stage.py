"""What a scene is played on: where Guard listens, its configuration file, and what the upstream says unguarded."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LLAMA, QWEN = "demo-llama-2", "demo-qwen"
"""Served names of two models under licenses with different duties; the licenses are stated in the configuration."""
LIMIT = 3
"""Users a month: a demo-sized limit that the operator sets below the license's own 100 million."""


class Reply:
    """An admin port's answer: status and text."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text

    def json(self) -> Any:
        """Return the answer's JSON."""
        return json.loads(self.text)


@dataclass
class Stage:
    """A running deployment of Guard before an inference server."""

    url: str
    """Where clients connect: Guard, in the place of the server."""
    admin: str
    """Guard's admin port."""
    folder: Path
    """Holds guard.yaml, Guard's state and whatever the scene writes."""
    settings: dict[str, Any]
    """guard.yaml as data."""
    guard: Sequence[str]
    """The guard command."""
    truth: Mapping[str, str]
    """Prompt to the answer that the upstream gives when Guard is not there (temperature 0: always the same)."""
    cut_prompt: str
    """The prompt whose answer runs into a blocking rule."""
    cut_text: str
    """The passage of that answer that must not come out."""

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "guard.yaml"

    def configure(self, **changes: Any) -> None:
        """Write guard.yaml with ``changes`` to its top-level settings."""
        self.settings = {**self.settings, **changes}
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False), encoding="utf-8")

    def ask_admin(self, path: str, method: str = "GET") -> Reply:
        """Return the admin port's answer."""
        request = urllib.request.Request(f"{self.admin}{path}", method=method)  # noqa: S310 - our own loopback port
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
                return Reply(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read().decode())

    def metric(self, name: str, **labels: str) -> dict[str, float]:
        """Return the samples of the metric ``name`` that carry ``labels``, by their full label text."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        found = {}
        for line in self.ask_admin("/metrics").text.splitlines():
            head, _, value = line.rpartition(" ")
            if head.split("{")[0] == name and all(label in head for label in wanted):
                found[head[len(name) :]] = float(value)
        return found

    def run_guard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the guard command and return what it printed and its exit code."""
        command = [*self.guard, *arguments]
        return subprocess.run(  # noqa: S603 - our own command, an argument vector
            command, capture_output=True, text=True, check=False, timeout=120
        )


def settings(upstream: str, listen: str, admin: str, folder: Path) -> dict[str, Any]:
    """Return the demo's configuration."""
    return {
        "upstream": upstream,
        "listen": listen,
        "admin": admin,
        "state_dir": str(folder / "state"),
        "models": {LLAMA: {"license": "llama-2"}, QWEN: {"license": "qwen-2024"}},
        "usage": {"limits": {"qwen-2024": LIMIT}, "at_limit": "refuse_newcomers"},
    }
