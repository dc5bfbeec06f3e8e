"""A tenant's overlay on the road: known by what cannot be made up, tighter than the base policy, counted alike."""

import asyncio
import json
import time

import jwt
import pytest
from asgi_world import Inner, chat, events, guarded

from guard.exchange.credential import digest_key

pytestmark = pytest.mark.slow  # each compiles the rules of a tenant

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = """
upstream: http://127.0.0.1:9
admin: off
state_dir: {state}
models:
  tiny: {{license: llama-3.1}}
  small: {{license: gemma}}
identity:
  trusted_from: [10.0.0.0/8]
  jwt: {{algorithms: [HS256], secret_env: TENANT_TEST_SECRET}}
  keys:
    - {{name: desk, sha256: {desk}}}
tenants:
  desk: {{match: {{keys: [desk]}}, models: [tiny], fields: {{logprobs: deny}}}}
  school: {{match: {{claim: {{name: org, value: school}}}}, rules: [school.yaml], actions: {{HR: block}}}}
  lab: {{match: {{namespace: [lab]}}, rules: [school.yaml], actions: {{HR: block}}, terms: [{terms}]}}
"""
TERMS = "{license: gemma, accepted: 2026-05-01, by: legal@example.org, document: order 17}"
RULES = """
category: HR
rules:
  - {id: HR.school-word, anchors: [zxqvortex], requires: [{any: [about], within: 30}], directions: [prompt, output], score: 0.9}
"""
PROXY, STRANGER = "10.0.0.1", "192.0.2.1"


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


@pytest.fixture(autouse=True)
def world(monkeypatch, tmp_path):
    monkeypatch.setenv("TENANT_TEST_SECRET", SECRET)
    (tmp_path / "school.yaml").write_text(RULES)


def bearer(key):
    return (b"authorization", b"Bearer " + key.encode())


def token(org="school", secret=SECRET):
    return jwt.encode({"sub": "alice", "org": org, "exp": time.time() + 600}, secret, algorithm="HS256")


def asked(tmp_path, document, *headers, peer=STRANGER, inner=None, extra=""):
    async def story():
        server = inner or Inner()
        async with guarded(tmp_path, server, CONFIG + extra, terms=TERMS, desk=digest_key("desk-key")) as guard:
            return await guard.post(document, headers=headers, peer=peer), server, guard.users("llama-3.1")

    return run(story())


def code(reply):
    return reply.json["error"]["code"] if reply.status >= 400 else None


WORD = "tell me about zxqvortex"


def test_a_key_is_held_to_its_tenants_models_and_fields(tmp_path):
    refused, _, users = asked(tmp_path, chat(model="small"), bearer("desk-key"))
    assert (refused.status, code(refused), users) == (404, "license_terms", 0)
    refused, server, _ = asked(tmp_path, chat(logprobs=True), bearer("desk-key"))
    assert (refused.status, code(refused), server.requests) == (403, "field_denied", [])
    served, _, users = asked(tmp_path, chat(), bearer("desk-key"))
    assert (served.status, users) == (200, 1)


@pytest.mark.parametrize(("headers", "peer", "status"), [
    ([bearer(token())], STRANGER, 403),
    ([bearer(token(org=["library", "school"]))], STRANGER, 403),
    ([bearer(token(org="library"))], STRANGER, 200),
    ([bearer(token(org={"school": 1}))], STRANGER, 200),
    ([bearer(token(secret="f" * 32))], STRANGER, 401),
    ([(b"x-guard-namespace", b"lab")], PROXY, 403),
    ([(b"x-guard-namespace", b"lab")], STRANGER, 200),
    ([(b"x-guard-namespace", b"other")], PROXY, 200),
    ([(b"x-guard-namespace", b"other"), (b"x-guard-namespace", b"lab")], PROXY, 400),
    ([], STRANGER, 200),
])  # fmt: skip
def test_a_tenants_own_rules_bind_whoever_verifiably_is_its_caller(tmp_path, headers, peer, status):
    reply, server, _ = asked(tmp_path, chat(WORD), *headers, peer=peer)
    assert reply.status == status
    assert len(server.requests) == (status == 200)


def test_the_namespace_is_not_forwarded(tmp_path):
    reply, server, _ = asked(tmp_path, chat(), (b"x-guard-namespace", b"lab"), peer=PROXY)
    assert reply.status == 200
    assert b"x-guard-namespace" not in server.requests[0][1]


def test_nor_is_it_with_a_request_that_carries_no_text(tmp_path):
    async def story():
        server = Inner({"object": "list", "data": []})
        async with guarded(tmp_path, server, CONFIG, terms=TERMS, desk=digest_key("desk-key")) as guard:
            headers = ((b"x-guard-namespace", b"lab"), (b"accept", b"*/*"))
            reply = await guard.post(b"", path="/v1/models", method="GET", headers=headers, peer=PROXY)
            return reply, server.requests[0][1]

    reply, forwarded = run(story())
    assert reply.status == 200
    assert b"accept" in forwarded
    assert b"x-guard-namespace" not in forwarded


def test_the_model_list_is_the_callers_own(tmp_path):
    async def story(*headers):
        server = Inner({"object": "list", "data": [{"id": "tiny"}, {"id": "small"}]})
        async with guarded(tmp_path, server, CONFIG, terms=TERMS, desk=digest_key("desk-key")) as guard:
            reply = await guard.post(b"", path="/v1/models", method="GET", headers=headers)
            return [card["id"] for card in reply.json["data"]]

    assert run(story(bearer("desk-key"))) == ["tiny"]
    assert run(story(bearer(token()))) == ["tiny", "small"]
    assert run(story()) == ["tiny", "small"]


def test_the_admin_port_and_the_audit_chain_name_the_tenant(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), CONFIG, terms=TERMS, desk=digest_key("desk-key")) as guard:
            await guard.post(chat(logprobs=True), headers=[bearer("desk-key")])
            return guard.runtime.policy()["tenants"], guard.runtime.decisions(1)[0]["identity"]

    tenants, identity = run(story())
    assert [tenant["name"] for tenant in tenants] == ["desk", "school", "lab"]
    assert tenants[0]["tightens"]["models"] == {"tiny": {"actions": {}, "fields": {"logprobs": "deny"}}}
    assert tenants[1]["tightens"]["rules"] == ["HR.school-word"]
    assert (identity["tenant"], identity["application"]) == ("desk", "desk")


def test_a_tenants_rules_hold_its_streams_back_and_nobody_elses(tmp_path):
    parts = ["This is about zxq", "vortex and more", " of it."]

    def stream(*headers):
        inner = Inner(kind=b"text/event-stream", chunks=events(*parts))
        reply, _, _ = asked(tmp_path, chat(stream=True), *headers, inner=inner)
        lines = [json.loads(line[6:]) for line in reply.body.split(b"\n") if line.startswith(b"data: {")]
        choices = [choice for event in lines for choice in event["choices"]]
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        return text, choices[-1]["finish_reason"]

    assert stream() == ("".join(parts), "stop")
    text, ending = stream(bearer(token()))
    assert ending == "content_filter"
    assert "zxq" not in text


def test_terms_that_flow_down_are_asked_of_whoever_has_not_accepted_them(tmp_path):
    demand = "  terms: require\n"
    config = CONFIG.replace("identity:\n", "identity:\n" + demand)

    async def story(*headers, peer=STRANGER):
        async with guarded(tmp_path, Inner(), config, terms=TERMS, desk=digest_key("desk-key")) as guard:
            return await guard.post(chat(model="small"), headers=headers, peer=peer)

    accepted = run(story((b"x-guard-namespace", b"lab"), peer=PROXY))
    assert accepted.status == 200
    refused = run(story(bearer(token())))
    assert (refused.status, code(refused)) == (403, "license_terms")
    assert refused.json["error"]["guard"]["license"] == "gemma"
