"""The whole road: a real Guard, a real Prometheus with the rules, a real Alertmanager, and a webhook at its end."""

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import nullcontext

import pytest
import yaml

from guard.cli.demo_scene import alerts, monitoring
from guard.cli.demo_scene.process import Server, free_port
from guard.cli.demo_scene.scene import BRIDGES, ask
from guard.cli.demo_scene.stage import LLAMA, Stage
from guard.cli.demo_scene.webhook import Webhook, receiving
from guard.cli.main import run

DEMO = (sys.executable, "-m", "guard", "demo", "--alerts")
SECONDS = 90.0


@pytest.mark.slow
def test_the_demo_says_which_packages_are_missing(tmp_path):
    done = subprocess.run(
        [*DEMO, "--once"], capture_output=True, text=True, check=False, env={**os.environ, "PATH": str(tmp_path)}
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert "apt-get install --no-install-recommends prometheus prometheus-alertmanager" in done.stderr


@pytest.mark.slow
def test_the_demo_of_alerts_is_not_for_vllm():
    done = subprocess.run([*DEMO, "--vllm"], capture_output=True, text=True, check=False)
    assert done.returncode == 64


def test_the_copy_of_the_rules_differs_only_in_how_long_alerts_hold(tmp_path):
    held = monitoring.quick_rules(tmp_path)
    assert held == ("1m to 1h", "2 s")
    for name in ("guard-rules.yml", "guard-alerts.yml"):
        shipped = yaml.safe_load((monitoring.shipped_monitoring() / name).read_text(encoding="utf-8"))
        copy = yaml.safe_load((tmp_path / name).read_text(encoding="utf-8"))
        for rule in (rule for group in shipped["groups"] for rule in group["rules"] if "for" in rule):
            rule["for"] = "2s"
        assert copy == shipped


def test_a_webhook_keeps_what_fires_and_refuses_what_is_no_notification():
    with receiving() as webhook:

        def send(body):
            request = urllib.request.Request(webhook.url, body)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status

        with pytest.raises(OSError, match="400"):
            send(b"{}")
        quiet = {"status": "resolved", "labels": {"alertname": "GuardDown"}}
        loud = {"status": "firing", "labels": {"alertname": "GuardDown", "instance": "b"}}
        assert send(json.dumps({"receiver": "pager", "alerts": [quiet, loud]}).encode()) == 200
        assert webhook.wait("GuardDown", 5) == {"receiver": "pager", **loud}
        assert webhook.wait("GuardDown", 0, lambda alert: alert["labels"].get("instance") == "a") is None
        assert len(webhook.alerts()) == 2


def test_an_alert_that_does_not_come_is_waited_for_no_longer_than_said():
    assert Webhook().wait("GuardDown", 0) is None


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_an_alert_that_did_not_arrive_is_said_and_ends_with_1(words, monkeypatch, capsys):
    nothing = alerts.Watched(None, monitoring.Monitoring("http://p", "http://a", ("1m to 1h", "2 s")), Webhook())
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(monitoring, "missing", list)
    monkeypatch.setattr(alerts, "deployed", lambda folder: nullcontext(nothing))
    monkeypatch.setattr(alerts, "ask", lambda *_, **__: None)
    monkeypatch.setattr(alerts, "SECONDS", 0.0)
    assert run(["demo", "--alerts", "--once", *words]) == 1
    shown = capsys.readouterr()
    if words:
        assert json.loads(shown.out)["received"] is False
        assert shown.err.splitlines()[-1] == "no alert received"
    else:
        assert "GuardUsersAt80Percent did not arrive within 0 s" in shown.out
        assert shown.out.splitlines()[-1] == "no alert received"


def value(prometheus, query, expected):
    """Poll until the query has one sample with the value ``expected``; return its labels."""
    url = f"{prometheus}/api/v1/query?query={urllib.parse.quote(query)}"
    end, found = time.monotonic() + SECONDS, None
    while time.monotonic() < end:
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        if len(found) == 1 and float(found[0]["value"][1]) == expected:
            return found[0]["metric"]
        time.sleep(0.2)
    raise AssertionError(f"{query}: {found}")


@pytest.mark.slow
def test_users_pass_80_percent_and_the_webhook_hears_of_it():
    done = subprocess.run([*DEMO, "--once", "--json"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    alert = shown["alert"]
    assert shown["received"] is True
    assert alert["receiver"] == "guard-license-desk"
    assert alert["labels"] | {"job": "guard"} == {
        "alertname": "GuardUsersAt80Percent", "severity": "warning", "threshold": "80", "license": "qwen-2024",
        "limit": "operator", "job": "guard",
    }  # fmt: skip
    assert alert["annotations"] == {
        "summary": "qwen-2024: users at 85% of limit operator",
        "description": "17 of 20 users count against limit operator of license qwen-2024.",
        # Counting began with the demo.
        "meaning": "No upper bound is known: these are all users that were counted or stated, and there may be more; "
        "there are at least 17.",
        "runbook_url": "docs/runbooks.md#guardusersat80percent",
    }
    assert "alerts hold 2 s before they are sent" in done.stderr


@pytest.mark.slow
def test_a_ledger_that_dies_is_paged_and_its_return_too(tmp_path):
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]

    def serve():
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    redis = serve()
    try:
        with alerts.deployed(tmp_path, {"ledger": f"redis://127.0.0.1:{port}/0"}) as watched:
            ask(watched.stage, LLAMA, "user-1", BRIDGES, max_tokens=4)
            value(watched.monitoring.prometheus, "min(guard_mau_ledger_up)", 1)
            redis.kill()
            redis.wait()
            ask(watched.stage, LLAMA, "user-2", BRIDGES, max_tokens=4)
            alert = watched.webhook.wait("GuardLedgerDown", SECONDS)
            assert alert is not None
            assert alert["receiver"] == "guard-pager"
            assert alert["labels"]["instance"] == urllib.parse.urlsplit(watched.stage.admin).netloc
            redis = serve()
            value(watched.monitoring.prometheus, 'ledger_license:guard_license_mau:max{license="llama-2"}', 2)
            assert watched.webhook.wait("GuardLedgerReplayed", SECONDS), "Redis came back without its data"
    finally:
        redis.kill()
        redis.wait()


INSIDE = """
import sys, uvicorn
from guard.cli.demo_scene.deployment import SCRIPT
from guard.cli.demo_scene.stage import LLAMA, QWEN
from guard.cli.demo_scene.upstream import Upstream
from guard.transports.vllm import Guard
uvicorn.run(Guard(Upstream((LLAMA, QWEN), SCRIPT)), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


@pytest.mark.slow
def test_two_processes_inside_the_server_are_one_target_with_one_right_number(tmp_path):
    """As `vllm serve --api-server-count 2`: the first process answers for both."""
    (tmp_path / "metrics").mkdir()
    admin = f"127.0.0.1:{free_port()}"
    config = {"admin": admin, "state_dir": str(tmp_path / "state"), "models": {LLAMA: {"license": "llama-2"}}}
    (tmp_path / "guard.yaml").write_text(yaml.safe_dump(config))
    surroundings = {
        "GUARD_CONFIG": str(tmp_path / "guard.yaml"), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")
    }  # fmt: skip

    def inside(port):
        command = (sys.executable, "-c", INSIDE, str(port))
        return Server(f"api {port}", command, f"http://127.0.0.1:{port}/health", tmp_path / "api.log", surroundings)

    ports = [free_port(), free_port()]
    with inside(ports[0]) as first, inside(ports[1]) as second:
        first.wait_ready(60)
        second.wait_ready(60)
        for number, port in enumerate(ports):  # 6 and 6 users, two of whom come to both
            stage = Stage(f"http://127.0.0.1:{port}", f"http://{admin}", tmp_path, {}, (), {}, "", "")
            for user in range(4 * number, 4 * number + 6):
                ask(stage, LLAMA, f"user-{user}", BRIDGES, max_tokens=4)
        with receiving() as webhook, monitoring.watching(tmp_path, [admin], webhook.url) as watching:
            prometheus = watching.prometheus
            assert value(prometheus, 'ledger_license:guard_license_mau:max{license="llama-2"}', 10)
            value(prometheus, 'sum(guard_requests_total{decision="allow"})', 12)
            value(prometheus, "sum(guard_identity_total)", 12)
            value(prometheus, 'sum(guard_overhead_seconds_count{phase="request"})', 12)
            value(prometheus, 'count({__name__=~"guard_license_mau", license="llama-2"})', 1)
            value(prometheus, "count(guard_build_info)", 1)
