"""Every example of ``docs/usage.md`` shows what the command prints; run as a script this file writes them anew."""

import random
import re
import shlex
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pytest
from ledger_files import MONTH, NOON, RUN, TODAY, gateway
from usage_world import PRINT

import guard
from guard.cli.usage import app
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.ledger import Scope

PAGE = Path(__file__).parents[2] / "docs" / "usage.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def build(directory):
    """Gateway a has counted since August, b a month under the same key, c another under a key of its own."""
    for name in ("state", "b", "c"):
        (directory / name / "spool").mkdir(parents=True)
    (directory / "guard.yaml").write_text(
        "state_dir: state\nmodels:\n  chat: {license: qwen-2024}\nusage: {limits: {qwen-2024: 3800}}\n"
    )
    for name in ("b", "c"):
        (directory / f"{name}.yaml").write_text(f"state_dir: {name}\nmodels:\n  chat: {{license: qwen-2024}}\n")
    rng, month, people = random.Random(4), "", []
    ledger = open_ledger(sqlite_url(directory / "state" / "ledger.db"))
    ledger.bind("UTC")
    for ago in range(100, -1, -1):
        day = (date.fromisoformat(TODAY) - timedelta(ago)).isoformat()
        if day[:7] != month:
            month, before, people = day[:7], people, []
            ledger.claim_key(month, PRINT)
        people += [*range(ago * 100 + 1, ago * 100 + 1 + rng.randint(20, 30)), *rng.sample(before, len(before) // 20)]
        unidentified = {Scope(month, "qwen-2024"): 41} if month == MONTH else {}
        ledger.write({Scope(month, "qwen-2024"): people}, unidentified, owner="a", day=day)
    ledger.close()
    gateway(directory / "b" / "ledger.db", {"qwen-2024": [*sorted({*people})[:200], *range(-150, 0)]}, unidentified=12)
    gateway(directory / "c" / "ledger.db", {"qwen-2024": range(500)}, key="5d1c7a90e2b4f386")


def printed(block):
    """Run the command of ``block`` and return it with what it prints, without digests of files that change."""
    command = re.match(r"\$ guard usage ((?:.*\\\n)*.*)\n", block)
    result = RUN.invoke(app, shlex.split(command[1].replace("\\\n", " ")))
    assert result.exception is None or isinstance(result.exception, SystemExit), block
    output = re.sub(rf"Guard {re.escape(guard.__version__)}\b", "Guard 1.0.0", result.output)
    return command[0] + re.sub(r"\b[0-9a-f]{64}\b", "(64 digits)", output)


def rewritten(directory, monkeypatch):
    """Return the page with what its commands print in ``directory``, at noon of 2026-11-22."""
    build(directory)
    monkeypatch.chdir(directory)
    monkeypatch.setattr("time.time", lambda: NOON)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    return BLOCK.sub(lambda block: f"```console\n{printed(block[1])}```", PAGE.read_text(encoding="utf-8"))


def test_the_examples_of_the_page_are_what_is_printed(tmp_path, monkeypatch):
    page = PAGE.read_text(encoding="utf-8")
    assert len(BLOCK.findall(page)) > 8
    assert rewritten(tmp_path, monkeypatch) == page


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        PAGE.write_text(rewritten(Path(made), patch), encoding="utf-8")
