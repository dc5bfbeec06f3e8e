"""Signed assertions as they are configured: the signatures of IAP's and Access' form, verified for real."""

import time

import pytest
from key_server import EC_KEY, RSA_KEY, key_set, signed

from guard.policy.load import load
from guard.policy.watch import ActivePolicy

CONFIG = """
models:
  m: {license: gemma}
identity:
  assertions:
    - header: X-Goog-IAP-JWT-Assertion
      algorithms: [ES256]
      jwks_file: iap.json
      issuer: https://cloud.google.com/iap
      audience: /projects/1/global/backendServices/2
      trusted_from: [10.0.0.0/8]
    - header: Cf-Access-Jwt-Assertion
      algorithms: [RS256]
      jwks_file: access.json
      issuer: https://acme.cloudflareaccess.com
      audience: 4714c1358e65fe4b
      claim: email
"""
IAP = {"iss": "https://cloud.google.com/iap", "aud": "/projects/1/global/backendServices/2"}
ACCESS = {"iss": "https://acme.cloudflareaccess.com", "aud": ["4714c1358e65fe4b"], "email": "ann@example.org"}


@pytest.fixture
def assertions(write):
    write(key_set(iap=EC_KEY).decode(), "iap.json")
    write(key_set(access=RSA_KEY).decode(), "access.json")
    return load(write(CONFIG)).snapshot.identity.assertions


def test_each_header_has_its_issuer_its_audience_and_its_claim(assertions):
    iap, access = assertions
    assert (iap.header, iap.claim, access.header, access.claim) == (
        b"x-goog-iap-jwt-assertion", "sub", b"cf-access-jwt-assertion", "email",
    )  # fmt: skip
    assert [str(network) for network in iap.trusted_from] == ["10.0.0.0/8"]
    assert iap.verify(signed(EC_KEY, "iap", **IAP))["sub"] == "ann"
    assert access.verify(signed(RSA_KEY, "access", **ACCESS))["email"] == "ann@example.org"


@pytest.mark.parametrize("change", [
    {"iss": "https://accounts.google.com"}, {"aud": "/projects/1/global/backendServices/3"}, {"exp": time.time() - 60},
    {"aud": None}, {"aud": []}, {"iss": ""},
])  # fmt: skip
def test_what_was_signed_for_another_service_is_not_valid_here(assertions, change):
    assert assertions[0].verify(signed(EC_KEY, "iap", **IAP | change)) is None


def test_the_keys_of_one_issuer_sign_nothing_for_the_other(assertions):
    iap, access = assertions
    assert access.verify(signed(EC_KEY, "iap", **ACCESS)) is None
    assert iap.verify(signed(RSA_KEY, "access", **IAP)) is None
    assert iap.verify(signed(RSA_KEY, "iap", **IAP)) is None
    assert iap.verify("garbage") is None


def test_another_key_file_is_a_reload(write, assertions):
    active = ActivePolicy(write(CONFIG))
    assert len(assertions) == len(active.snapshot.identity.assertions)
    write(key_set(other=EC_KEY).decode(), "iap.json")
    assert active.changed()
    assert active.reload().ok
    verify = active.snapshot.identity.assertions[0].verify
    assert verify(signed(EC_KEY, "iap", **IAP)) is None
    assert verify(signed(EC_KEY, "other", **IAP)) is not None
