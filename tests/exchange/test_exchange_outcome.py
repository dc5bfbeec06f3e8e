"""What was decided, in few words: the same for what nobody could tell apart, and the stricter of two that differ."""

import pytest
from exchange_world import World

from guard.exchange.admit import admit
from guard.exchange.edits import edits
from guard.exchange.inquiry import FieldUse
from guard.exchange.outcome import Outcome, outcome, recorded_outcome, stricter
from guard.exchange.record import Ending, facts, verdict
from guard.exchange.screen_prompt import screen_prompt
from guard.exchange.snapshot import FieldAction, FieldRule, Mode

ALLOW, EDITED = Outcome("allow", "none"), Outcome("allow", "edited", edits=("n: at most 2",))
FLAG, DENY = Outcome("flag", "finding"), Outcome("deny", "aup", "llama-2", "2.a", "S9")
UNCHECKED = Outcome("not_evaluated", "not_evaluated")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (ALLOW, DENY, DENY), (DENY, ALLOW, DENY), (FLAG, UNCHECKED, UNCHECKED), (UNCHECKED, DENY, DENY),
        (ALLOW, EDITED, EDITED), (EDITED, ALLOW, EDITED), (DENY, Outcome("deny", "territory"), Outcome("deny", "territory")),
    ],
)  # fmt: skip
def test_the_stricter_of_two_says_why_they_differ(one, other, expected):
    assert stricter(one, other) == expected


def finished(exchange):
    admit(exchange)
    if exchange.refused is None:
        screen_prompt(exchange)
    return exchange


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("text", ["hello", "FORBIDDEN"])
@pytest.mark.parametrize("field", [[], [FieldUse("logprobs", "logprobs", True)], [FieldUse("samples", "n", 9)]])
def test_what_is_written_down_says_the_same_as_the_exchange(mode, text, field):
    exchange = finished(World(mode=mode).exchange(text, uses=field))
    assert recorded_outcome(facts(exchange, verdict(exchange), Ending.REFUSED)) == outcome(exchange)


def test_a_refusal_is_told_with_license_clause_and_category_and_never_its_reference():
    found = outcome(finished(World().exchange("FORBIDDEN")))
    assert found == Outcome("deny", "aup", "llama-2", "2.a", "S9", ("S9.word",))
    assert found.facts() == {
        "verdict": "deny", "reason": "aup", "license": "llama-2", "clause": "2.a", "category": "S9",
        "rules": ["S9.word"], "edits": [],
    }  # fmt: skip


def test_what_is_only_recorded_is_a_flag_with_the_reason_it_would_have_been_refused_for():
    assert outcome(finished(World(mode=Mode.SHADOW).exchange("FORBIDDEN")))[:4] == ("flag", "aup", "llama-2", "2.a")


def test_edits_are_those_that_are_made(monkeypatch):
    uses = [FieldUse("samples", "n", 9), FieldUse("samples", "n", 3), FieldUse("caller_ids", "request_id", True)]
    exchange = finished(World().exchange(uses=uses))
    assert outcome(exchange).reason == "edited"
    assert edits(exchange) == ("n: at most 4", "request_id: strip")
    assert edits(finished(World(mode=Mode.SHADOW).exchange(uses=uses))) == ()
    assert edits(finished(World().exchange("FORBIDDEN", uses=uses))) == (), "nobody gets to see them"


def test_a_length_that_is_written_into_a_request_that_states_none_is_an_edit():
    world = World()
    world.snapshot.models["tiny"].fields["length"] = FieldRule(FieldAction.CLAMP, 100)
    silent = finished(world.exchange())
    assert silent.inquiry.document["max_completion_tokens"] == 100
    assert edits(silent) == ("max_completion_tokens: 100 where none is stated",)
    assert edits(finished(world.exchange(uses=[FieldUse("length", "max_tokens", 50)]))) == ()
