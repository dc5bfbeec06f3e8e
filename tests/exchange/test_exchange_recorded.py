"""A recorded decision made once more from its facts alone: the same under the same policy, a guess under none."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redecide_world import (
    KEYS,
    PHRASES,
    PROXY,
    REQUESTS,
    RULES,
    SNAPSHOTS,
    exchange_of,
    finish,
    model,
    services,
    snapshot,
)  # fmt: skip

from guard.exchange.credential import digest_key
from guard.exchange.inquiry import FieldUse
from guard.exchange.outcome import outcome, recorded_outcome
from guard.exchange.recorded import Untold, redecide_recorded
from guard.exchange.refusal import Code
from guard.exchange.snapshot import Entitlement, Mode, Ruling
from guard.exchange.tenant import Match, Tenant, Tenants
from guard.screening.findings import Action
from guard.screening.rules import Literal, Rule
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Source
from guard.usage.thresholds import AtLimit

RECIPE = PHRASES["S9.recipe"]
PLAIN = {
    "surface": "chat", "model": "tiny", "uses": [], "user": "ann", "key": None, "proxied": False, "country": None,
    "purpose": None, "prompt": [(Source.USER, "hello")], "answer": [(0, "hello")], "unscannable": [],
    "unknown": False, "served": True,
}  # fmt: skip
NAMELESS = "it named a model by what is no model's name, which is not written down"
FORGOTTEN = {
    NAMELESS,
    "whether its user was counted already was not recorded",  # where everybody is refused, and he was for another reason
}


def decided(policy, using, **changes):
    """The facts of one finished request, as they are read back from the audit chain."""
    request = {**PLAIN, **changes}
    return json.loads(
        json.dumps(finish(exchange_of(policy, using, request), request["answer"], served=request["served"]))
    )


@pytest.fixture
def using():
    with services() as using:
        yield using


@settings(max_examples=50, deadline=None)
@given(SNAPSHOTS, st.lists(REQUESTS, min_size=1, max_size=6))
def test_under_the_very_same_policy_everything_is_decided_the_same(policy, requests):
    with services() as using:
        for request in requests:
            if request["surface"] == "embeddings" and not policy.surface.enabled:
                continue  # refused by the transport, before there is an exchange
            exchange = exchange_of(policy, using, request)
            facts = json.loads(json.dumps(finish(exchange, request["answer"], served=request["served"])))
            assert recorded_outcome(facts) == outcome(exchange)
            again = redecide_recorded(facts, policy, policy)
            if isinstance(again, Untold):
                assert again.why in FORGOTTEN
            else:
                assert again == outcome(exchange)


WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x2FF), min_size=1, max_size=20).map(
    lambda it: f"zq{it}qz"
)


@settings(max_examples=50, deadline=None)
@given(
    policy=SNAPSHOTS,
    said=st.tuples(WORDS, WORDS, WORDS, WORDS, WORDS),
    found=st.sampled_from(["", *PHRASES.values()]),
    uses=st.sampled_from([[], [FieldUse("samples", "n", 9)]]),
)
def test_no_text_and_no_name_is_written_down(policy, said, found, uses):
    prompt, answer, user, purpose, key = said
    with services() as using:
        facts = decided(
            policy,
            using,
            prompt=[(Source.USER, f"{prompt} {found}")],
            answer=[(0, f"{found} {answer}")],
            user=user,
            key=f"sk-{key}",
            purpose=purpose.encode("ascii", "ignore").decode(),
            uses=uses,
        )
    written = json.dumps(facts, ensure_ascii=False)
    assert "zq" not in written
    assert not any(phrase in written for phrase in PHRASES.values())


def test_a_sentence_or_an_address_in_place_of_a_model_is_not_written_down(using):
    for name in ("ann smith has asked", "ann@example.org", "x" * 201):
        facts = decided(snapshot(), using, model=name)
        assert name not in json.dumps(facts)
        assert redecide_recorded(facts, snapshot(), snapshot()) == Untold(NAMELESS)


def test_a_model_that_only_the_candidate_serves_is_served(using):
    facts = decided(snapshot(), using, model="new")
    both = snapshot(models={**snapshot().models, "new": model("new", limits=())})
    assert facts["refused"]["code"] == "license_terms"
    found = redecide_recorded(facts, both, snapshot())
    assert found == Untold("it is no longer refused as license_terms, and its text was never screened")


def test_other_rulings_are_told_from_what_was_found(using):
    policy = snapshot()
    facts = decided(policy, using, prompt=[(Source.USER, PHRASES["S2.cards"])], answer=[(0, PHRASES["HR.insult"])])
    assert recorded_outcome(facts).verdict == "flag"
    assert [item["rule"] for item in facts["given"]["unruled"]] == ["S2.cards"]
    strict = {"S2": Ruling(Action.BLOCK, "llama-2", "fraud", "2.b")}
    blocking = snapshot(models={"tiny": model("tiny", rulings=strict, blocking=frozenset(strict))})
    found = redecide_recorded(facts, blocking, policy)
    assert (found.verdict, found.reason, found.clause, found.rules) == ("deny", "aup", "2.b", ("S2.cards",))
    shadowed = redecide_recorded(facts, replace(blocking, mode=Mode.SHADOW), policy)
    assert (shadowed.verdict, shadowed.reason) == ("flag", "aup")


def test_an_answer_that_the_candidate_would_end_is_told(using):
    policy = snapshot(shadowed_rules=frozenset({"S9.recipe"}))
    facts = decided(policy, using, answer=[(0, RECIPE)])
    assert recorded_outcome(facts).verdict == "flag"
    assert redecide_recorded(facts, snapshot(), policy).verdict == "deny"


def test_rules_that_changed_are_never_guessed_at(using):
    policy = snapshot()
    other = Rule("S9.other", "S9", (Literal.parse("quite another phrase"),), directions=frozenset(Direction))
    new = replace(policy, rules=RuleSet([*RULES, other]))
    plain = decided(policy, using)
    assert redecide_recorded(plain, new, policy) == Untold("rules were added or changed, and no text is kept")
    assert redecide_recorded(plain, new, replace(policy, rules=RuleSet(RULES[:1]))) == Untold(
        "its rules are neither those of now nor the candidate's, and no text is kept"
    )
    refused = decided(policy, using, prompt=[(Source.USER, RECIPE)])
    assert redecide_recorded(refused, new, policy).verdict == "deny", "what was found then is found again"
    fewer = replace(policy, rules=RuleSet(RULES[1:]))
    assert redecide_recorded(refused, fewer, policy).verdict == "allow"


def test_another_limit_is_told_from_the_users_of_then(using):
    policy = snapshot()
    one = replace(policy, models={"tiny": model("tiny", 1)})
    ann, bob, again = (decided(policy, using, user=user) for user in ("ann", "bob", "bob"))
    verdicts = [redecide_recorded(facts, one, policy) for facts in (ann, bob, again)]
    assert [(found.verdict, found.reason) for found in verdicts] == [
        ("allow", "edited"), ("deny", "usage_threshold"), ("allow", "edited"),
    ]  # fmt: skip
    everybody = replace(one, at_limit=AtLimit.REFUSE_ALL)
    assert redecide_recorded(again, everybody, policy).reason == "usage_threshold"
    uncounted = replace(policy, models={"tiny": model("tiny", limits=())})
    facts = decided(uncounted, using)
    assert redecide_recorded(facts, policy, uncounted) == Untold(
        "the users of a license that has a limit were not recorded"
    )


def test_who_sent_it_is_told_as_far_as_it_was_written_down(using):
    policy = snapshot()
    desk = decided(policy, using, key="sk-desk")
    unregistered = replace(policy, identity=replace(policy.identity, keys={}))
    assert redecide_recorded(desk, unregistered, policy) == Untold("its API key is not registered any more")
    strict = replace(policy, identity=replace(policy.identity, keys={}, registered_only=True))
    assert redecide_recorded(desk, strict, policy).reason == "identity_required"
    fewer = replace(policy, identity=replace(policy.identity, sources=("jwt",)))
    assert redecide_recorded(desk, fewer, policy) == Untold("it was identified by body, which is not read any more")
    nobody = snapshot(unidentified="deny")
    refused = decided(nobody, using, user=None)
    assert recorded_outcome(refused).reason == "identity_required"
    assert isinstance(redecide_recorded(refused, policy, nobody), Untold)


def test_a_tenant_of_the_candidates_is_known_by_the_key(using):
    policy = snapshot(tenants=None)
    facts = decided(policy, using, key="sk-desk")
    by_key = replace(policy, tenants=Tenants([Tenant("acme", Match(frozenset({"desk"})), {}, frozenset({"far"}))]))
    found = redecide_recorded(facts, by_key, policy)
    assert (found.verdict, found.reason) == ("deny", "license_terms")
    by_claim = replace(policy, tenants=Tenants([Tenant("acme", Match(claim=("org", "acme")))]))
    assert redecide_recorded(facts, by_claim, policy) == Untold(
        "tenants are told apart by claims or namespaces, which are not recorded"
    )


def test_a_place_that_was_not_looked_at_is_not_known(using):
    policy, located = snapshot(), snapshot(country_headers=(b"cf-ipcountry",))
    far = {"model": "far", "proxied": True, "country": "DE"}
    assert redecide_recorded(decided(policy, using, **far), located, policy) == Untold(
        "where it came from was not recorded"
    )
    facts = decided(located, using, **far)
    assert (facts["refused"]["code"], facts["given"]["country"]) == ("territory", "DE")
    assert redecide_recorded(facts, located, located).reason == "territory"
    assert PROXY not in json.dumps(facts)


@pytest.mark.parametrize("code", [Code.SCREENING_UNAVAILABLE, Code.LEDGER_UNAVAILABLE, Code.UPSTREAM_UNAVAILABLE])
def test_what_was_out_of_order_says_nothing_about_a_policy(code, using):
    facts = decided(snapshot(), using)
    facts["refused"] = {"code": code.value, "license": None, "clause": None, "category": None}
    why = "something was out of order, and a check could not be made"
    assert redecide_recorded(facts, snapshot(), snapshot()) == Untold(why)
    assert redecide_recorded({**facts, "refused": None, "not_evaluated": ["error"]}, snapshot(), snapshot()) == Untold(
        why
    )


def test_what_was_turned_away_unread_cannot_be_told():
    facts = {"reference": "r", "verdict": "deny", "ending": "refused", "refused": {"code": "malformed"}}
    assert isinstance(redecide_recorded(facts, snapshot(), snapshot()), Untold)


def test_a_purpose_is_judged_by_the_candidates_entitlements(using):
    policy = snapshot(tenants=None)
    facts = decided(policy, using, key="sk-lab", purpose="train:gemma-2-9b")
    assert recorded_outcome(facts).reason == "output_use"
    keys = {**KEYS, digest_key("sk-lab"): Entitlement("lab", "serve")}
    narrower = replace(policy, identity=replace(policy.identity, keys=keys))
    found = redecide_recorded(facts, narrower, policy)
    assert (found.verdict, found.reason, found.license) == ("deny", "output_use", None)
