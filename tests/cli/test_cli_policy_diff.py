"""``guard policy diff``, as operators read it and scripts parse it."""

import json
from datetime import UTC, datetime

import pytest

from guard.cli.main import run
from guard.evidence.chain import Journal
from guard.exchange.record import Ending, facts, verdict
from guard.policy import load as loading
from guard.policy.load import load
from guard.policy.rehearsal.hypothetical import Caller, Request
from guard.policy.rehearsal.rehearse import rehearse

NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC).timestamp()
ACTIVE = """
models: {tiny: {license: llama-2}}
usage: {at_limit: refuse_newcomers, limits: {llama-2: 1000}}
screening: {rules: [rules.yaml], actions: {HR: flag}}
"""
CANDIDATE = ACTIVE.replace("1000", "2000").replace("HR: flag", "HR: block")
RULES = "category: HR\nrules:\n  - {id: HR.insult, anchors: [you pathetic loser]}\n"


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """No shipped rules, an active policy, a candidate, and two days of decisions."""
    (tmp_path / "aup").mkdir()
    monkeypatch.setattr(loading, "shipped_rules", lambda: tmp_path / "aup")
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    for name, text in (("guard.yaml", ACTIVE), ("candidate.yaml", CANDIDATE), ("rules.yaml", RULES)):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def decisions(world):
    """Three insults on the first day, a purpose that the license bars on the second."""
    policy = load(world / "guard.yaml").snapshot
    now = [NOW]
    journal = Journal(world / "guard-state" / "audit", instance="one", clock=lambda: now[0])
    journal.start()
    journal.append("start", {"policy": policy.hash, "decisions": "notable"})

    def decide(reference, **said):
        exchange = rehearse(policy, Request(NOW, model="tiny", **said)).exchange
        journal.append("decision", {**facts(exchange, verdict(exchange), Ending.SERVED), "reference": reference})

    for reference in ("aaaa", "bbbb", "cccc"):
        decide(reference, text="you pathetic loser")
    journal.flush()
    now[0] += 86400
    decide("dddd", caller=Caller(purpose="train:gemma-2-9b"))
    journal.flush()
    journal.close()


def diff(capsys, *arguments, code=0):
    assert run(["policy", "diff", *arguments]) == code
    return capsys.readouterr()


def test_everything_is_told_in_words(decisions, capsys):
    told = diff(capsys, "candidate.yaml")
    assert told.err == ""
    assert told.out == (
        "Looser (a reload wants each line under confirm:)\n"
        "  usage.limits.llama-2: 1000 -> 2000\n"
        "Otherwise\n"
        "  models.tiny.HR: flag -> block\n"
        "Settings and rules\n"
        "  screening.actions.HR: flag -> block\n"
        "\n"
        "4 recorded decisions from 2026-06-01 12:30 to 2026-06-02 12:30: 3 otherwise, 1 the same, 0 cannot be told\n"
        "       3  flag -> deny, aup: aaaa, bbbb, cccc\n"
        "Plain allows were not recorded all the time (evidence.decisions: notable): what they would turn into is\n"
        "not in these numbers. evidence.decisions: all records them from now on.\n"
    )


def test_everything_is_told_as_json(decisions, capsys):
    assert json.loads(diff(capsys, "candidate.yaml", "--json", "--config", "guard.yaml").out) == {
        "changes": [
            {"line": "models.tiny.HR: flag -> block", "looser": False},
            {"line": "usage.limits.llama-2: 1000 -> 2000", "looser": True},
        ],
        "settings": ["usage.limits.llama-2: 1000 -> 2000", "screening.actions.HR: flag -> block"],
        "decisions": 4,
        "unchanged": 1,
        "changed": [
            {
                "before": "flag", "after": "deny", "reason": "aup", "license": None, "clause": None,
                "references": ["aaaa", "bbbb", "cccc"],
            }
        ],
        "untold": {},
        "incomplete": True,
        "first": NOW,
        "last": NOW + 86400,
    }  # fmt: skip


def test_only_some_days(decisions, capsys):
    told = diff(capsys, "candidate.yaml", "--since", "2026-06-02").out
    assert "\n1 recorded decisions from 2026-06-02 12:30 to 2026-06-02 12:30: 0 otherwise, 1 the same" in told


def test_what_cannot_be_told_is_said_with_the_reason(decisions, world, capsys):
    (world / "rules.yaml").write_text(RULES + "  - {id: HR.other, anchors: [quite another insult]}\n")
    told = diff(capsys, "candidate.yaml").out
    assert "0 otherwise, 1 the same, 3 cannot be told\n" in told
    why = "its rules are neither those of now nor the candidate's, and no text is kept"
    assert f"\n       3  cannot be told: {why}\n" in told


def test_a_policy_and_its_copy_are_the_same(capsys):
    assert diff(capsys, "guard.yaml").out == (
        "The two policies say the same.\n\nNo decision is recorded in guard-state/audit.\n"
    )


def test_a_policy_that_cannot_be_used_is_told_with_every_problem(world, capsys):
    (world / "guard.yaml").write_text(ACTIVE + "mode: maybe\n")
    (world / "candidate.yaml").write_text(ACTIVE + "candidate: guard.yaml\n")
    told = diff(capsys, "candidate.yaml", code=1)
    assert told.out == ""
    assert told.err == (
        "guard.yaml:5: mode: 'maybe'; allowed: enforce, shadow\n"
        "candidate.yaml:5: candidate: a candidate with a candidate of its own; "
        "allowed: none: only the active policy names one\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("candidate.yaml", "--since", "yesterday"), "'yesterday'; allowed: a day such as 2026-06-01"),
        ((), "Missing argument 'CANDIDATE'"),
    ],
)
def test_bad_usage(arguments, said, capsys):
    assert said in diff(capsys, *arguments, code=64).err


def test_there_has_to_be_something_to_compare_with(world, capsys):
    (world / "guard.yaml").unlink()
    assert "there is no guard.yaml here to compare with" in diff(capsys, "candidate.yaml", code=64).err


def test_a_journal_that_cannot_be_read_is_said(world, capsys):
    (world / "guard-state" / "audit" / "one.jsonl").mkdir(parents=True)
    assert diff(capsys, "candidate.yaml", code=1).err == (
        "guard-state/audit/one.jsonl: cannot be read: not a regular file\n"
    )
