"""A key that Guard made is a secret between the caller and Guard: the server behind, which may log it, never sees it."""

import asyncio
from base64 import b32encode
from datetime import date
from hashlib import sha256

import pytest
from asgi_world import CONFIG, Inner, chat, guarded

from guard.exchange.credential import PREFIX, hash_key, key_id, new_key

KEY, STRANGE = new_key(lambda n: bytes(range(n))), new_key(bytes)
OWN, SALT = "sk-the-servers-own", bytes(16)
SETTINGS = (
    "identity:\n  keys_file: keys.yaml\n  keys: [{{name: app, sha256: " + sha256(OWN.encode()).hexdigest() + "}}]\n"
)


def stored(revoked=None):
    return (
        f"keys:\n  - id: {key_id(KEY)}\n    name: desk\n    created: 2026-01-01\n    salt: '{SALT.hex()}'\n"
        f"    hash: '{hash_key(KEY, SALT).hex()}'\n" + (f"    revoked: {revoked}\n" if revoked else "")
    )


def reached(tmp_path, header, value, path="/v1/chat/completions", more="", keys=None):
    """The status, and the credentials in every request that reached the server behind."""
    (tmp_path / "keys.yaml").write_text(keys or stored())

    async def story():
        server = Inner() if path.endswith("completions") else Inner({"object": "list", "data": []})
        async with guarded(tmp_path, server, CONFIG + SETTINGS + more) as guard:
            get = path != "/v1/chat/completions"
            headers = ((header, value.encode()), (b"user-agent", b"test"))
            reply = await guard.post(
                b"" if get else chat(), path=path, method="GET" if get else "POST", headers=headers
            )
            assert all(sent[b"user-agent"] == b"test" for _, sent, _ in server.requests)
            return reply.status, [sent.get(header) for _, sent, _ in server.requests]

    return asyncio.run(story())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
@pytest.mark.parametrize(("header", "value"), [
    (b"authorization", f"Bearer {KEY}"), (b"authorization", f"bearer  {KEY} "), (b"authorization", KEY),
    (b"x-api-key", KEY), (b"x-api-key", f" {KEY}"),
])  # fmt: skip
def test_a_key_of_the_keys_file_is_not_forwarded_in_whatever_form_it_came(tmp_path, path, header, value):
    assert reached(tmp_path, header, value, path) == (200, [None])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
@pytest.mark.parametrize(("header", "value"), [
    (b"authorization", f"Bearer {OWN}"), (b"x-api-key", OWN), (b"authorization", "Bearer sk-nobody-registered"),
    (b"authorization", f"Bearer {STRANGE}"), (b"x-api-key", KEY[:-1] + ("0" if KEY[-1] != "0" else "1")),
    (b"authorization", f"Bearer {PREFIX}{b32encode(bytes(8)).decode().lower()[:12]}"),
])  # fmt: skip
def test_every_other_credential_is_the_business_of_the_server_behind(tmp_path, path, header, value):
    assert reached(tmp_path, header, value, path) == (200, [value.encode()])


def test_in_shadow_one_that_was_revoked_is_no_more_forwarded_than_before(tmp_path):
    keys = stored(revoked=date(2026, 1, 2))
    assert reached(tmp_path, b"x-api-key", KEY, more="mode: shadow\n", keys=keys) == (200, [None])


def test_the_server_is_not_shown_it_when_it_reads_token_ids_either(tmp_path):
    (tmp_path / "keys.yaml").write_text(stored())

    class Detokenizing(Inner):
        async def __call__(self, scope, receive, send):
            if scope["type"] == "http" and scope["path"] == "/detokenize":
                self.answer, answer = {"prompt": "Hello"}, self.answer
                await super().__call__(scope, receive, send)
                self.answer = answer
                return
            await super().__call__(scope, receive, send)

    async def story():
        server = Detokenizing({"id": "c", "object": "text_completion", "created": 1, "model": "tiny", "choices": []})
        async with guarded(tmp_path, server, CONFIG + SETTINGS) as guard:
            document = {"model": "tiny", "prompt": [1, 2, 3], "user": "ann"}
            for value in (f"Bearer {KEY}", f"Bearer {OWN}"):
                await guard.post(document, path="/v1/completions", headers=((b"authorization", value.encode()),))
        return [(path, sent.get(b"authorization")) for path, sent, _ in server.requests]

    own = f"Bearer {OWN}".encode()
    assert asyncio.run(story()) == [
        ("/detokenize", None), ("/v1/completions", None), ("/detokenize", own), ("/v1/completions", own),
    ]  # fmt: skip
