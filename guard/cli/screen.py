"""``guard screen``: the rules' findings in JSON lines of text."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from guard.exchange.snapshot import ModelPolicy
    from guard.screening.findings import Finding
    from guard.screening.rules import Rule
    from guard.screening.ruleset import RuleSet

EX_DATA = 65
PROMPT_ROLES = {"prompt": "user", "user": "user", "system": "system"}
OUTPUT_ROLES = frozenset({"assistant", "response"})


class _Line(NamedTuple):
    text: str
    role: str


class _BadLine(Exception):
    """What is wrong with an input line, and what is allowed."""


def screen(
    license_id: str | None = typer.Option(
        None, "--license", metavar="ID", help="Take actions and clauses from this license; default: from the rules."
    ),
) -> None:
    """Read JSON lines {"text", "role"} on standard input and print one JSON line of findings for each, in order.

    The role is prompt (default), user or system, which the prompt rules read, or assistant or response, which the
    output rules read. "score" is the risk in 0..1 that the text is unsafe; making training data (D1) is not part of it.
    A line that is no such object ends the command with 65.
    """
    from guard.policy.load import policy_for
    from guard.policy.locations import shipped_rules
    from guard.policy.rules import load_rules
    from guard.screening.ruleset import RuleSet

    policy: ModelPolicy | None = None
    if license_id is not None:
        try:
            policy = policy_for(license_id)
        except KeyError:
            allowed = "allowed: an id that `guard policy list` prints"
            raise typer.BadParameter(f"unknown license '{license_id}'; {allowed}", param_hint="--license") from None
    rules, warnings = load_rules([shipped_rules()])
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    compiled = RuleSet(rules)
    by_id = {rule.id: rule for rule in rules}
    with _progress() as advance:
        for number, raw in enumerate(sys.stdin.buffer, 1):
            if not raw.strip():
                continue
            try:
                line = _read(raw)
            except _BadLine as error:
                sys.stdout.flush()
                print(f"<stdin>:{number}: {error}", file=sys.stderr)
                raise typer.Exit(EX_DATA) from None
            print(json.dumps(_judged(_findings(compiled, line), by_id, policy)))
            advance()


def _read(raw: bytes) -> _Line:
    try:
        value = json.loads(raw.decode())
    except UnicodeDecodeError:
        raise _BadLine("not UTF-8; allowed: one JSON object a line") from None
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
        raise _BadLine(f"not JSON ({reason}); allowed: one JSON object a line") from None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise _BadLine('no "text"; allowed: an object with a string "text" and an optional "role"')
    role = value.get("role", "prompt")
    if not isinstance(role, str) or (role not in PROMPT_ROLES and role not in OUTPUT_ROLES):
        allowed = ", ".join([*PROMPT_ROLES, *sorted(OUTPUT_ROLES)])
        raise _BadLine(f"role {json.dumps(role)[:40]}; allowed: {allowed}")
    return _Line(value["text"], role)


def _findings(rules: "RuleSet", line: _Line) -> "list[Finding]":
    from guard.screening.segments import Segment, Source

    if line.role in PROMPT_ROLES:
        return rules.scan([Segment(Source(PROMPT_ROLES[line.role]), line.text)])
    channel = rules.open(Source.OUTPUT, frozenset())
    channel.feed(line.text)
    channel.finish()
    return channel.findings


def _judged(findings: "list[Finding]", rules: "Mapping[str, Rule]", policy: "ModelPolicy | None") -> dict[str, Any]:
    from guard.screening.categories import HAZARDS
    from guard.screening.findings import Action

    categories: dict[str, float] = {}
    action = Action.OFF
    shown = []
    for finding in findings:
        rule, code = rules[finding.rule], finding.category
        categories[code] = max(categories.get(code, 0.0), rule.score)
        ruling = None if policy is None else policy.ruling(code, rule.items)
        if policy is None:
            action = max(action, rule.action)
        elif ruling is not None:
            action = max(action, ruling.action)
        shown.append(
            {
                "rule": finding.rule,
                "category": code,
                "clause": ruling and ruling.clause,
                "start": finding.start,
                "end": finding.end,
            }
        )
    return {
        "score": max((score for code, score in categories.items() if code in HAZARDS), default=0.0),
        "categories": categories,
        "action": "allow" if action is Action.OFF else action.name.lower(),
        "findings": shown,
    }


@contextmanager
def _progress() -> "Iterator[Any]":
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    with Progress(
        TextColumn("screening"), MofNCompleteColumn(), console=Console(stderr=True), transient=True
    ) as progress:
        task = progress.add_task("screening", total=None)
        yield lambda: progress.advance(task)
