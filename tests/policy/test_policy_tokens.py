"""Bearer tokens: what is accepted, and every trick that is not."""

import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from guard.policy.document import PolicyError
from guard.policy.keyset import KeyProblem
from guard.policy.load import load
from guard.policy.settings.identity import JwtConfig
from guard.policy.tokens import build_verifier

NOW = 1_800_000_000.0
SECRET = "a-shared-secret-of-more-than-32-bytes"


@pytest.fixture(scope="module")
def private_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def public_pem(private_key):
    return private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def key_file(tmp_path, public_pem):
    path = tmp_path / "key.pem"
    path.write_bytes(public_pem)
    return str(path)


class Clock:
    now = NOW

    def __call__(self):
        return self.now


def shared(clock=None, **settings):
    config = JwtConfig(algorithms=("HS256",), secret_env="S", **settings)
    return build_verifier(config, {"S": SECRET}, clock or Clock())


def token(key=SECRET, algorithm="HS256", headers=None, **claims):
    return jwt.encode({"sub": "ann", "exp": NOW + 60, **claims}, key, algorithm=algorithm, headers=headers)


def test_a_good_token_gives_its_claims(private_key, key_file):
    assert shared()(token())["sub"] == "ann"
    verify = build_verifier(JwtConfig(algorithms=("RS256",), key_file=key_file), {}, Clock())
    assert verify(token(private_key, "RS256"))["sub"] == "ann"


def test_times_have_thirty_seconds_of_leeway():
    verify = shared()
    assert verify(token(exp=NOW - 29)) is not None
    assert verify(token(exp=NOW - 30)) is None
    assert verify(token(nbf=NOW + 30)) is not None
    assert verify(token(nbf=NOW + 31)) is None
    assert verify(jwt.encode({"sub": "ann"}, SECRET)) is None, "a token without exp lives for ever"


@pytest.mark.parametrize("claims", [{"exp": "soon"}, {"exp": None}, {"exp": 1e400}, {"nbf": []}, {"exp": {}}])
def test_times_that_are_no_times_are_refused(claims):
    assert shared()(jwt.encode({"sub": "ann", "exp": NOW + 60} | claims, SECRET)) is None


def test_issuer_and_audience_are_checked_where_stated():
    verify = shared(issuer="https://idp", audience="guard")
    assert verify(token(iss="https://idp", aud=["guard", "x"])) is not None
    assert verify(token(iss="https://idp")) is None
    assert verify(token(aud="guard")) is None
    assert verify(token(iss="https://evil", aud="guard")) is None
    assert shared()(token(aud="anything")) is not None


def test_the_algorithm_is_ours_to_choose_not_the_tokens(private_key, public_pem, key_file):
    verify = build_verifier(JwtConfig(algorithms=("RS256",), key_file=key_file), {}, Clock())
    none = jwt.encode({"sub": "ann", "exp": NOW + 60}, None, algorithm="none")
    assert verify(none) is None
    assert shared()(none) is None
    # the classic: an HMAC token whose secret is the public key's text
    header, payload = none.split(".")[:2]
    import base64
    import hashlib
    import hmac

    forged_header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    signed = f"{forged_header}.{payload}"
    signature = base64.urlsafe_b64encode(hmac.new(public_pem, signed.encode(), hashlib.sha256).digest()).rstrip(b"=")
    assert header
    assert verify(f"{signed}.{signature.decode()}") is None
    assert verify(token(private_key, "RS512")) is None


def test_hs_never_goes_with_a_public_key(write, key_file, public_pem):
    path = write(f"models:\n  m: {{license: gemma}}\nidentity:\n  jwt: {{algorithms: [HS256], key_file: {key_file}}}\n")
    with pytest.raises(PolicyError, match=r"identity\.jwt: a mapping; allowed: key_file goes with .*, not with HS256"):
        load(path)
    with pytest.raises(KeyProblem, match="holds a PEM key"):
        build_verifier(JwtConfig(algorithms=("HS256",), secret_env="S"), {"S": public_pem.decode()})


def test_keys_of_a_set_are_chosen_by_kid(tmp_path, private_key):
    other = ec.generate_private_key(ec.SECP256R1())
    keys = [
        jwt.algorithms.RSAAlgorithm.to_jwk(private_key.public_key(), as_dict=True) | {"kid": "r", "alg": "RS256"},
        jwt.algorithms.ECAlgorithm.to_jwk(other.public_key(), as_dict=True) | {"kid": "e", "alg": "ES256"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "o", "alg": "HS256"},
    ]
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": keys}))
    verify = build_verifier(JwtConfig(algorithms=("RS256", "ES256"), jwks_file=str(path)), {}, Clock())
    assert verify(token(private_key, "RS256", {"kid": "r"})) is not None
    assert verify(token(other, "ES256", {"kid": "e"})) is not None
    assert verify(token(private_key, "RS256", {"kid": "e"})) is None
    assert verify(token(private_key, "RS256")) is None
    assert verify(token("secret" * 8, "HS256", {"kid": "o"})) is None


@pytest.mark.parametrize("text", ["", "a.b.c", "not a token", "é.é.é", "..", "\ud800"])
def test_garbage_is_no_token(text):
    assert shared()(text) is None


def test_a_token_is_verified_once_and_forgotten_when_it_expires():
    clock = Clock()
    verify = shared(clock)
    once = token()
    first = verify(once)
    assert verify(once) is first
    clock.now = NOW + 89
    assert verify(once) is first
    clock.now = NOW + 90
    assert verify(once) is None


def test_the_cache_is_bounded(monkeypatch):
    monkeypatch.setattr("guard.policy.tokens.CACHED", 3)
    verify = shared()
    for number in range(10):
        verify(token(jti=str(number)))
    assert len(verify._valid) == 3


@pytest.mark.parametrize(("environment", "why"), [({}, "is not set"), ({"S": "short"}, "is too short")])
def test_a_weak_secret_is_a_problem_that_does_not_show_it(environment, why):
    with pytest.raises(KeyProblem, match=f"environment variable S {why}; allowed: at least 32 bytes") as caught:
        build_verifier(JwtConfig(algorithms=("HS256",), secret_env="S"), environment)
    assert "short;" not in str(caught.value).replace("too short;", "")


def test_key_files_that_hold_no_key_are_problems(tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("nothing")
    for setting in ("key_file", "jwks_file"):
        with pytest.raises(KeyProblem, match="the file is not a"):
            build_verifier(JwtConfig(algorithms=("RS256",), **{setting: str(bad)}), {})
        with pytest.raises(KeyProblem, match="cannot be read: No such file"):
            build_verifier(JwtConfig(algorithms=("RS256",), **{setting: str(tmp_path / "none")}), {})


def test_a_key_problem_is_told_at_its_line(write):
    path = write("models:\n  m: {license: gemma}\nidentity:\n  jwt: {algorithms: [RS256], key_file: none.pem}\n")
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}:4: identity.jwt: {path.parent}/none.pem cannot be read: No such file or directory; "
        "allowed: a key that verifies tokens"
    )


def test_the_snapshot_carries_the_verifier(write, public_pem, private_key):
    write(public_pem.decode(), "key.pem")
    path = write(
        "models:\n  m: {license: gemma}\nidentity:\n  jwt: {algorithms: [RS256], key_file: key.pem, claim: email}\n"
    )
    identity = load(path).snapshot.identity
    assert identity.jwt_claim == "email"
    assert identity.verify_jwt(token(private_key, "RS256", exp=time.time() + 60)) is not None


@pytest.mark.parametrize(("url", "taken"), [
    ("https://idp.example.org/keys", True), ("https://idp.example.org", True), ("https://[2001:db8::1]:8443/k?p=a", True),
    ("http://127.0.0.1:8080/keys", True), ("http://[::1]/keys", True), ("http://localhost/keys", True),
    ("http://idp.example.org/keys", False), ("http://localhost.example.org/", False), ("http://127.0.0.1.nip.io/", False),
    ("http://0.0.0.0/keys", False), ("https://", False), ("https:///keys", False), ("https://user:pw@idp/keys", False),
    ("http://127.0.0.1@evil.example.org/", False), ("https://idp/k#x", False), ("https://idp:port/k", False),
    ("https://idp:0/k", False), ("https://id p/k", False), ("file:///etc/passwd", False), ("ftp://idp/k", False), (5, False),
    ("https://idp/k\n", False),
])  # fmt: skip
def test_keys_come_over_an_encrypted_line_or_from_this_host(url, taken):
    try:
        found = JwtConfig(algorithms=("RS256",), jwks_url=url).jwks_url
    except ValueError:
        found = None
    assert found == (url if taken else None)
