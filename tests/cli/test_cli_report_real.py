"""``guard report`` over what a real gateway left behind, in processes of its own, and printed by a real Chromium."""

import json
import os
import re
import subprocess
import sys
import zlib
from datetime import UTC, datetime

import pytest

from guard.cli.demo_scene import deployment
from guard.cli.demo_scene.scene import SCENE, play

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A gateway that played the demo's scene, and has ended."""
    folder = tmp_path_factory.mktemp("played")
    month = datetime.now(UTC).strftime("%Y-%m")
    with deployment.embedded(folder) as stage:
        outcomes = {step.name: play(step, stage) for step in SCENE}
    assert [name for name, outcome in outcomes.items() if not outcome.passed] == []
    return folder, month


def report(folder, month, out, *arguments, code, **environment):
    command = [sys.executable, "-m", "guard", "report", "--month", month, "--out", str(out),
               "--config", str(folder / "guard.yaml"), *arguments]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120,
                          env={**os.environ, **environment})  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return {path.suffix[1:]: path.read_bytes() for path in sorted(out.iterdir())}


def test_the_report_agrees_with_what_was_sent_and_prints(played, tmp_path):
    folder, month = played
    files = report(folder, month, tmp_path / "out", "--pdf", code=1)  # nobody attests the users before Llama 2
    found = json.loads(files["json"])
    ran, bound, *attested = found["summary"]["must_be_known"]
    assert attested == [each["lacks"][:1].upper() + each["lacks"][1:] + "." for each in found["attestations"]]
    assert ran.startswith("Gateways are known to have run for ")
    assert bound.startswith("Nothing bounds the number of users of qwen-2024 from above; ")
    assert {row["license"]: row["verdict"] for row in found["summary"]["verdicts"]} == {
        "llama-2": "unknown", "qwen-2024": "within_counted",
    }  # fmt: skip
    assert {row["license"]: row["users"] for row in found["usage"]["licenses"]} == {"llama-2": 1, "qwen-2024": 4}
    refused = {(row["license"], row["code"]): row["number"] for row in found["decisions"]["refused"]}
    assert refused == {("llama-2", "aup"): 1, ("llama-2", "field_denied"): 1, ("qwen-2024", "usage_threshold"): 2}
    assert [(row["license"], row["number"]) for row in found["decisions"]["cut"]] == [("llama-2", 1)]
    policy = found["policy"]
    assert (len(policy["failed_reloads"]["rows"]), policy["configured_was_in_force"]) == (2, True)
    assert [row["change"] for row in policy["confirmed_changes"]["rows"]] == ["usage.limits.qwen-2024: 3 -> 100"]
    assert set(policy["seconds_by_mode"]) == {"enforce"}
    assert found["running"]["unclean_stops"] == 0
    assert [run["ended"] for run in found["running"]["runs"]] == ["closed"]
    chain = next(each for each in found["audit_chain"] if each["journal"] == "guard-0")
    assert (chain["verifies"], chain["signatures_checked"]) == (True, True)
    receipts = sum(row["number"] for row in found["receipts"]["receipts"])
    assert receipts == found["receipts"]["seals"]["sealed"] == chain["kinds"]["receipt"] >= 6
    assert found["receipts"]["index"][0]["complete"] is True
    assert str(folder).encode() not in files["json"] + files["html"]
    assert_printed(files["pdf"], found)


def assert_printed(pdf, found):
    """The PDF has several pages of the paper's size, and letters in them."""
    streams = [_inflated(raw) for raw in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)]
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf + b"".join(streams)))
    assert pages > 5
    shown = sum(len(re.findall(rb"\bT[jJ]\b", stream)) for stream in streams)
    assert shown > 500
    assert len(pdf) > 30_000
    assert f"License report {found['month']}".encode() in pdf


def _inflated(raw):
    try:
        return zlib.decompress(raw)
    except zlib.error:
        return raw


def test_hash_seed_locale_and_zone_change_nothing(played, tmp_path):
    folder, month = played
    one = report(folder, month, tmp_path / "one", code=1, PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C")
    two = report(folder, month, tmp_path / "two", code=1, PYTHONHASHSEED="2", TZ="Asia/Tokyo", LC_ALL="C.UTF-8")
    assert one == two


def test_one_flipped_byte_in_the_journal_is_found(played, tmp_path):
    folder, month = played
    path = folder / "state" / "audit" / "guard-0.jsonl"
    whole = path.read_bytes()
    at = whole.index(b'"kind":"seal"') + 60
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    try:
        found = json.loads(report(folder, month, tmp_path / "out", code=1)["json"])
    finally:
        path.write_bytes(whole)
    number = whole[:at].count(b"\n") + 1
    assert f"The audit chain guard-0 does not verify: entry {number}:" in found["summary"]["must_be_known"][0]
