"""The metrics: the contract's names, bounded labels, equal to what the library itself would count."""

import subprocess
import sys
import textwrap

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from guard.observability.audit import AuditMetrics
from guard.observability.gauges import (
    AuditReading,
    ForecastReading,
    KeySetReading,
    LicenseReading,
    LimitReading,
    UsageCollector,
    UsageReading,
    WindowReading,
)
from guard.observability.metrics import MAX_SERIES, OVERHEAD_BUCKETS, Metrics, exposition
from guard.usage.thresholds import State

CONTRACT = {
    "guard_requests_total": ("decision", "reason", "license"),
    "guard_overhead_seconds": ("phase",),
    "guard_license_mau": ("license", "kind"),
    "guard_license_mau_lower": ("license",),
    "guard_license_mau_upper": ("license",),
    "guard_license_mau_limit": ("license", "limit"),
    "guard_license_limit_users": ("license", "limit", "bound"),
    "guard_license_mau_declared": ("license",),
    "guard_license_threshold_state": ("license", "limit", "state"),
    "guard_license_attested": ("license", "limit"),
    "guard_mau_first_sightings_total": (),
    "guard_mau_spool_records": (),
    "guard_mau_spool_oldest_seconds": (),
    "guard_license_mau_lost": ("license",),
    "guard_license_active_users": ("license", "window", "bound"),
    "guard_mau_ledger_up": (),
    "guard_mau_ledger_replays": (),
    "guard_mau_spool_writable": (),
    "guard_mau_spool_damaged_records": (),
    "guard_mau_unspooled_sightings": (),
    "guard_identity_total": ("source",),
    "guard_requests_unidentified_total": (),
    "guard_screen_findings_total": ("category", "direction", "action"),
    "guard_screen_not_evaluated_total": ("reason",),
    "guard_screen_parts_total": ("type", "outcome"),
    "guard_stream_holdback_seconds": (),
    "guard_screen_wait_seconds": (),
    "guard_export_checks_total": ("verdict",),
    "guard_receipts_total": (),
    "guard_policy_info": ("hash",),
    "guard_policy_last_reload_successful": (),
    "guard_policy_last_reload_success_timestamp_seconds": (),
    "guard_policy_checked_timestamp_seconds": (),
    "guard_license_forecast_days": ("license", "limit", "bound"),
    "guard_license_attestation_expires_timestamp_seconds": ("license", "limit"),
    "guard_audit_chain_length": (),
    "guard_audit_chain_intact": (),
    "guard_audit_writable": (),
    "guard_audit_head_sent_timestamp_seconds": (),
    "guard_index_up": (),
    "guard_build_info": ("version",),
}

READING = UsageReading(
    licenses=(
        LicenseReading(
            "llama-3.1", 120, 120, 130, True, (LimitReading("mau", 700_000_000, State.OK, 1000, 1130, 1130),), declared=1000
        ),
        LicenseReading(
            "qwen", 99, 90, None, False, (LimitReading("mau", 100, State.APPROACHING, 90, 99, None),), lost=2,
            windows=(WindowReading("day", 9, 8, 10), WindowReading("rolling_28", 80, 80, None)),
        ),
    ),
    spool_records=3,
    spool_oldest_seconds=1.5,
    ledger_up=True,
    policy_hash="abc",
    spool_writable=False,
    unspooled=4,
    damaged_records=5,
    ledger_replays=6,
    audit=AuditReading(7, intact=False, writable=True, head_sent=1_795_000_000.0),
    index_up=True,
    policy_checked=1_795_000_100.0,
    forecasts=(ForecastReading("llama-3.1", "mau", 12, 40), ForecastReading("qwen", "mau", 300, None)),
    attested_until={("llama-3.1", "mau"): 1_800_000_000.0},
    attested={("llama-3.1", "mau"): True, ("dbrx", "mau"): False},
)  # fmt: skip


def use_everything(metrics):
    metrics.request("deny", "aup", "llama-3.1")
    metrics.overhead("request", 5e-5)
    metrics.identity("jwt")
    metrics.unidentified()
    metrics.first_sighting()
    metrics.finding("S1", "prompt", "block")
    metrics.not_evaluated("timeout")
    metrics.parts("text", "scanned", 3)
    metrics.holdback(0.02)
    metrics.waited(0.02)
    metrics.export_check("deny")
    metrics.receipt()


def scrape(registry):
    """Return samples by (name, labels)."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition(registry).decode())
        for sample in family.samples
    }


def full_registry(read=lambda: READING):
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    registry.register(UsageCollector(read))
    return registry, metrics


def test_every_metric_of_the_contract_is_there_under_its_name_and_labels():
    registry, metrics = full_registry()
    use_everything(metrics)
    seen = {}
    for name, labels in scrape(registry):
        base = next((name.removesuffix(end) for end in ("_bucket", "_count", "_sum") if name.endswith(end)), name)
        seen.setdefault(base, set()).update(label for label, _ in labels if label != "le")
    assert {name: set(labels) for name, labels in CONTRACT.items()} == seen
    assert not any(name.endswith("_created") for name in seen)


def test_usage_is_read_at_scrape_time():
    registry, _ = full_registry()
    samples = scrape(registry)
    llama, qwen = (("license", "llama-3.1"),), (("license", "qwen"),)
    assert samples["guard_license_mau", (("kind", "exact"), *llama)] == 120
    assert samples["guard_license_mau", (("kind", "estimate"), *qwen)] == 99
    assert samples["guard_license_mau_upper", llama] == 130
    assert ("guard_license_mau_upper", qwen) not in samples  # no bound is known: no number is shown
    assert samples["guard_license_mau_declared", llama] == 1000
    assert samples["guard_license_mau_limit", (*llama, ("limit", "mau"))] == 700_000_000
    assert samples["guard_license_attested", (*llama, ("limit", "mau"))] == 1
    assert samples["guard_license_attested", (("license", "dbrx"), ("limit", "mau"))] == 0
    states = {
        dict(labels)["state"]: value
        for (name, labels), value in samples.items()
        if name == "guard_license_threshold_state" and ("license", "qwen") in labels
    }
    assert states == {"ok": 0, "approaching": 1, "over": 0}
    held = {
        (dict(labels)["license"], dict(labels)["bound"]): value
        for (name, labels), value in samples.items()
        if name == "guard_license_limit_users"
    }
    assert held == {
        ("llama-3.1", "lower"): 1000, ("llama-3.1", "held"): 1130, ("llama-3.1", "upper"): 1130,
        ("qwen", "lower"): 90, ("qwen", "held"): 99,  # nothing bounds it from above: no number is shown
    }  # fmt: skip
    windows = {
        (dict(labels)["window"], dict(labels)["bound"]): value
        for (name, labels), value in samples.items()
        if name == "guard_license_active_users"
    }
    assert windows == {
        ("day", "users"): 9, ("day", "lower"): 8, ("day", "upper"): 10,
        ("rolling_28", "users"): 80, ("rolling_28", "lower"): 80,
    }  # fmt: skip
    assert (samples["guard_license_mau_lost", qwen], samples["guard_license_mau_lost", llama]) == (2, 0)
    assert samples["guard_mau_spool_records", ()] == 3
    health = ("ledger_replays", "spool_writable", "spool_damaged_records", "unspooled_sightings")
    assert [samples[f"guard_mau_{name}", ()] for name in health] == [6, 0, 5, 4]
    assert samples["guard_policy_info", (("hash", "abc"),)] == 1


def test_a_reading_that_fails_spoils_no_scrape(caplog):
    def fail():
        raise OSError("ledger")

    registry, metrics = full_registry(fail)
    metrics.identity("jwt")
    samples = scrape(registry)
    assert samples["guard_identity_total", (("source", "jwt"),)] == 1
    assert not any(name.startswith("guard_license") for name, _ in samples)
    assert "usage could not be read" in caplog.text


def test_a_failed_reload_shows_and_keeps_the_time_of_the_last_good_one():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.reloaded(ok=True, now=1000.0)
    metrics.reloaded(ok=False, now=2000.0)
    samples = scrape(registry)
    assert samples["guard_policy_last_reload_successful", ()] == 0
    assert samples["guard_policy_last_reload_success_timestamp_seconds", ()] == 1000


def test_labels_are_bounded_whatever_callers_pass():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for number in range(MAX_SERIES + 50):
        metrics.request("allow", "served", f"license-{number}")
        metrics.request("allow", "served", f"license-{number}")
    counted = {labels: value for (name, labels), value in scrape(registry).items() if name == "guard_requests_total"}
    assert len(counted) == MAX_SERIES + 1
    assert counted[("decision", "other"), ("license", "other"), ("reason", "other")] == 100
    assert sum(counted.values()) == 2 * (MAX_SERIES + 50)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.floats(0, 2), st.sampled_from(OVERHEAD_BUCKETS)), max_size=30))
def test_observing_is_the_same_as_the_library_does_it(values):
    registry, other = CollectorRegistry(), CollectorRegistry()
    metrics = Metrics(registry)
    reference = Histogram("guard_overhead_seconds", "x", ["phase"], registry=other, buckets=OVERHEAD_BUCKETS)
    for value in values:
        metrics.overhead("chunk", value)
        reference.labels("chunk").observe(value)
    ours = {key: value for key, value in scrape(registry).items() if key[0].startswith("guard_overhead")}
    assert ours == scrape(other)


def test_several_processes_add_up_and_the_hosts_own_metrics_stay_out(tmp_path):
    """As under vLLM with several API servers: PROMETHEUS_MULTIPROC_DIR set before anything is imported."""
    program = textwrap.dedent("""
        import sys
        from prometheus_client import CollectorRegistry, Counter
        from guard.observability.audit import AuditMetrics
        from guard.observability.gauges import *
        from guard.observability.metrics import *
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        registry.register(UsageCollector(lambda: UsageReading(
            (LicenseReading("llama-3.1", 120, 120, 130, True),), 0, 0.0, True, "abc")))
        Counter("vllm_requests", "the host's", registry=CollectorRegistry()).inc()
        metrics.request("allow", "served", "llama-3.1")
        metrics.overhead("request", 5e-5)
        AuditMetrics(registry, heads=True).follow(2, 1)
        if sys.argv[1] == "bad":
            metrics.reloaded(ok=False)
        if sys.argv[1] == "scrape":
            sys.stdout.write(exposition(registry).decode())
    """)
    shown = ""
    for part in ("good", "bad", "scrape"):
        done = subprocess.run(
            [sys.executable, "-c", program, part],
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        shown = done.stdout
    assert 'guard_requests_total{decision="allow",license="llama-3.1",reason="served"} 3.0' in shown
    assert 'guard_overhead_seconds_count{phase="request"} 3.0' in shown
    assert 'guard_license_mau{kind="exact",license="llama-3.1"} 120.0' in shown
    assert "guard_policy_last_reload_successful 0.0" in shown
    assert "guard_audit_refused_total 6.0" in shown
    assert "guard_audit_head_failures_total 3.0" in shown
    assert "vllm" not in shown
    assert "_created" not in shown
    names = [line.split("{")[0].split(" ")[0] for line in shown.splitlines() if not line.startswith("#")]
    assert names.count("guard_mau_spool_records") == 1


def test_keys_behind_a_url_show_whether_they_are_fetched_and_how_old_they_are():
    keys = [KeySetReading("https://idp.example.org/keys", False, 4000.0)]
    samples = scrape(full_registry(lambda: READING._replace(key_sets=keys))[0])
    label = (("url", "https://idp.example.org/keys"),)
    assert (samples["guard_jwks_up", label], samples["guard_jwks_age_seconds", label]) == (0, 4000)
    assert not any("jwks" in name for name, _ in scrape(full_registry()[0])), "no series without a URL"


def test_the_audit_log_is_shown_while_there_is_one():
    samples = scrape(full_registry()[0])
    assert [samples[f"guard_audit_{name}", ()] for name in ("chain_length", "chain_intact", "writable")] == [7, 0, 1]
    assert samples["guard_audit_head_sent_timestamp_seconds", ()] == 1_795_000_000
    without_heads = READING._replace(audit=AuditReading(7, intact=True, writable=False))
    names = {name for name, _ in scrape(full_registry(lambda: without_heads)[0])}
    assert "guard_audit_writable" in names
    assert "guard_audit_head_sent_timestamp_seconds" not in names
    off = READING._replace(audit=None, index_up=None)
    assert not any("audit" in name or "index_up" in name for name, _ in scrape(full_registry(lambda: off)[0]))


def test_what_the_audit_log_refused_counts_once_however_often_it_is_looked_at():
    registry = CollectorRegistry()
    metrics = AuditMetrics(registry, heads=True)
    for refused, failures in ((0, 0), (3, 1), (3, 1), (5, 1)):
        metrics.follow(refused, failures)
    assert scrape(registry) == {("guard_audit_refused_total", ()): 5, ("guard_audit_head_failures_total", ()): 1}
    metrics.close()
    metrics.close()
    again = AuditMetrics(registry, heads=False)  # the next start: its journal counts from nothing
    again.follow(1)
    assert scrape(registry) == {("guard_audit_refused_total", ()): 1}


def test_days_until_a_limit_and_until_an_attestation_lapses():
    samples = scrape(full_registry()[0])
    days = {
        (dict(labels)["license"], dict(labels)["bound"]): value
        for (name, labels), value in samples.items()
        if name == "guard_license_forecast_days"
    }
    assert days == {("llama-3.1", "earliest"): 12, ("llama-3.1", "middle"): 40, ("qwen", "earliest"): 300}
    at = (("license", "llama-3.1"), ("limit", "mau"))
    assert samples["guard_license_attestation_expires_timestamp_seconds", at] == 1_800_000_000
