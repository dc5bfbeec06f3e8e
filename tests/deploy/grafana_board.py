"""The dashboard as its tests read it."""

import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
BOARD = ROOT / "deploy" / "grafana" / "guard.json"
SELECTOR = re.compile(r"\b(guard_[a-z_]+|ALERTS)\{[^}]*\}")
AGGREGATIONS = ("sum", "min", "max", "count", "avg")
_AGGREGATED = re.compile(rf"\b({'|'.join(AGGREGATIONS)})\s*(?:by\s*\([a-z_, ]*\)\s*)?$")
CHOSEN = {"$job": ".*", "$ledger": ".*", "$instance": ".*", "$license": ".*", "$__rate_interval": "10s"}
"""What stands for everything."""


class Shown(NamedTuple):
    """One expression: the panel or annotation it is of, and whether it is asked for now or over time."""

    where: str
    expr: str
    instant: bool

    def metrics(self):
        """The metrics that it reads."""
        return {found[1] for found in SELECTOR.finditer(self.expr)}

    def chosen(self):
        """The expression as Grafana sends it when everything is chosen."""
        expr = self.expr
        for variable, value in CHOSEN.items():
            expr = expr.replace(variable, value)
        return expr


def board():
    return json.loads(BOARD.read_text(encoding="utf-8"))


def panels(document):
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def shown(document):
    """Every expression of the dashboard."""
    for panel in panels(document):
        for target in panel["targets"]:
            yield Shown(f"{panel['title']} {target['refId']}", target["expr"], target["instant"])
    for annotation in document["annotations"]["list"]:
        yield Shown(f"annotation {annotation['name']}", annotation["expr"], instant=False)


def aggregation(expr, at):
    """What adds up position ``at``: the innermost aggregation in whose parentheses it is, or None."""
    open_at = []
    for place, letter in enumerate(expr[:at]):
        if letter == "(":
            open_at.append(place)
        elif letter == ")":
            open_at.pop()
    found = (_AGGREGATED.search(expr[:place]) for place in reversed(open_at))
    return next((match[1] for match in found if match), None)
