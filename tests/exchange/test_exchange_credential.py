"""API keys are compared by digest."""

import hashlib

from guard.exchange.credential import digest_key


def test_the_digest_is_what_sha256sum_prints():
    assert digest_key("sk-example") == hashlib.sha256(b"sk-example").hexdigest()
    assert digest_key("kéy") != digest_key("key")
    assert len(digest_key("\ud800")) == 64
