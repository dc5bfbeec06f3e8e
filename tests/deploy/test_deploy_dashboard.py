"""Grafana's dashboard: it is what its builders make, it says what every number means, and it holds with many processes."""

import os
import re
import subprocess
import sys

import pytest
from grafana_board import BOARD, ROOT, SELECTOR, aggregation, board, panels, shown

DASHBOARD = board()
NOT_GUARDS = {"ALERTS"}
SUFFIXES = ("_bucket", "_sum", "_count")


def test_the_committed_dashboard_is_what_the_builders_make(tmp_path):
    made = tmp_path / "guard.json"
    script = BOARD.with_name("build.py")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, script, made], check=True, env=environment, cwd=tmp_path)
    assert made.read_bytes() == BOARD.read_bytes(), "run: python deploy/grafana/build.py"


def test_ids_are_unique_and_the_uid_is_stable():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) > 50
    assert DASHBOARD["uid"] == "guard-license", "links to the dashboard go by it"
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert [title for title in titles if titles.count(title) > 1] == []


def test_panels_do_not_overlap_and_fill_the_width():
    taken = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
    height = 1 + max(y for _, y in taken)
    assert [(x, y) for y in range(height) for x in range(24) if (x, y) not in taken] == []


def datasources(node):
    """Every datasource below ``node``."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "datasource":
                yield value
            else:
                yield from datasources(value)
    elif isinstance(node, list):
        for value in node:
            yield from datasources(value)


def test_every_datasource_is_the_one_that_the_reader_chose():
    found = list(datasources(DASHBOARD))
    assert len(found) > 2 * len(panels(DASHBOARD))
    assert [source for source in found if source != {"type": "prometheus", "uid": "${datasource}"}] == []
    kinds = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
    assert kinds["datasource"] == "datasource"
    assert {"instance", "license"} <= {name for name, kind in kinds.items() if kind == "query"}


@pytest.mark.parametrize("panel", panels(DASHBOARD), ids=lambda panel: panel["title"])
def test_every_panel_says_what_its_number_means(panel):
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["description"].endswith(".")
    assert len(panel["description"]) > 40
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert panel["targets"]


@pytest.mark.parametrize("each", list(shown(DASHBOARD)), ids=lambda each: each.where)
def test_no_expression_breaks_with_several_processes(each):
    selectors = list(SELECTOR.finditer(each.expr))
    assert selectors
    for found in selectors:
        assert aggregation(each.expr, found.start()), found[0]
        if found[1] not in NOT_GUARDS:
            assert all(f'{name}=~"${name}"' in found[0] for name in ("job", "ledger", "instance")), found[0]


SHARED = re.compile("guard_license_(mau|active_users|limit_users|forecast_days)|guard_behavior_identities")
"""What every process on one ledger says alike."""


def test_what_processes_say_alike_is_never_added_up():
    found = [
        (selector[1], aggregation(each.expr, selector.start()))
        for each in shown(DASHBOARD)
        for selector in SELECTOR.finditer(each.expr)
        if SHARED.match(selector[1])
    ]
    assert len(found) > 15
    assert {way for _, way in found} == {"max", "min"}


@pytest.mark.parametrize(("expr", "way"), [
    ("guard_a{}", None),
    ("rate(guard_a{}[5m])", None),
    ("sum by (license) (rate(guard_a{}[5m]))", "sum"),
    ("sum(max by (instance) (guard_a{}))", "max"),
    ("max(guard_b{}) / guard_a{}", None),
    ("count(guard_b{} or guard_a{})", "count"),
    ("histogram_quantile(0.5, sum by (le, phase) (rate(guard_a{}[5m])))", "sum"),
])  # fmt: skip
def test_the_check_for_aggregations_sees_them(expr, way):
    assert aggregation(expr, expr.index("guard_a")) == way


def test_every_metric_is_one_of_guards():
    sources = (ROOT / "guard" / "observability").glob("*.py")
    written = set(re.findall(r"\"(guard_[a-z_]+)\"", "\n".join(path.read_text(encoding="utf-8") for path in sources)))
    read = set().union(*(each.metrics() for each in shown(DASHBOARD))) - NOT_GUARDS
    plain = {re.sub(rf"({'|'.join(SUFFIXES)})$", "", name) if name not in written else name for name in read}
    assert plain - written == set()
    assert len(read) > 45
    shown_nowhere = {name for name in written - plain if name in documented()}
    assert shown_nowhere == set(LEFT_OUT)


LEFT_OUT = {
    "guard_jwks_up": "the age of the keys says the same, and for how long",
    "guard_trace_spans_total": "whether traces arrive is seen where they arrive",
}
"""Documented metrics that no panel shows, each with the reason."""


def documented():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(guard_[a-z_]+)`", page, re.MULTILINE))


def test_every_runbook_that_is_linked_is_there():
    page = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    anchors = {line.lstrip("# ").strip().lower() for line in page.splitlines() if line.startswith("#")}
    linked = [link["url"] for panel in panels(DASHBOARD) for link in panel.get("links") or []]
    assert len(linked) > 30
    assert [url for url in linked if url.partition("#")[2] not in anchors] == []
