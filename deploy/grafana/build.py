"""Write Grafana's dashboard for Guard from typed builders.

    python deploy/grafana/build.py [FILE]      (default: guard.json beside this file)

Needs the package grafana-foundation-sdk. The same sources give the same bytes; a test compares them with guard.json.
"""

import json
import sys
from pathlib import Path

import health
import traffic
import users
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from kinds import DATASOURCE, OF, RUNBOOKS

ROWS = (
    ("At a glance", users.outstanding),
    ("Users and the limits of licenses", users.limits),
    ("Who is counted", users.identities),
    ("What was decided", traffic.decisions),
    ("Screening", traffic.screening),
    ("What Guard costs", traffic.speed),
    ("Outputs and their use", traffic.outputs),
    ("Stores and evidence", health.stores),
    ("Policy", health.policy),
)
CHANGED = "guard_policy_last_reload_success_timestamp_seconds"
"""Written at every load, a good one that changes nothing included; those of the watcher come only with a change."""


def board() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = dashboard.Dashboard("Guard: license compliance of served models").uid("guard-license").tags(["guard", "llm"])
    made.description(
        "Whether what is served stays inside the models' licenses: users against thresholds, what was refused and why, "
        "and whether Guard itself is well. Built by deploy/grafana/build.py."
    )
    made.time("now-24h", "now").refresh("1m").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    made.readonly()
    for variable in variables():
        made.with_variable(variable)
    for annotation in annotations():
        made.annotation(annotation)
    for link in links():
        made.link(link)
    number = 0
    for title, panels in ROWS:
        number += 1
        made.with_row(dashboard.Row(title).id(number))
        for panel in panels():
            number += 1
            made.with_panel(panel.id(number))
    return made


def variables() -> list[dashboard.QueryVariable | dashboard.DatasourceVariable | dashboard.TextBoxVariable]:
    """Return what a reader chooses at the top."""
    return [
        dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        _values("job", "Job", "label_values(guard_build_info, job)"),
        _values("ledger", "Ledger", 'label_values(guard_build_info{job=~"$job"}, ledger)').description(
            "A label that you give your targets where several ledgers are scraped."
        ),
        _values("instance", "Process", 'label_values(guard_build_info{job=~"$job", ledger=~"$ledger"}, instance)'),
        _values("license", "License", f"label_values(guard_license_mau{{{OF}}}, license)"),
        dashboard.TextBoxVariable("docs")
        .label("Documentation")
        .description("Where Guard's documentation is served, for the links to runbooks.")
        .default_value("https://docs.example.org/guard"),
    ]


def _values(name: str, label: str, query: str) -> dashboard.QueryVariable:
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    made = dashboard.QueryVariable(name).label(label).query({"query": query, "refId": name}).datasource(DATASOURCE)
    made.multi(True).include_all(True).all_value(".*").current(everything)
    return made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)


def annotations() -> list[dashboard.AnnotationQuery]:
    """Return what is marked on every curve."""
    loads = f"sum by (instance) (changes({CHANGED}{{{OF}}}[$__rate_interval])) > 0"
    hashes = f"count by (hash) (guard_policy_info{{{OF}}})"
    new = f"{hashes} unless {hashes.replace('})', '} offset $__rate_interval)')}"
    failed = f"sum by (instance) (guard_policy_last_reload_successful{{{OF}}} == bool 0) > 0"
    return [
        _marks("A policy came into force", "blue", new),
        _marks("Policy loads", "light-blue", loads).enable(False),
        _marks("The policy files are bad", "orange", failed),
        _marks(
            "Alerts of Guard", "red",
            'max by (alertname, license, limit, instance) (ALERTS{alertname=~"Guard.+", alertstate="firing"})',
        ).enable(False),
    ]  # fmt: skip


def _marks(name: str, color: str, expr: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery().name(name).datasource(DATASOURCE).icon_color(color).expr(expr).enable(True)


def links() -> list[dashboard.DashboardLink]:
    """Return what is linked at the top."""
    kinds = models.DashboardLinkType.LINK
    return [
        dashboard.DashboardLink("Runbooks").type(kinds).icon("doc").url(RUNBOOKS).target_blank(True),
        dashboard.DashboardLink("Alerts").type(kinds).icon("bolt").url("/alerting/list?search=Guard"),
    ]


def written() -> str:
    """Return the dashboard as JSON."""
    return json.dumps(board().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("guard.json")
    target.write_text(written(), encoding="utf-8")
