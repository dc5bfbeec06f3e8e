"""What a candidate changes: in what is demanded, and in decisions that were written down."""

from datetime import UTC, datetime

import pytest

from guard.evidence.chain import Journal
from guard.evidence.entry import Entry
from guard.exchange.record import Ending, facts, verdict
from guard.policy.difference import Change, Turn, demands, entries, replay
from guard.policy.load import load
from guard.policy.rehearsal.hypothetical import Caller, Request
from guard.policy.rehearsal.rehearse import rehearse

NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
DAY = 86400.0
ACTIVE = """
models: {tiny: {license: llama-2}, q: {license: qwen-2024}}
usage: {at_limit: refuse_newcomers, limits: {qwen-2024: 100}}
screening: {rules: [rules.yaml], actions: {HR: flag}}
"""
RULES = """
category: HR
rules:
  - {id: HR.insult, anchors: [you pathetic loser], directions: [prompt, output]}
"""
INSULT = "A secret: you pathetic loser"


@pytest.fixture
def world(write, tmp_path):
    """``load`` for texts in place of files, and a journal whose entries are of any day."""
    write(RULES, "rules.yaml")
    return World(write, tmp_path / "audit")


class World:
    def __init__(self, write, directory):
        self.write, self.directory, self.day = write, directory, NOW
        self.number = 0
        self.active = self.load(ACTIVE)

    def load(self, text):
        self.number += 1
        return load(self.write(text, f"policy-{self.number}.yaml"), environment={})

    def decision(self, reference, policy=None, **said):
        policy = (policy or self.active).snapshot
        exchange = rehearse(policy, Request(NOW, **said)).exchange
        return {**facts(exchange, verdict(exchange), Ending.SERVED), "reference": reference}

    def keep(self, *entries, instance="one"):
        """Write (days from NOW, kind, facts) as one run of a process does."""
        times = iter([NOW + entries[0][0] * DAY, *(NOW + day * DAY for day, _, _ in entries)])
        last = NOW + entries[-1][0] * DAY
        journal = Journal(self.directory, instance=instance, clock=lambda: next(times, last))
        journal.start()
        for _, kind, said in entries:
            journal.append(kind, said)
        journal.flush()
        journal.close()

    def replay(self, candidate, since=0.0):
        return replay(entries(self.directory), self.active.snapshot, candidate.snapshot, since)


def test_nothing_differs_between_a_policy_and_itself(world):
    assert demands(world.active, world.load(ACTIVE)) == []


def test_what_is_looser_is_told_apart_from_what_is_otherwise(world):
    other = ACTIVE.replace("100}", "200}").replace("HR: flag", "HR: block") + "mode: shadow\n"
    assert demands(world.active, world.load(other)) == [
        Change("mode: enforce -> shadow", looser=True),
        Change("models.tiny.HR: flag -> block", looser=False),
        Change("models.q.HR: flag -> block", looser=False),
        Change("usage.limits.qwen-2024: 100 -> 200", looser=True),
    ]


def test_decisions_that_turn_out_alike_are_told_together(world):
    insult = {"model": "tiny", "text": INSULT}
    world.keep(
        (0, "start", {"decisions": "all"}),
        (0, "decision", world.decision("a", **insult)),
        (1, "decision", world.decision("b", **insult)),
        (2, "decision", world.decision("c", model="tiny")),
        (3, "decision", world.decision("d", model="tiny", caller=Caller(purpose="train:gemma-2-9b"))),
    )
    found = world.replay(world.load(ACTIVE.replace("HR: flag", "HR: block")))
    assert found.changed == {Turn("flag", "deny", "aup", None, None): ["a", "b"]}
    assert (found.decisions, found.unchanged, found.untold, found.incomplete) == (4, 2, {}, False)
    assert (found.first, found.last) == (NOW, NOW + 3 * DAY)
    back = world.replay(world.load(ACTIVE.replace("llama-2", "llama-3.1")))
    assert back.changed == {}
    assert back.untold == {"it is no longer refused as output_use, and its text was never screened": 1}


def test_the_clause_that_is_told_is_that_of_the_stricter_policy(world):
    free = world.load(ACTIVE.replace("llama-2", "mistral-apache"))
    said = {"model": "tiny", "caller": Caller(purpose="train:gemma-2-9b")}
    world.keep((0, "start", {"decisions": "all"}), (0, "decision", world.decision("a", free, **said)))
    assert world.replay(world.active).changed == {Turn("allow", "deny", "output_use", "llama-2", "1.b.v"): ["a"]}


def test_only_what_was_decided_since_is_looked_at(world):
    one = world.decision("a", model="tiny", text=INSULT)
    world.keep((0, "start", {"decisions": "all"}), (0, "decision", one), (5, "decision", {**one, "reference": "b"}))
    blocking = world.load(ACTIVE.replace("HR: flag", "HR: block"))
    assert list(world.replay(blocking).changed.values()) == [["a", "b"]]
    assert list(world.replay(blocking, NOW + DAY).changed.values()) == [["b"]]


@pytest.mark.parametrize(
    ("entries", "since", "incomplete"),
    [
        ([(0, "start", {"decisions": "notable"})], 0, True),
        ([(0, "start", {"decisions": "all"})], 0, False),
        ([(0, "start", {"decisions": "all"}), (2, "reload", {"decisions": "notable"})], 0, True),
        ([(0, "start", {"decisions": "notable"}), (1, "reload", {"decisions": "all"}), (3, "stop", {})], 2, False),
        ([(0, "start", {"decisions": "notable"}), (3, "stop", {})], 2, True),
        ([(0, "continue", {"decisions": "notable"}), (3, "stop", {})], 2, True),
        ([(0, "start", {"decisions": "notable"}), (1, "continue", {"decisions": "all"}), (3, "stop", {})], 2, False),
        ([(0, "start", {"decisions": "notable"}), (1, "continue", {}), (3, "stop", {})], 2, True),
    ],
)
def test_plain_allows_that_were_not_recorded_are_missed(world, entries, since, incomplete):
    world.keep(*entries)
    assert world.replay(world.active, NOW + since * DAY).incomplete is incomplete


def test_one_process_that_recorded_everything_says_nothing_of_another(world):
    world.keep((0, "start", {"decisions": "notable"}), instance="one")
    world.keep((0, "start", {"decisions": "all"}), (2, "stop", {}), instance="two")
    assert world.replay(world.active, NOW + DAY).incomplete is False
    assert world.replay(world.active).incomplete is True


def test_requests_that_were_turned_away_unread_and_broken_lines_are_no_decisions(world):
    turned_away = {"reference": "r", "verdict": "deny", "refused": {"code": "malformed"}, "not_listed_before": 0}
    world.keep((0, "decision", turned_away), (0, "decision", world.decision("a", model="tiny")))
    with (world.directory / "one.jsonl").open("ab") as file:
        file.write(b"not an entry\n")
    found = world.replay(world.active)
    assert (found.decisions, found.unchanged) == (1, 1)


def test_there_may_be_no_journal_at_all(world):
    found = world.replay(world.active)
    assert (found.decisions, found.first, found.changed) == (0, None, {})


@pytest.mark.parametrize("damage", [
    {"given": {}}, {"given": "x"}, {"refused": "x"}, {"findings": [1]}, {"identity": None}, {"reference": 7},
])  # fmt: skip
def test_an_entry_that_somebody_wrote_into_is_told_and_ends_nothing(damage):
    entry = Entry(1, 1.0, "decision", {"policy": "h", "verdict": "allow", **damage}, "0" * 64, "0" * 64)
    found = replay([entry], None, None)
    assert (found.decisions, sum(found.untold.values()), found.changed) == (1, 1, {})
