"""A finished exchange decided once more: the same under the same policy, and nothing of it is counted or changed."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redecide_world import NOW, PHRASES, REQUESTS, SNAPSHOTS, decide, exchange_of, finish, model, services, snapshot

from guard.exchange.inquiry import FieldUse
from guard.exchange.outcome import outcome
from guard.exchange.redecide import redecide
from guard.exchange.refusal import Code
from guard.exchange.screen_output import OutputScreen
from guard.exchange.snapshot import FieldAction, FieldRule, Mode
from guard.screening.segments import Source
from guard.usage.thresholds import AtLimit

PLAIN = {
    "surface": "chat", "model": "tiny", "uses": [], "user": "ann", "key": None, "proxied": False, "country": None,
    "purpose": None, "prompt": [(Source.USER, "hello")], "answer": [(0, "hello")], "unscannable": [],
    "unknown": False, "served": True,
}  # fmt: skip
RECIPE = PHRASES["S9.recipe"]


def finished(policy, using, **changes):
    request = {**PLAIN, **changes}
    exchange = exchange_of(policy, using, request)
    finish(exchange, request["answer"], served=request["served"])
    return exchange


def again(exchange, policy):
    """What ``policy`` decides about a finished exchange."""
    return redecide(exchange, policy, exchange.services.counter.counts(NOW))


@settings(max_examples=50, deadline=None)
@given(SNAPSHOTS, st.lists(REQUESTS, min_size=1, max_size=6))
def test_under_the_very_same_policy_everything_is_decided_the_same(policy, requests):
    with services() as using:
        for request in requests:
            exchange = exchange_of(policy, using, request)
            if request["surface"] == "embeddings" and not policy.surface.enabled:
                continue  # refused by the transport, before there is an exchange
            finish(exchange, request["answer"], served=request["served"])
            counted, refused = using.counter.counts(NOW), exchange.refused
            second = again(exchange, policy)
            assert outcome(second.exchange) == outcome(exchange)
            assert using.counter.counts(NOW) == counted
            assert exchange.refused == refused
            assert second.partial is False


def test_nothing_is_refused_counted_or_edited_for_the_candidates_sake():
    policy = snapshot()
    strict = replace(policy, models={"tiny": model("tiny", 0, fields={"samples": FieldRule(FieldAction.CLAMP, 1)})})
    with services() as using:
        exchange = finished(policy, using, uses=[FieldUse("samples", "n", 3)])
        second = again(exchange, strict)
        assert outcome(second.exchange).reason == "usage_threshold"
        assert exchange.inquiry.document["n"] == 3
        assert exchange.inquiry.choices == 3
        assert exchange.refused is None
        assert using.counter.counts(NOW)["llama-2"].users == 1
        assert using.meter.calls == [("first_sighting", (), {})]


def test_a_newcomer_is_judged_as_the_newcomer_he_was():
    policy = snapshot()
    one = replace(policy, models={"tiny": model("tiny", 1)})
    with services() as using:
        assert outcome(again(finished(policy, using, user="ann"), one).exchange).verdict == "allow"
        assert outcome(again(finished(policy, using, user="bob"), one).exchange).reason == "usage_threshold"
        known = again(finished(policy, using, user="bob"), one).exchange
        assert outcome(known).verdict == "allow", "he is counted already"
        all_ = replace(one, at_limit=AtLimit.REFUSE_ALL)
        assert outcome(again(finished(policy, using, user="bob"), all_).exchange).reason == "usage_threshold"


def test_one_refused_for_places_that_others_held_is_refused_again():
    policy = snapshot()
    with services() as using:
        limits = policy.models["tiny"].limits
        held = [using.counter.ask(limits, key, AtLimit.REFUSE_NEWCOMERS, NOW) for key in (1, 2)]
        exchange = exchange_of(policy, using, PLAIN)
        assert decide(exchange).code is Code.USAGE_THRESHOLD
        assert using.counter.counts(NOW)["llama-2"].users == 0
        assert outcome(again(exchange, policy).exchange) == outcome(exchange)
        for reservation in held:
            using.counter.settle(reservation)


def test_users_of_a_license_that_was_not_counted_are_not_made_up():
    uncounted = snapshot(models={"tiny": model("tiny", limits=(), counted=())})
    with services() as using:
        second = again(finished(uncounted, using), snapshot())
        assert second.exchange.not_evaluated == ["count"]
        assert outcome(second.exchange).verdict == "not_evaluated"


def test_the_request_is_what_it_was_before_the_first_policy_edited_it():
    policy = snapshot()
    free = replace(policy, models={"tiny": model("tiny", fields={})})
    with services() as using:
        exchange = finished(
            policy, using, uses=[FieldUse("samples", "n", 9), FieldUse("caller_ids", "request_id", True)]
        )
        assert outcome(exchange).edits == (
            "n: at most 4", "request_id: strip", "max_completion_tokens: 100 where none is stated",
        )  # fmt: skip
        second = again(exchange, free)
        assert outcome(second.exchange).edits == ()
        assert second.exchange.inquiry.document == {"n": 9, "request_id": True}
        assert second.exchange.inquiry.choices == 9


def test_what_a_cut_answer_would_have_gone_on_to_say_is_not_known():
    policy = snapshot()
    with services() as using:
        exchange = finished(policy, using, answer=[(0, f"{RECIPE}. "), (0, "more")])
        assert exchange.refused.code is Code.AUP
        second = again(exchange, replace(policy, mode=Mode.SHADOW))
        assert second.partial
        assert outcome(second.exchange).verdict == "flag"


def test_the_first_choice_that_was_ended_is_the_first_again():
    """Choice 0 is ended by its end, before choice 1 says anything."""
    policy = snapshot()
    for first, last in ((0, 1), (1, 0)):
        with services() as using:
            exchange = finished(policy, using, served=False)
            exchange.answer = [((first, "content"), RECIPE), ((first, "content"), None), ((last, "content"), "x")]
            screen = OutputScreen(exchange)
            screen.feed((first, "content"), RECIPE)
            assert screen.blocked(first) is None, "the word might go on"
            screen.finish((first, "content"))
            screen.close()
            assert outcome(again(exchange, policy).exchange) == outcome(exchange)


@pytest.mark.parametrize("enabled", [frozenset(), frozenset({"embeddings"})])
def test_a_surface_that_the_candidate_closes_is_closed(enabled):
    policy = snapshot(enabled=frozenset({"embeddings"}))
    with services() as using:
        exchange = finished(policy, using, surface="embeddings")
        found = outcome(again(exchange, snapshot(enabled=enabled)).exchange)
        assert (found.verdict, found.reason) == (("allow", "none") if enabled else ("deny", "surface_denied"))


def test_token_prompts_that_were_never_turned_into_text_are_not_evaluated():
    policy = snapshot()
    with services() as using:
        exchange = exchange_of(policy, using, {**PLAIN, "uses": [FieldUse("logprobs", "logprobs", True)]})
        exchange.inquiry.token_prompts = [[1, 2, 3]]
        finish(exchange, [])
        assert exchange.refused.code is Code.FIELD_DENIED
        free = replace(policy, models={"tiny": model("tiny", fields={})})
        assert again(exchange, free).exchange.not_evaluated == ["token_prompts"]
