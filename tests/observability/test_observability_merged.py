"""Several processes' metrics as those of one."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge

from guard.observability.gauges import GAUGES
from guard.observability.merged import RULES, Departed, Rule, families, merged
from guard.observability.metrics import Metrics, exposition

COUNTED = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.sampled_from(["allow", "deny"]), st.just('a "quoted" reason'), st.just("x y")),
        st.tuples(st.just("overhead"), st.sampled_from(["request", "chunk"]), st.floats(1e-6, 2.0)),
        st.tuples(st.just("parts"), st.just("text"), st.just("scanned"), st.integers(1, 9)),
    ),
    max_size=20,
)


def counting(events):
    """Return what a process shows that counted ``events``."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.reloaded(ok=True, now=1.7e9)
    for name, *arguments in events:
        getattr(metrics, name)(*arguments)
    return exposition(registry).decode()


def values(text):
    return {
        key: round(value, 9)
        for family in families(text).values()
        if family.kind != "gauge"
        for key, value in family.values.items()
    }


@given(st.lists(COUNTED, min_size=1, max_size=3), st.lists(COUNTED, max_size=2))
def test_all_processes_together_show_what_one_that_did_it_all_would(running, ended):
    departed = Departed()
    for events in ended:
        departed.add(counting(events))
    together = merged(map(counting, running), departed)
    assert values(together) == values(counting([event for events in running + ended for event in events]))


def test_one_process_shows_as_it_is():
    text = counting([("request", "allow", "served", "gemma"), ("overhead", "chunk", 0.1)])
    alone = merged([text], Departed())
    assert families(alone) == families(text)
    assert [line for line in alone.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line.startswith("#")
    ]


def test_a_counter_never_goes_back_because_its_process_was_replaced():
    departed = Departed()
    first = counting([("request", "allow", "served", "gemma")] * 3)
    key = 'guard_requests_total{decision="allow",license="gemma",reason="served"}'
    assert families(merged([first], departed))["guard_requests_total"].values[key] == 3
    departed.add(first)
    assert families(merged([], departed))["guard_requests_total"].values[key] == 3
    after = merged([counting([("request", "allow", "served", "gemma")])], departed)
    assert families(after)["guard_requests_total"].values[key] == 4
    assert "guard_policy_last_reload_successful" not in families(merged([], departed))  # a gauge ends with its process


def gauge(name, samples):
    registry = CollectorRegistry()
    labels = [label for label, _ in samples[0][0]]
    family = Gauge(name, "Text.", labels, registry=registry)
    for given_, value in samples:
        (family.labels(**dict(given_)) if given_ else family).set(value)
    return exposition(registry).decode()


def test_of_several_gauges_the_worst_the_sum_or_the_first_shows():
    both = [gauge("guard_audit_writable", [((), 1)]), gauge("guard_audit_writable", [((), 0)])]
    assert families(merged(both, Departed()))["guard_audit_writable"].values == {"guard_audit_writable": 0}
    both = [gauge("guard_mau_spool_records", [((), 4)]), gauge("guard_mau_spool_records", [((), 5)])]
    assert families(merged(both, Departed()))["guard_mau_spool_records"].values == {"guard_mau_spool_records": 9}
    both = [
        gauge("guard_license_threshold_state", [((("state", state),), state == now) for state in ("ok", "over")])
        for now in ("ok", "over")
    ]
    shown = families(merged(both, Departed()))["guard_license_threshold_state"].values
    assert sum(shown.values()) == 1  # never two states of one limit, though a process saw the limit passed later
    both = [gauge("somebodys_gauge", [((), 4)]), gauge("somebodys_gauge", [((), float("inf"))])]
    assert merged(both, Departed()).endswith("somebodys_gauge +Inf\n")


def test_every_gauge_of_ours_has_a_rule():
    assert set(GAUGES) - set(RULES) == set()
    written = {family.name for family in families(counting([])).values() if family.kind == "gauge"}
    assert written
    assert written - set(RULES) == set()
    assert all(RULES[name] is Rule.FIRST for name in GAUGES if name.startswith("guard_license_"))


def test_what_left_its_registry_before_the_end_stays_too():
    departed = Departed()
    head = "# HELP {0}_total T.\n# TYPE {0}_total counter\n{0}_total {1}\n"
    departed.add(head.format("asked", 5.0), head.format("asked", 4.0) + head.format("refused", 2.0))
    text = merged([], departed)
    assert "asked_total 5.0" in text  # once, and the later one
    assert "refused_total 2.0" in text
