"""API keys are compared by digest; those that Guard makes are known by an id, and say when they were mistyped."""

import hashlib
import re
import secrets
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange.credential import StoredKey, digest_key, hash_key, key_id, new_key


def test_the_digest_is_what_sha256sum_prints():
    assert digest_key("sk-example") == hashlib.sha256(b"sk-example").hexdigest()
    assert digest_key("kéy") != digest_key("key")
    assert len(digest_key("\ud800")) == 64


def test_a_key_has_a_form_that_scanners_can_look_for():
    key = new_key(secrets.token_bytes)
    assert re.fullmatch("gk_[a-z2-7]{12}_[A-Za-z0-9_-]{43}[0-9a-f]{8}", key)
    assert key.endswith(f"{crc32(key[:-8].encode()):08x}")
    assert key_id(key) == key[3:15]


def test_all_of_the_secret_is_random_and_no_two_keys_are_alike():
    assert len({new_key(secrets.token_bytes) for _ in range(200)}) == 200
    one, other = new_key(lambda n: b"\0" * n), new_key(lambda n: b"\0" * (n - 1) + b"\1")
    assert key_id(one) == key_id(other)
    assert one != other


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_key_that_was_mistyped_or_cut_short_has_no_id(data):
    key = new_key(lambda n: bytes(range(n)))
    at = data.draw(st.integers(0, len(key) - 1))
    typed = data.draw(st.characters(codec="latin-1"))
    assert key_id(key[:at] + typed + key[at + 1 :]) == (key[3:15] if typed == key[at] else None)
    assert key_id(key[:at]) is None


def test_what_is_stored_knows_its_key_and_no_other_and_depends_on_the_salt():
    key, salt = new_key(secrets.token_bytes), bytes(16)
    stored = StoredKey(salt, hash_key(key, salt))
    assert stored.matches(key)
    assert not stored.matches(key[:-1])
    assert not stored.matches("kéy \ud800")
    assert hash_key(key, b"\1" * 16) != hash_key(key, salt)


@pytest.mark.parametrize(("stored", "refused"), [
    (StoredKey(b"", b""), False),
    (StoredKey(b"", b"", expires=1000.0), True),
    (StoredKey(b"", b"", expires=1000.1), False),
    (StoredKey(b"", b"", revoked=True), True),
    (StoredKey(b"", b"", expires=1000.1, revoked=True), True),
])  # fmt: skip
def test_a_key_is_refused_from_its_end_or_its_revocation_on(stored, refused):
    assert stored.refused(1000.0) is refused
