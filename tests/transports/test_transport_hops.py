"""Headers that say who the user is reach the server behind from hops that are believed about them, and from nobody else."""

import asyncio

import pytest
from asgi_world import CONFIG, Inner, chat, guarded

IDENTITY = """
identity:
  trusted_headers: [x-user-id, {{header: x-goog-authenticated-user-id, from: [10.1.0.0/16], namespace: iap}}]
  trusted_from: [10.0.0.0/8]
  mtls: {{from: [10.1.0.0/16]}}
"""
SENT = (
    (b"x-user-id", b"ann"),
    (b"x-goog-authenticated-user-id", b"accounts.google.com:1"),
    (b"x-forwarded-client-cert", b"Hash=00;URI=spiffe://a/ann"),
)
NOBODYS = IDENTITY.replace("  trusted_from: [10.0.0.0/8]\n", "")


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(("identity", "peer", "forwarded"), [
    (IDENTITY, "10.1.0.9", {b"x-user-id", b"x-goog-authenticated-user-id"}),
    (IDENTITY, "10.2.0.9", {b"x-user-id"}),
    (IDENTITY, "192.0.2.1", set()),
    (NOBODYS, "10.1.0.9", {b"x-goog-authenticated-user-id"}),
    (NOBODYS, "10.2.0.9", set()),
])  # fmt: skip
def test_only_what_is_believed_is_forwarded_and_a_certificate_never(tmp_path, method, identity, peer, forwarded):
    async def story():
        server = Inner() if method == "POST" else Inner({"object": "list", "data": []})
        async with guarded(tmp_path, server, CONFIG + identity) as guard:
            path = "/v1/chat/completions" if method == "POST" else "/v1/models"
            body = chat() if method == "POST" else b""
            reply = await guard.post(body, path=path, method=method, headers=SENT, peer=peer)
            return reply.status, {name for name, _ in SENT} & set(server.requests[0][1])

    assert asyncio.run(story()) == (200, forwarded)


def test_each_source_and_each_newcomer_is_in_the_metrics(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), CONFIG + IDENTITY) as guard:
            for peer in ("10.1.0.9", "10.1.0.9", "10.2.0.9", "192.0.2.1"):
                await guard.post(chat(), headers=SENT, peer=peer)
            value = guard.runtime.registry.get_sample_value
            return [
                [value(f"guard_identity_{name}total", {"source": source}) for name in ("", "new_")]
                for source in ("mtls", "trusted_header", "body")
            ]

    assert asyncio.run(story()) == [[2.0, 1.0], [1.0, 1.0], [1.0, 1.0]]


def test_identities_that_do_not_come_back_are_a_metric_and_a_reason_of_the_count(tmp_path, monkeypatch):
    from guard.usage import churn

    monkeypatch.setattr(churn, "LEAST", 10)
    monkeypatch.setattr(churn, "LEARNING", 0)

    async def story():
        async with guarded(tmp_path, Inner(), CONFIG) as guard:
            for number in range(10):
                await guard.post(chat(user=f"session-{number}"))
            ratio = guard.runtime.registry.get_sample_value("guard_identity_churn_ratio", {"source": "body"})
            return ratio, [row["reasons"] for row in guard.runtime.usage() if row["license"] == "llama-2"]

    ratio, ((*_, reason),) = asyncio.run(story())
    assert ratio == 1.0
    assert reason.startswith("100% of 10 requests identified by body in the last day came from identities never seen")
