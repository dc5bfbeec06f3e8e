"""What is written down of a request beside its texts: the users who stood in its way, and whether it was a newcomer's."""

import pytest
from redecide_world import exchange_of, finish, model, services, snapshot

from guard.exchange.outcome import outcome
from guard.exchange.recorded import redecide_recorded
from guard.screening.segments import Source

PLAIN = {
    "surface": "chat", "model": "tiny", "uses": [], "user": "ann", "key": None, "proxied": False, "country": None,
    "purpose": None, "prompt": [(Source.USER, "hello")], "answer": [(0, "hello")], "unscannable": [],
    "unknown": False, "served": True,
}  # fmt: skip


@pytest.fixture
def using():
    with services() as using:
        yield using


def recorded(policy, using, user, *, served=True):
    exchange = exchange_of(policy, using, {**PLAIN, "user": user})
    return exchange, finish(exchange, PLAIN["answer"], served=served)


def test_a_newcomer_who_was_counted_is_not_among_those_who_stood_in_his_way(using):
    seen = [recorded(snapshot(), using, user)[1]["given"] for user in ("ann", "bob", "bob")]
    assert [(given["users"], given["newcomer"]) for given in seen] == [
        ({"llama-2": 0}, True), ({"llama-2": 1}, True), ({"llama-2": 2}, False),
    ]  # fmt: skip


def test_a_newcomer_whom_the_limit_refused_is_refused_again(using):
    policy = snapshot()
    for user in ("ann", "bob"):
        recorded(policy, using, user)
    exchange, facts = recorded(policy, using, "eve")
    assert exchange.refused.code.value == "usage_threshold"
    assert (facts["given"]["users"], facts["given"]["newcomer"]) == ({"llama-2": 2}, True)
    assert redecide_recorded(facts, policy, policy) == outcome(exchange)


def test_a_newcomer_whom_nobody_answered_is_not_counted_and_not_subtracted(using):
    policy = snapshot()
    recorded(policy, using, "ann")
    exchange, facts = recorded(policy, using, "bob", served=False)
    assert (facts["given"]["users"], facts["given"]["newcomer"]) == ({"llama-2": 1}, True)
    assert redecide_recorded(facts, policy, policy) == outcome(exchange)
    one = snapshot(models={"tiny": model("tiny", 1)})
    assert redecide_recorded(facts, one, policy).reason == "usage_threshold"
