"""Signed assertions on the road: who brings one is counted by it, and it stays in front of the server behind."""

import asyncio
import json
import time

import jwt
import pytest
from asgi_world import Inner, chat, guarded
from cryptography.hazmat.primitives.asymmetric import ec

KEY = ec.generate_private_key(ec.SECP256R1())
CONFIG = """
upstream: http://127.0.0.1:9
admin: off
state_dir: {state}
models:
  tiny: {{license: llama-3.1}}
identity:
  unidentified: deny
  assertions:
    # 'user-agent' would be forwarded otherwise
    - {{header: user-agent, algorithms: [ES256], jwks_file: keys.json, issuer: proxy, audience: guard}}
"""


@pytest.fixture(autouse=True)
def keys(tmp_path):
    public = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public | {"kid": "k"}]}))


def assertion(key=KEY, **claims):
    content = {"iss": "proxy", "aud": "guard", "sub": "ann", "exp": time.time() + 600, **claims}
    return b"user-agent", jwt.encode(content, key, "ES256", headers={"kid": "k"}).encode()


def asked(tmp_path, *headers, body=None, path="/v1/chat/completions", method="POST"):
    async def story():
        server = Inner() if method == "POST" else Inner({"object": "list", "data": []})
        async with guarded(tmp_path, server, CONFIG) as guard:
            content = chat() if body is None else body
            reply = await guard.post(content, path=path, method=method, headers=headers)
            return reply, server, guard.users("llama-3.1")

    return asyncio.run(asyncio.wait_for(story(), 30))


def test_a_user_with_an_assertion_is_served_and_counted(tmp_path):
    reply, server, users = asked(tmp_path, assertion())
    assert (reply.status, len(server.requests), users) == (200, 1, 1)
    assert b"user-agent" not in server.requests[0][1]


def test_a_forged_one_reaches_nobody(tmp_path):
    reply, server, users = asked(tmp_path, assertion(ec.generate_private_key(ec.SECP256R1())))
    assert (reply.status, reply.json["error"]["code"]) == (401, "identity_required")
    assert (server.requests, users) == ([], 0)


def test_nor_is_it_forwarded_with_a_request_that_carries_no_text(tmp_path):
    headers = (assertion(), (b"accept", b"*/*"))
    reply, server, _ = asked(tmp_path, *headers, body=b"", path="/v1/models", method="GET")
    assert reply.status == 200
    assert b"accept" in server.requests[0][1]
    assert b"user-agent" not in server.requests[0][1]
