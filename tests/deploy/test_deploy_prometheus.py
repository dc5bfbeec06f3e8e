"""Rules, alerts, runbooks and the documentation say the same, and name only metrics that Guard has."""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from guard.observability.audit import AuditMetrics
from guard.observability.gauges import UsageCollector
from guard.observability.judge import JudgeMetrics
from guard.observability.metrics import Metrics

ROOT = Path(__file__).parent.parent.parent
HERE = ROOT / "deploy" / "prometheus"
CASES = sorted((HERE / "tests").glob("*.yml"))
METRIC = re.compile(r"(?<![:\w])(guard_[a-z0-9_]+)(?![\w:.])")
RECORDED = re.compile(r"\b\w+:guard_\w+:\w+")
ISSUE = {
    "guard_license_limit_users",
    "guard_license_mau_limit",
    "guard_license_threshold_state",
    "guard_license_forecast_days",
    "guard_license_attested",
    "guard_license_attestation_expires_timestamp_seconds",
    "guard_mau_ledger_up",
    "guard_license_mau_lost",
    "guard_mau_ledger_replays",
    "guard_mau_spool_oldest_seconds",
    "guard_mau_spool_writable",
    "guard_mau_spool_damaged_records",
    "guard_mau_unspooled_sightings",
    "guard_requests_unidentified_total",
    "guard_identity_churn_ratio",
    "guard_policy_last_reload_successful",
    "guard_policy_checked_timestamp_seconds",
    "guard_policy_info",
    "guard_candidate_last_reload_successful",
    "guard_jwks_age_seconds",
    "guard_jwks_up",
    "guard_license_file_drift",
    "guard_screen_not_evaluated_total",
    "guard_requests_total",
    "guard_judge_breaker_open",
    "guard_audit_chain_intact",
    "guard_audit_writable",
    "guard_audit_refused_total",
    "guard_audit_head_sent_timestamp_seconds",
    "guard_audit_head_failures_total",
    "guard_index_up",
    "guard_index_uploads_total",
    "guard_behavior_step_total",
    "guard_overhead_seconds_bucket",
    "guard_build_info",
    "guard_workers_up",
}
"""What there is to be alerted on."""


def rules(name):
    groups = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("guard-alerts.yml")}
RECORDS = {rule["record"]: rule for rule in rules("guard-rules.yml")}
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


def exported():
    """The name of every series that a Guard can export, from its own registry."""

    def unread():
        raise OSError("families without samples are enough")

    registry = CollectorRegistry()
    Metrics(registry)
    AuditMetrics(registry, heads=True)
    JudgeMetrics(registry)
    registry.register(UsageCollector(unread))
    yield from ("guard_workers", "guard_workers_up", "guard_worker_restarts_total")  # of no process: the supervisor's
    for family in registry.collect():
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        yield from (family.name + end for end in ends)


def test_every_metric_that_rules_and_pages_name_is_one_that_guard_exports():
    known = set(exported())
    families = {name.removesuffix("_bucket") for name in known}
    for path in (HERE / "guard-rules.yml", HERE / "guard-alerts.yml", *CASES):
        named = set(METRIC.findall(path.read_text(encoding="utf-8")))
        assert named <= known, path.name
    for text in (PAGE, RUNBOOKS):
        named = set(METRIC.findall(text))
        assert named
        assert named <= known | families


def test_everything_that_there_is_to_be_alerted_on_is():
    """An expression names it itself, or by the recorded series that it is in."""
    used = " ".join(rule["expr"] for rule in ALERTS.values())
    while recorded := RECORDED.findall(used):
        used = RECORDED.sub("", used) + " ".join(RECORDS[name]["expr"] for name in recorded)
    assert sorted(ISSUE - set(METRIC.findall(used))) == []


def test_what_is_recorded_is_named_by_level_metric_and_operation():
    levels = {
        "ledger_license", "ledger_license_limit", "ledger_license_limit_bound",
        "job", "job_decision_reason", "job_phase", "job_category", "job_step",
    }  # fmt: skip
    for name in RECORDS:
        level, metric, operation = name.split(":")
        assert level in levels
        assert metric.startswith("guard_")
        assert operation
    text = (HERE / "guard-alerts.yml").read_text(encoding="utf-8") + PAGE + RUNBOOKS
    assert set(RECORDED.findall(text)) - {"level:guard_metric:operations"} <= set(RECORDS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_how_bad_it_is_what_it_means_and_what_to_do(name):
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"info", "warning", "critical"}
    assert {"summary", "description", "meaning", "runbook_url"} == set(alert["annotations"])
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL)
    assert section, "no runbook"
    for part in ("Means", "See", "Do first", "Waiting costs", "Clears"):
        assert f"- **{part}:**" in section[1], part


def test_there_is_no_runbook_for_an_alert_that_is_not():
    assert re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE) == list(ALERTS)


def test_the_table_of_alerts_is_the_file():
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks\.md#(\w+)\) \| (\w+) \| (\w*) ?\|", PAGE, re.MULTILINE)
    assert rows == [
        (name, name.lower(), rule["labels"]["severity"], rule.get("for", "")) for name, rule in ALERTS.items()
    ]


def cases():
    for path in CASES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            yield from group.get("alert_rule_test", ())
            yield from group.get("promql_expr_test", ())


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    fires = {case["alertname"] for case in cases() if case.get("exp_alerts")}
    quiet = {case["alertname"] for case in cases() if "alertname" in case and not case["exp_alerts"]}
    assert (fires, quiet) == (set(ALERTS), set(ALERTS))


def test_every_recorded_series_has_a_case():
    read = {name for case in cases() if case.get("exp_samples") for name in RECORDED.findall(case["expr"])}
    assert read == set(RECORDS)


def test_thresholds_are_labels_and_the_nearer_one_keeps_the_others_quiet():
    of_users = {name: rule["labels"]["threshold"] for name, rule in ALERTS.items() if "threshold" in rule["labels"]}
    assert list(of_users.values()) == ["50", "80", "95", "100"]
    inhibit = yaml.safe_load((HERE / "alertmanager.yml").read_text(encoding="utf-8"))["inhibit_rules"]
    named = re.compile(r'alertname =~? "?([^"]+)"?')
    quiet = {}
    for rule in inhibit:
        (source,), (target,) = rule["source_matchers"], rule["target_matchers"]
        pattern = re.compile(named.match(target)[1])
        targets = {name for name in ALERTS if pattern.fullmatch(name)}
        assert targets, target
        quiet.setdefault(named.match(source)[1], {}).update(dict.fromkeys(targets, tuple(rule["equal"])))
    assert set(quiet) <= set(ALERTS)
    names = list(of_users)
    for number, name in enumerate(names[1:], 1):
        for lower in names[:number]:
            assert quiet[name][lower] == ("ledger", "license", "limit")
    assert quiet["GuardLedgerDown"]["GuardForecastWithin30Days"] == ("ledger",)


def tool(*command):
    assert shutil.which(command[0]), f"there is no {command[0]}: .ci/packages installs it"
    quick = {**os.environ, "GOGC": "800"}  # a third of promtool's time is the collecting of garbage
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env=quick)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_promtool_finds_nothing_wrong_and_every_case_holds():
    code, said = tool("promtool", "check", "rules", str(HERE / "guard-rules.yml"), str(HERE / "guard-alerts.yml"))
    assert code == 0, said
    code, said = tool("promtool", "check", "config", str(HERE / "prometheus.yml"))
    assert code == 0, said
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # by itself it takes one file after the other, and one core
        largest = sorted(CASES, key=lambda path: -path.stat().st_size)
        for code, said in pool.map(lambda path: tool("promtool", "test", "rules", str(path)), largest):
            assert code == 0, said


@pytest.mark.slow
def test_promtool_would_find_a_case_that_does_not_hold(tmp_path):
    shutil.copytree(HERE, tmp_path, dirs_exist_ok=True)
    rules_file = tmp_path / "guard-alerts.yml"
    rules_file.write_text(
        rules_file.read_text(encoding="utf-8").replace("ratio_rate1h > 0.05", "ratio_rate1h > 0.5"), encoding="utf-8"
    )
    code, said = tool("promtool", "test", "rules", str(tmp_path / "tests" / "identity.yml"))
    assert code == 1
    assert "GuardUnidentifiedShare" in said


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "receiver"), [
    (["severity=critical", "job=guard"], "guard-pager"),
    (["severity=critical", "license=qwen-2024", "limit=operator"], "guard-pager,guard-license-desk"),
    (["severity=critical", "license=qwen-2024", "ledger=eu"], "guard-pager,guard-license-desk"),
    (["severity=critical", "license="], "guard-pager"),
    (["severity=warning", "license=qwen-2024", "limit=mau_100m"], "guard-license-desk"),
    (["severity=warning", "job=guard"], "guard-tickets"),
    (["severity=info", "license=qwen-2024"], "guard-log"),
    (["severity=info"], "guard-log"),
])  # fmt: skip
def test_alerts_go_where_the_example_says(labels, receiver):
    """What touches a license comes to the license desk however bad it is: 95 % keeps the desk's 80 % quiet."""
    config = str(HERE / "alertmanager.yml")
    assert tool("amtool", "check-config", config)[0] == 0
    route = ["amtool", "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receiver}"]
    code, said = tool(*route, *labels)
    assert code == 0, said
