"""The shipped rules against rows of our own: what they must catch, and what they must leave alone."""

import json
from collections import Counter
from pathlib import Path

import pytest

from guard.policy.locations import shipped_rules
from guard.policy.rules import load_rules
from guard.screening.categories import CATEGORIES
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Segment, Source

ROWS = Path(__file__).parent / "rows"


def rows(name):
    head, *lines = (ROWS / name).read_text(encoding="utf-8").splitlines()
    assert json.loads(head)["provenance"] == "written for this project"
    return [json.loads(line) for line in lines]


POSITIVE, NEGATIVE = rows("positive.jsonl"), rows("hard_negatives.jsonl")


@pytest.fixture(scope="module")
def shipped():
    rules, warnings = load_rules([shipped_rules()])
    assert warnings == []
    return RuleSet(rules)


def found(rules, row, size=10_000):
    if row["role"] == "prompt":
        return rules.scan([Segment(Source.USER, row["text"])])
    screen = rules.open(Source.OUTPUT, frozenset())
    for at in range(0, len(row["text"]), size):
        screen.feed(row["text"][at : at + size])
    screen.finish()
    return screen.findings


def test_every_row_that_shows_a_category_is_found(shipped):
    missed = [row for row in POSITIVE if row["category"] not in {finding.category for finding in found(shipped, row)}]
    assert missed == []


def test_no_hard_negative_is_hit(shipped):
    hit = [(row["text"], [finding.rule for finding in found(shipped, row)]) for row in NEGATIVE if found(shipped, row)]
    assert hit == []


def test_rows_are_found_streamed_as_they_are_whole(shipped):
    for row in POSITIVE + NEGATIVE:
        if row["role"] == "response":
            assert found(shipped, row, 3) == found(shipped, row)


def test_blocked_rows_release_nothing_of_the_span(shipped):
    for row in POSITIVE:
        if row["role"] == "response":
            screen = shipped.open(Source.OUTPUT, frozenset({row["category"]}))
            released = 0
            for character in row["text"]:
                screen.feed(character)
                released = max(released, screen.cleared)
            screen.finish()
            assert screen.blocked is not None, row
            assert released <= screen.cleared <= screen.blocked.start


def test_the_rows_cover_every_category_and_are_many():
    counts = Counter(row["category"] for row in POSITIVE)
    assert set(counts) == set(CATEGORIES)
    assert min(counts.values()) >= 4
    assert len(POSITIVE) >= 100
    assert len(NEGATIVE) >= 120
    assert len({row["text"] for row in POSITIVE + NEGATIVE}) == len(POSITIVE) + len(NEGATIVE)


def test_the_shipped_rules_cover_every_category(shipped):
    prompts = Counter(rule.category for rule in shipped.rules if Direction.PROMPT in rule.directions)
    outputs = {rule.category for rule in shipped.rules if Direction.OUTPUT in rule.directions}
    assert set(prompts) == set(CATEGORIES)
    assert min(prompts.values()) >= 7
    assert outputs == set(CATEGORIES) - {"D1"}
    assert all(rule.action.name == "FLAG" for rule in shipped.rules if rule.category == "D1")
