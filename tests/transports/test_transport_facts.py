"""The facts of a real gateway after real traffic, asked over its admin port: what console and alerts rest on."""

import json
import sys
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from guard.cli.demo_scene.deployment import serve_embedded
from guard.cli.demo_scene.process import Server, free_port
from guard.cli.demo_scene.script import Script
from guard.cli.demo_scene.upstream import Upstream

CONFIG = """\
upstream: {upstream}
listen: 127.0.0.1:{port}
admin: 127.0.0.1:{admin}
state_dir: {state}
models: {{tiny: {{license: llama-2}}, qwen: {{license: qwen-2024}}}}
usage: {{limits: {{qwen-2024: 3}}}}
evidence: {{heads: [{{file: {heads}}}], rotate_megabytes: 1}}
"""


class Gateway:
    def __init__(self, port, admin):
        self.port, self.admin = port, admin

    def ask(self, model, user, purpose=None):
        """Return the status of an answer and its reference."""
        body = {"model": model, "user": user, "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"content-type": "application/json", **({"x-guard-purpose": purpose} if purpose else {})}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/chat/completions", json.dumps(body).encode(), headers
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers["x-guard-reference"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["x-guard-reference"]

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=20) as answer:
            return json.load(answer)

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        return {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def until(self, look, true):
        deadline = time.monotonic() + 30
        while not true(found := look()):
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        return found


@pytest.mark.slow
def test_a_gateway_tells_what_it_did_and_how_it_is(tmp_path):
    heads = tmp_path / "heads.jsonl"
    with serve_embedded(Upstream(("tiny", "qwen"), Script({}), 0)) as upstream:
        gateway = Gateway(free_port(), free_port())
        config = tmp_path / "guard.yaml"
        config.write_text(CONFIG.format(
            upstream=upstream, port=gateway.port, admin=gateway.admin, state=tmp_path / "state", heads=heads
        ))  # fmt: skip
        command = [sys.executable, "-m", "guard", "serve", "--config", str(config)]
        server = Server("guard", command, f"http://127.0.0.1:{gateway.admin}/readyz", tmp_path / "guard.log")
        server.wait_ready(30)
        try:
            tell(gateway)
        finally:
            server.stop()
        server = Server("guard", command, f"http://127.0.0.1:{gateway.admin}/readyz", tmp_path / "guard.log")
        server.wait_ready(30)
        try:  # what was decided before the restart is still told
            assert numbers(gateway.get("/api/v1/history"))["output_use"] == 3
            assert len([row for row in gateway.get("/api/v1/decisions")["decisions"] if row["verdict"] == "deny"]) == 3
        finally:
            server.stop()


def numbers(history):
    found = {}
    for bucket in history["buckets"]:
        for count in bucket["counts"]:
            found[count["code"]] = found.get(count["code"], 0) + count["number"]
    return found


def tell(gateway):
    served = [gateway.ask("qwen", f"user-{number}") for number in range(5)]
    assert [status for status, _ in served] == [200] * 5
    refused = [gateway.ask("tiny", "mallory", "train:gemma-2-9b") for _ in range(3)]
    assert [status for status, _ in refused] == [403] * 3

    history = gateway.until(lambda: gateway.get("/api/v1/history"), lambda found: numbers(found).get("output_use") == 3)
    assert history["since"] <= time.time()
    found = gateway.get(f"/api/v1/decisions/{refused[0][1]}")
    assert found["explained"]["clause"]["clause"] == "1.b.v"
    assert found["entry"]["seq"] > 0

    def allowed():
        try:
            return gateway.get(f"/api/v1/decisions/{served[0][1]}")
        except urllib.error.HTTPError as error:
            with error:
                return {}

    receipts = gateway.until(allowed, bool)["explained"]["receipts"]
    assert [receipt["id"] for receipt in receipts] == [f"r-{served[0][1]}-0"]

    def forecast():
        rows = {row["license"]: row for row in gateway.get("/api/v1/usage")["usage"]}
        return {limit["value"]: limit["forecast"] for limit in rows["qwen-2024"]["limits"]}

    # The look at the start may have been too early: then the next one is a quarter of an hour away.
    forecasts = gateway.until(forecast, lambda found: all(each is not None for each in found.values()))
    assert forecasts[3]["verdict"] in {"crossed", "too_little_data"}

    parts = {part["name"]: part for part in gateway.get("/api/v1/health")["parts"]}
    assert {name: parts[name]["state"] for name in ("ledger", "spool", "audit", "heads", "index", "policy")} == {
        "ledger": "ok", "spool": "ok", "audit": "ok", "heads": "ok", "index": "ok", "policy": "ok",
    }  # fmt: skip
    assert parts["audit"]["facts"]["last_checkpoint"] <= time.time()
    due = gateway.get("/api/v1/due")["due"]
    assert "guard usage attest --license llama-2" in next(row["how"] for row in due if "attested" in row["what"])

    metrics = gateway.until(gateway.metrics, lambda found: found.get(("guard_audit_head_sent_timestamp_seconds",)))
    for name in ("guard_audit_chain_intact", "guard_audit_writable", "guard_index_up"):
        assert metrics[name,] == 1
    assert metrics["guard_audit_refused_total",] == metrics["guard_audit_head_failures_total",] == 0
    assert time.time() - metrics["guard_policy_checked_timestamp_seconds",] < 30
