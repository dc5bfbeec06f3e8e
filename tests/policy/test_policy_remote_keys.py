"""Key sets behind URLs: fetched beside the requests, kept through outages, shared by snapshots and gone with them."""

import gc
import json
import logging
import threading
import time
from base64 import urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from key_server import EC_KEY, RSA_KEY, KeyServer, key_set, signed

from guard.policy import remote_keys
from guard.policy.candidate import CandidatePolicy
from guard.policy.document import PolicyError
from guard.policy.fetch import FetchError
from guard.policy.keyset import KeyProblem
from guard.policy.load import load
from guard.policy.remote_keys import KEPT, KeySets, RemoteKeys
from guard.policy.settings.identity import JwtConfig
from guard.policy.tokens import TokenVerifier, build_verifier
from guard.policy.watch import ActivePolicy

NOW = 1_800_000_000.0
URL = "https://idp.example.org/keys?tenant=5"


class Issuer:
    """What an issuer answers: a document, or an error."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    def __call__(self, url):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Clock:
    now = NOW

    def __call__(self):
        return self.now


def remote(issuer, copy=None, clock=None):
    return RemoteKeys(URL, 300, copy, issuer, clock or Clock())


def verifier(keys, *algorithms):
    return TokenVerifier(JwtConfig(algorithms=algorithms or ("RS256", "ES256"), jwks_url=URL), keys, time.time)


def soon(happens):
    deadline = time.monotonic() + 15
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert happens()


def test_a_token_is_verified_with_the_key_its_kid_names():
    keys = remote(Issuer(key_set(r=RSA_KEY, e=EC_KEY)))
    assert keys.refresh() == 300
    verify = verifier(keys)
    assert verify(signed(RSA_KEY, "r"))["sub"] == "ann"
    assert verify(signed(EC_KEY, "e"))["sub"] == "ann"
    assert verify(signed(EC_KEY, "r")) is None
    assert verify(signed(RSA_KEY, "")) is None


def test_a_key_of_another_algorithm_than_ours_verifies_nothing():
    keys = remote(Issuer(key_set(r=RSA_KEY, e=EC_KEY)))
    keys.refresh()
    assert verifier(keys, "ES256")(signed(RSA_KEY, "r")) is None
    assert verifier(keys, "ES256")(signed(EC_KEY, "e")) is not None
    head, body, _ = signed(EC_KEY, "r").split(".")  # says ES256, and names the RSA key
    signature = RSA_KEY.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    forged = f"{head}.{body}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert verifier(keys, "ES256")(forged) is None


def test_a_key_that_is_gone_takes_the_verdicts_under_it_along():
    issuer = Issuer(key_set(old=RSA_KEY))
    keys = remote(issuer)
    keys.refresh()
    verify, token = verifier(keys), signed(RSA_KEY, "old")
    assert verify(token) is verify(token), "verified once"
    issuer.answer = key_set(old=RSA_KEY, new=EC_KEY)
    before = verify(token)
    keys.refresh()
    assert verify(token) is before, "an entry that stays costs no second verification"
    issuer.answer = key_set(old=EC_KEY)
    keys.refresh()
    assert verify(token) is None, "another key under the same kid"
    issuer.answer = key_set(new=EC_KEY)
    keys.refresh()
    assert verify(token) is None


def test_kids_that_nobody_has_are_one_wish_and_no_fetch():
    issuer = Issuer(key_set(r=RSA_KEY))
    keys = remote(issuer)
    keys.refresh()
    verify = verifier(keys)
    assert all(verify(signed(RSA_KEY, f"made-up-{number}")) is None for number in range(5))
    assert (issuer.asked, keys.wishes.qsize()) == (1, 1)
    keys.refresh()
    verify(signed(RSA_KEY, "made-up"))
    assert keys.wishes.qsize() == 2
    assert keys.get(None) is None
    assert keys.wishes.qsize() == 2, "without a kid there is nothing to look for"


@pytest.mark.parametrize(("answer", "why"), [
    (FetchError("timed out"), "timed out"), (b"<html>", "not a JSON Web Key Set"), (b"\xff\xfe", "UnicodeDecodeError"),
    (b'{"keys": []}', "a JSON Web Key Set without a public signature key that has a kid"),
    (RuntimeError("eyJ.secret"), "RuntimeError"),
])  # fmt: skip
def test_the_last_good_keys_stay_through_whatever_fails(answer, why, caplog):
    caplog.set_level(logging.INFO, "guard.keys")
    clock, issuer = Clock(), Issuer(key_set(r=RSA_KEY))
    keys = remote(issuer, clock=clock)
    keys.refresh()
    verify, good = verifier(keys), issuer.answer
    clock.now += 400
    issuer.answer = answer
    assert keys.refresh() == 30
    keys.refresh()
    assert verify(signed(RSA_KEY, "r")) is not None
    assert keys.state() == ("https://idp.example.org/keys", False, 400.0)
    issuer.answer = good
    keys.refresh()
    assert keys.state() == ("https://idp.example.org/keys", True, 0.0)
    keys.refresh()
    assert [record.getMessage() for record in caplog.records] == [
        "key set https://idp.example.org/keys: fetched, 1 keys, 1 new, 0 gone",
        f"key set https://idp.example.org/keys: cannot be fetched: {why}; the keys of before stay",
        "key set https://idp.example.org/keys: fetched, 1 keys, 0 new, 0 gone",
    ], "changes are logged, repetitions are not"


def test_a_copy_stands_in_for_a_day_when_the_issuer_is_down_at_a_start(tmp_path):
    copy, clock = tmp_path / "key-sets" / "copy.json", Clock()
    remote(Issuer(key_set(r=RSA_KEY)), copy, clock).refresh()
    assert copy.stat().st_mode & 0o777 == 0o600
    clock.now += KEPT

    def restarted():
        keys = remote(Issuer(FetchError("timed out")), copy, clock)
        keys.refresh()
        keys.wait(0)
        return keys

    keys = restarted()
    assert verifier(keys)(signed(RSA_KEY, "r")) is not None
    assert keys.state() == ("https://idp.example.org/keys", False, KEPT)
    clock.now += 1
    with pytest.raises(KeyProblem, match=r"^https://idp\.example\.org/keys cannot be fetched: timed out$"):
        restarted()
    clock.now = NOW - 1
    with pytest.raises(KeyProblem):
        restarted()


@pytest.mark.parametrize("change", [
    {"url": "https://other.example.org/keys"}, {"fetched": None}, {"document": "{}"}, {"document": 5},
])  # fmt: skip
def test_a_copy_that_is_not_as_it_was_written_is_none(tmp_path, change):
    copy = tmp_path / "copy.json"
    remote(Issuer(key_set(r=RSA_KEY)), copy).refresh()
    for content in (json.dumps(json.loads(copy.read_text()) | change), "{", "[]"):
        copy.write_text(content)
        keys = remote(Issuer(FetchError("timed out")), copy)
        keys.refresh()
        with pytest.raises(KeyProblem):
            keys.wait(0)


def test_a_state_directory_that_takes_no_copy_takes_no_keys_away(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    keys = remote(Issuer(key_set(r=RSA_KEY)), tmp_path / "file" / "copy.json")
    assert keys.refresh() == 300
    assert keys.get("r") is not None
    assert "no copy is kept: " in caplog.text


@pytest.fixture
def server():
    server = KeyServer()
    server.body = key_set(r=RSA_KEY)
    yield server
    server.close()


def policy(write, server, name="guard.yaml", more=""):
    return write(
        f"models:\n  m: {{license: gemma}}\nstate_dir: {write('', 'state/x').parent}\n{more}"
        f"identity:\n  jwt: {{algorithms: [RS256], jwks_url: '{server.url}'}}\n",
        name,
    )


def fetching():
    return [thread for thread in threading.enumerate() if thread.name == "guard-keys"]


@pytest.fixture
def no_threads_left():
    gc.collect()
    soon(lambda: not fetching())
    yield
    gc.collect()
    soon(lambda: not fetching())


@pytest.mark.slow
@pytest.mark.usefixtures("no_threads_left")
def test_a_reload_shares_keys_and_thread_and_the_last_policy_ends_it(write, server):
    path = policy(write, server)
    active = ActivePolicy(path)
    thread = fetching()
    assert (len(thread), server.asked) == (1, 1)
    assert active.snapshot.identity.verify_jwt(signed(RSA_KEY, "r"))["sub"] == "ann"
    policy(write, server, more="mode: shadow\nconfirm: ['mode: enforce -> shadow']\n")
    server.status = 503
    assert active.reload().changed
    assert active.snapshot.identity.verify_jwt(signed(RSA_KEY, "r"))["sub"] == "ann", "the issuer is not asked again"
    candidate = CandidatePolicy(key_sets=active.key_sets)
    candidate.follow(str(policy(write, server, "candidate.yaml")))
    assert candidate.loaded.snapshot.identity.verify_jwt(signed(RSA_KEY, "r"))["sub"] == "ann"
    assert (fetching(), server.asked) == (thread, 1)
    write("models:\n  m: {license: gemma}\nconfirm: ['identity.jwt.algorithms: RS256 -> none']\n")
    assert active.reload().ok
    assert [state.up for state in active.key_sets.states()] == [True], "the candidate still has them"
    del candidate
    gc.collect()
    soon(lambda: not fetching())
    assert active.key_sets.states() == []


@pytest.mark.slow
@pytest.mark.usefixtures("no_threads_left")
def test_a_key_the_issuer_has_since_a_moment_ago_is_looked_for_soon(write, server, monkeypatch):
    monkeypatch.setattr(remote_keys, "LEAST", 0.0)
    loaded = load(policy(write, server), key_sets=KeySets())
    verify = loaded.snapshot.identity.verify_jwt
    server.body = key_set(r=RSA_KEY, new=RSA_KEY)
    token = signed(RSA_KEY, "new")
    assert verify(token) is None
    soon(lambda: verify(token) is not None)


@pytest.mark.slow
@pytest.mark.usefixtures("no_threads_left")
def test_strangers_cannot_make_guard_ask_the_issuer_again_and_again(write, server, monkeypatch):
    monkeypatch.setattr(remote_keys, "LEAST", 3600.0)
    sets = KeySets()
    loaded = load(policy(write, server), key_sets=sets)
    verify = loaded.snapshot.identity.verify_jwt
    for number in range(200):
        assert verify(signed(RSA_KEY, f"made-up-{number}" * (number < 20))) is None
        time.sleep(0.001)
    assert server.asked == 1


@pytest.mark.slow
@pytest.mark.usefixtures("no_threads_left")
def test_a_start_without_keys_is_refused_at_its_line_and_a_copy_is_enough(write, server, tmp_path):
    server.status = 503
    path = policy(write, server)
    with pytest.raises(PolicyError) as caught:
        ActivePolicy(path)
    assert str(caught.value) == (
        f"{path}:5: identity.jwt: {server.url} cannot be fetched: status 503, not a key set; "
        "allowed: a key that verifies tokens"
    )
    del caught
    server.status = 200
    ActivePolicy(path)
    server.status = 503
    active = ActivePolicy(path)
    assert active.snapshot.identity.verify_jwt(signed(RSA_KEY, "r")) is not None
    assert [state.up for state in active.key_sets.states()] == [False]


@pytest.mark.slow
@pytest.mark.usefixtures("no_threads_left")
def test_an_issuer_that_does_not_answer_holds_a_load_up_no_longer_than_its_bound(write, server, monkeypatch):
    monkeypatch.setattr(remote_keys, "FIRST", 0.05)
    server.delay = 1.0
    with pytest.raises(PolicyError, match="cannot be fetched: not fetched yet"):
        load(policy(write, server), key_sets=KeySets())


@pytest.mark.slow
@pytest.mark.usefixtures("no_threads_left")
def test_keys_for_other_algorithms_only_are_a_problem(write, server):
    server.body = key_set(e=EC_KEY)
    with pytest.raises(PolicyError, match="has no key for the configured algorithms"):
        load(policy(write, server), key_sets=KeySets())


def test_a_check_does_not_use_the_network_and_says_what_it_did_not_look_at(write, server):
    loaded = load(policy(write, server))
    assert server.asked == 0
    assert [caution.note for caution in loaded.cautions if "jwks" in caution.path] == [
        "identity.jwt.jwks_url: not looked at: only a gateway fetches its keys"
    ]
    assert loaded.snapshot.identity.verify_jwt(signed(RSA_KEY, "r")) is None, "a skipped check is never a pass"


def test_without_key_sets_no_token_is_valid():
    verify = build_verifier(JwtConfig(algorithms=("RS256",), jwks_url=URL), {})
    assert verify(signed(RSA_KEY, "r")) is None
