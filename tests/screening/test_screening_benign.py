"""What sounds dangerous and is not, from `kill -9 1234` to a school's handout on self-harm, is blocked by no tier."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from guard.policy.locations import shipped_rules
from guard.policy.rules import load_rules
from guard.screening.categories import CATEGORIES
from guard.screening.findings import Action
from guard.screening.learned.learned import default
from guard.screening.neural.model import loaded
from guard.screening.neural.screen import NeuralScreen
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source

ROOT = Path(__file__).parents[2]
HEAD, *ROWS = map(
    json.loads, (Path(__file__).parent / "rows" / "benign.jsonl").read_text(encoding="utf-8").splitlines()
)


TOO_DENSE = ("Be kind. Don't threaten", "content_policy.md", "You must refuse: instructions for bombs")
"""Three texts that name one hazard after the other to forbid them. The learned tier reads words, not negations, and blocks
them where users send them (system prompts it only flags); the neural tier, where it is asked, does not."""


class Tier(NamedTuple):
    name: str
    scan: Callable[[list[Segment]], list[Any]]
    excused: tuple[str, ...] = ()

    def rows(self):
        """Return the rows that it is not to block."""
        return [row for row in ROWS if not row["text"].startswith(self.excused or "\0")]


def shipped():
    return RuleSet(load_rules([shipped_rules()])[0])


def tiers():
    """Every tier that reads prompts by default. A new tier is one more line here."""
    return [
        Tier("rules", shipped().scan),
        Tier("learned", lambda segments: default().scan(segments).findings, TOO_DENSE),
        Tier("neural", NeuralScreen(loaded(), default().logits).scan),
    ]


@pytest.fixture(scope="module", params=tiers(), ids=lambda tier: tier.name)
def tier(request):
    return request.param


def blocking(findings):
    return [finding.rule for finding in findings if finding.most is Action.BLOCK]


def test_no_row_is_blocked_as_a_prompt(tier):
    found = {row["text"]: blocking(tier.scan([Segment(Source.USER, row["text"])])) for row in tier.rows()}
    assert {text: rules for text, rules in found.items() if rules} == {}


def test_no_row_is_blocked_as_an_output():
    """By the rules: the learned tier only flags answers unless it is told to block them."""
    rules, blocked = shipped(), {}
    for row in ROWS:
        screen = rules.open(Source.OUTPUT, frozenset(CATEGORIES))
        for at in range(0, len(row["text"]), 40):
            screen.feed(row["text"][at : at + 40])
        screen.finish()
        if screen.blocked is not None:
            blocked[row["text"]] = screen.blocked.rule
    assert blocked == {}


def test_no_row_is_blocked_in_a_code_block_or_a_quotation(tier):
    """People paste: the same words between fences, or quoted under a question of their own."""
    pasted = [f"```\n{row['text']}\n```\nWhat is this about?" for row in tier.rows()]
    pasted += [
        'A colleague sent me this:\n\n"' + row["text"] + '"\n\nPlease rewrite it more clearly.' for row in tier.rows()
    ]
    found = {text: blocking(tier.scan([Segment(Source.USER, text)])) for text in pasted}
    assert {text: rules for text, rules in found.items() if rules} == {}


def test_the_rows_in_one_long_document_are_not_blocked():
    """A word of one row must not find its context in the next: they stand in one text, as in a book of exercises."""
    text = "\n\n".join(row["text"] for row in ROWS)
    assert blocking(shipped().scan([Segment(Source.USER, text)])) == []


def test_every_tier_here_blocks_something(tier):
    """Or not being blocked would say nothing."""
    positive = (Path(__file__).parent / "rows" / "positive.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    segments = [Segment(Source.USER, row["text"]) for row in map(json.loads, positive) if row["role"] == "prompt"]
    assert sum(bool(blocking(tier.scan([segment]))) for segment in segments) > len(segments) / 4


def test_the_rows_are_many_and_varied():
    assert HEAD["provenance"] == "written for this project"
    assert len(ROWS) >= 320
    assert len({row["text"] for row in ROWS}) == len(ROWS)
    kinds = Counter(row["kind"] for row in ROWS)
    assert len(kinds) >= 20
    assert min(kinds.values()) >= 8
    assert Counter(row["role"] for row in ROWS)["response"] >= 60
    assert sum(len(row["text"]) > 400 for row in ROWS) >= 10


def test_the_rows_are_in_no_training_data():
    known = set()
    for path in (ROOT / "data" / "screening").rglob("*.jsonl*"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = [json.loads(line) for line in content.splitlines() if line.strip()]
        # What the teacher scored is a list a line: the text, then its scores.
        known |= {row.get("text") if isinstance(row, dict) else row[0] for row in rows}
    assert [row["text"] for row in ROWS if row["text"] in known] == []
