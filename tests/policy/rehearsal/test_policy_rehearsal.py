"""A hypothetical request: who it is made to come from, what is told of each step, and what is not rehearsed."""

from datetime import UTC, datetime

import pytest

from guard.policy.load import load
from guard.policy.rehearsal.hypothetical import Caller, Request, settings_for
from guard.policy.rehearsal.rehearse import NOTED, PASSED, REFUSED, REMOVED, rehearse

NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
SAY = {"messages": [{"role": "user", "content": "Hello"}]}


def snapshot(*licenses, **settings):
    return load(None, {**settings_for(licenses, "m", Caller()), **settings}, environment={}).snapshot


def asked(**said):
    return Request(NOW, model="m", **said)


def step(found, name):
    return next(outcome for outcome in found.outcomes if outcome.step == name)


def test_the_step_that_refuses_is_the_last_and_decides():
    found = rehearse(snapshot("llama-2"), asked(caller=Caller(purpose="train:gemma-2-9b")))
    assert (found.outcomes[-1].step, found.outcomes[-1].result) == ("entitle", REFUSED)
    assert found.decided_by is found.outcomes[-1]
    assert found.refusal.clause == "1.b.v"


def test_what_a_step_learned_edited_and_owes_is_told():
    policy = snapshot("llama-3.1", **{"outputs.fields": {"logprobs": "strip", "samples": {"clamp": 2}}})
    found = rehearse(policy, asked(body={**SAY, "logprobs": True, "n": 3}, caller=Caller(purpose="train:gemma-2-9b")))
    assert step(found, "admit").edits == {"logprobs": REMOVED, "n": 2}
    assert step(found, "admit").learned["model"].name == "m"
    assert step(found, "identify").learned["identity"].source == "body"
    assert (step(found, "identify").result, step(found, "entitle").result) == (PASSED, NOTED)
    assert any("Built with Llama" in text for text in step(found, "entitle").obligations)
    assert found.obligations[: len(step(found, "entitle").obligations)] == step(found, "entitle").obligations
    assert found.verdict == "allow"


def test_in_shadow_everything_is_walked_and_what_would_refuse_is_noted():
    found = rehearse(snapshot("llama-2", mode="shadow"), asked(caller=Caller(purpose="train:gemma-2-9b")))
    assert found.verdict == "flag"
    assert [refusal.code for refusal in step(found, "entitle").shadowed] == ["output_use"]
    assert found.outcomes[-1].step == "count"
    assert found.decided_by.step == "entitle"


def test_a_request_that_names_nobody_can_be_refused_for_it():
    policy = snapshot("mistral-apache", **{"identity.unidentified": "deny"})
    assert rehearse(policy, asked(caller=Caller(None))).refusal.code == "identity_required"
    assert rehearse(policy, asked()).verdict == "allow"


@pytest.mark.parametrize(
    ("caller", "source", "assurance"),
    [
        (Caller("carol"), "body", "asserted"),
        (Caller("carol", source="jwt"), "jwt", "verified"),
        (Caller("carol", source="api_key"), "api_key", "verified"),
        (Caller("carol", source="trusted_header"), "none", "anonymous"),
        (Caller(None), "none", "anonymous"),
        (Caller(None, tenant="desk"), "credential", "credential"),
    ],
)
def test_the_caller_is_identified_by_what_it_shows(caller, source, assurance):
    """No proxy is trusted here, so its header is nobody's."""
    identity = rehearse(snapshot("mistral-apache"), asked(caller=caller)).exchange.identity
    assert (identity.source, identity.assurance) == (source, assurance)


def test_one_user_is_the_same_user_in_every_rehearsal_and_another_is_not():
    policy = snapshot("mistral-apache")
    keys = [rehearse(policy, asked(caller=Caller(user))).exchange.identity.key for user in ("a", "a", "b")]
    assert keys[0] == keys[1] != keys[2]


def test_the_messages_surface_carries_its_user_where_anthropic_does():
    found = rehearse(snapshot("mistral-apache"), asked(path="/v1/messages"))
    assert found.exchange.identity.source == "body"


@pytest.mark.parametrize(
    "match", [{"keys": ["desk"]}, {"claim": {"name": "team", "value": "risk"}}, {"namespace": ["risk"]}]
)
def test_a_tenant_is_known_by_whatever_the_policy_knows_it_by(match):
    settings = {
        "models": {"m": {"license": ["mistral-apache"]}},
        "tenants": {"risk": {"match": match, "fields": {"logprobs": "deny"}}},
        "identity": {
            "keys": [{"name": "desk", "sha256": "0" * 64}],
            "trusted_from": ["10.0.0.0/8"],
            "namespace_header": "x-namespace",
            "jwt": {"algorithms": ["HS256"], "secret_env": "SECRET"},
        },
    }
    policy = load(None, settings, environment={"SECRET": "s" * 32}).snapshot
    found = rehearse(policy, asked(body={**SAY, "logprobs": True}, caller=Caller(tenant="risk")))
    assert step(found, "identify").learned["tenant"].name == "risk"
    assert (found.verdict, found.refusal.code) == ("deny", "field_denied")
    assert rehearse(policy, asked(body={**SAY, "logprobs": True})).verdict == "allow"


def test_prompts_of_token_ids_are_not_evaluated_because_no_server_turns_them_into_text():
    found = rehearse(snapshot("mistral-apache"), asked(path="/v1/completions", body={"prompt": [1, 2, 3]}))
    assert (found.verdict, step(found, "detokenize").not_evaluated) == ("not_evaluated", ("token_prompts",))


def test_bytes_are_sent_as_they_are():
    found = rehearse(snapshot("mistral-apache"), asked(body=b'{"model": "m", "model": "n", "messages": []}'))
    assert (found.verdict, found.refusal.code, found.exchange) == ("deny", "malformed", None)


def test_a_path_that_passes_through_is_allowed_unread():
    found = rehearse(snapshot("mistral-apache"), asked(method="GET", path="/v1/models"))
    assert (found.verdict, found.exchange, [outcome.step for outcome in found.outcomes]) == ("allow", None, ["surface"])


@pytest.mark.parametrize("users", [0, 79_999_999, 80_000_000, 100_000_000, 100_000_001])
def test_thresholds_are_in_the_state_of_the_users_counted_before_the_request(users):
    found = rehearse(snapshot("qwen-2024"), asked(users=users))
    expected = "ok" if users < 80_000_000 else "approaching" if users <= 100_000_000 else "over"
    assert [(limit.id, state) for limit, state in found.thresholds] == [("mau_100m", expected)]
