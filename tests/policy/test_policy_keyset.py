"""What is taken from a key set, and what no key set may hold."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from key_server import EC_KEY, RSA_KEY, jwk

from guard.policy.keyset import KeyProblem, parse_key_set

GOOD = jwk(EC_KEY, "good")


def kids(*entries):
    return set(parse_key_set(json.dumps({"keys": [GOOD, *entries]}).encode())) - {"good"}


def test_public_signature_keys_are_taken_by_kid():
    assert kids(jwk(RSA_KEY, "r")) == {"r"}
    assert kids(jwk(RSA_KEY, "r") | {"use": "sig"}) == {"r"}
    bare = jwk(RSA_KEY, "r")
    del bare["alg"]
    assert parse_key_set(json.dumps({"keys": [bare]}).encode())["r"].key.algorithm_name == "RS256"


@pytest.mark.parametrize("entry", [
    {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
    jwk(RSA_KEY, "x") | {"use": "enc"},
    jwk(RSA_KEY, 5),
    {key: value for key, value in jwk(RSA_KEY, "x").items() if key != "kid"},
    RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True) | {"kid": "x", "alg": "RS256"},
    jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024), "x"),
    jwk(RSA_KEY, "x") | {"n": "!!"},
    jwk(RSA_KEY, "x") | {"alg": "RS999"},
    {"kty": "LATTICE", "kid": "x"}, {"kid": "x"}, {}, [], None, "x", 5,
])  # fmt: skip
def test_other_entries_are_passed_over_because_others_can_use_them(entry):
    assert kids(entry) == set()


@pytest.mark.parametrize("text", ["", "nothing", "[]", "{}", '{"keys": 5}', '{"keys": {"a": {}}}', "[" * 100_000])
def test_what_is_no_key_set_is_told(text):
    with pytest.raises(KeyProblem, match=r"^not a JSON Web Key Set$"):
        parse_key_set(text.encode())
    with pytest.raises(KeyProblem, match="without a public signature key that has a kid"):
        parse_key_set(b'{"keys": []}')


def test_an_entry_that_stays_keeps_its_key_and_one_that_changes_does_not():
    first = parse_key_set(json.dumps({"keys": [GOOD, jwk(RSA_KEY, "r")]}).encode())
    again = parse_key_set(json.dumps({"keys": [jwk(RSA_KEY, "good"), jwk(RSA_KEY, "r")]}).encode(), first)
    assert again["r"].key is first["r"].key
    assert again["good"].key is not first["good"].key
