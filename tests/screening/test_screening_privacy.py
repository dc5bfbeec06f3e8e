"""The privacy rules: what they mask, exactly, and what looks like it and is something else."""

import json
from pathlib import Path

import pytest

from guard.policy.locations import rule_pack
from guard.policy.rules import load_rules
from guard.screening.findings import Action
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source

HEAD, *ROWS = map(json.loads, (Path(__file__).parent / "rows" / "privacy.jsonl").read_text("utf-8").splitlines())


@pytest.fixture(scope="module")
def privacy():
    rules, cautions = load_rules([rule_pack("privacy")])
    assert cautions == []
    return RuleSet(rules)


def found(rules, row):
    if row["role"] == "prompt":
        return rules.scan([Segment(Source.USER, row["text"])])
    screen = rules.open(Source.OUTPUT, frozenset())
    for character in row["text"]:
        screen.feed(character)
    screen.finish()
    return screen.findings


def test_what_is_personal_is_found_with_its_span(privacy):
    wrong = []
    for row in ROWS:
        spans = [(finding.rule, row["text"][finding.start : finding.end]) for finding in found(privacy, row)]
        if row["rule"] is not None and (row["rule"], row["span"]) not in spans:
            wrong.append((row["text"], spans))
    assert wrong == []


def test_what_only_looks_like_it_is_left_alone(privacy):
    assert [(row["text"], found(privacy, row)) for row in ROWS if row["rule"] is None and found(privacy, row)] == []


def test_an_answer_is_read_like_a_prompt(privacy):
    for row in ROWS:
        spoken = found(privacy, {**row, "role": "response"})
        written = found(privacy, {**row, "role": "prompt"})
        first = {finding.rule for finding in written if finding.transform is None}
        assert {finding.rule for finding in spoken} == first, row


def test_the_rows_are_many_and_every_rule_masks_by_itself(privacy):
    assert HEAD["provenance"] == "written for this project"
    assert sum(row["rule"] is not None for row in ROWS) >= 60
    assert sum(row["rule"] is None for row in ROWS) >= 100
    assert {row["rule"] for row in ROWS} - {None} == {rule.id for rule in privacy.rules}
    assert all((rule.action, rule.acts, bool(rule.mask)) == (Action.MASK, True, True) for rule in privacy.rules)
