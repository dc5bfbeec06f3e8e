"""A proxy says, signed, who the user is: believed before everything a caller could bring, refused when it is forged."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from exchange_world import World

from guard.exchange.credential import digest_key
from guard.exchange.identify import identify
from guard.exchange.identity import Assurance
from guard.exchange.recognize import _demands
from guard.exchange.refusal import Code
from guard.exchange.snapshot import Assertion, Entitlement

IAP, ACCESS = b"x-goog-iap-jwt-assertion", b"cf-access-jwt-assertion"
CLAIMS = {b"ann": {"iss": "https://proxy", "sub": "ann"}, b"bob": {"iss": "https://proxy", "sub": "bob"}}
PROXY = (ip_network("10.0.0.0/8"),)


def verify(value):
    return CLAIMS.get(value.encode())


def world(*assertions, **changes):
    return World(assertions=assertions or (Assertion(IAP, verify, "sub"),), **changes)


def asked(world, *headers, peer="192.0.2.1", **claimed):
    exchange = world.exchange(headers=headers, peer=peer, claimed=claimed)
    return identify(exchange), exchange.identity


def test_an_assertion_outranks_tokens_headers_and_bodies():
    guard = world(verify_jwt=lambda _: {"iss": "https://proxy", "sub": "eve"})
    headers = ((IAP, b"ann"), (b"authorization", b"Bearer eyJ.a.b"), (b"x-forwarded-user", b"eve"))
    refusal, identity = asked(guard, *headers, peer="10.1.2.3", user="eve")
    assert refusal is None
    assert (identity.source, identity.assurance) == ("assertion", Assurance.VERIFIED)
    assert identity.key == asked(world(), (IAP, b"ann"))[1].key


def test_one_user_of_one_issuer_is_one_user_by_token_and_by_assertion():
    by_token = asked(world(verify_jwt=lambda _: CLAIMS[b"ann"]), (b"authorization", b"Bearer eyJ.a.b"))[1]
    by_assertion = asked(world(), (IAP, b"ann"))[1]
    assert (by_token.source, by_assertion.source) == ("jwt", "assertion")
    assert by_token.key == by_assertion.key


def test_a_forged_assertion_is_refused_whatever_else_names_the_user():
    refusal, _ = asked(world(), (IAP, b"forged"), user="ann")
    assert (refusal.status, refusal.code) == (401, Code.IDENTITY_REQUIRED)
    assert "forged" not in refusal.message
    both = world(Assertion(ACCESS, verify, "sub"), Assertion(IAP, verify, "sub"))
    assert asked(both, (ACCESS, b"ann"), (IAP, b"forged"))[0].status == 401, "beside a good one, too"
    assert asked(both, (ACCESS, b"ann"), (IAP, b"bob"))[1].key == asked(world(), (IAP, b"ann"))[1].key, (
        "the first names"
    )


def test_two_of_one_header_are_refused_because_two_parsers_could_read_two_people():
    refusal, _ = asked(world(), (IAP, b"ann"), (IAP, b"bob"))
    assert (refusal.status, refusal.code) == (400, Code.MALFORMED)


def test_from_elsewhere_than_the_proxy_it_is_as_if_it_had_not_been_sent():
    guard = world(Assertion(IAP, verify, "sub", PROXY))
    for value in (b"ann", b"forged"):
        refusal, identity = asked(guard, (IAP, value), user="eve")
        assert (refusal, identity.source) == (None, "body")
    assert asked(guard, (IAP, b"ann"), peer="10.1.2.3")[1].source == "assertion"


@pytest.mark.parametrize("claims", [{"iss": "https://proxy"}, {"sub": 5}, {"sub": "anonymous"}])
def test_an_assertion_of_nobody_leaves_the_user_to_the_next_source(claims):
    guard = world(Assertion(IAP, lambda _: claims, "sub"))
    assert asked(guard, (IAP, b"x"), user="ann")[1].source == "body"


def test_an_assertion_is_enough_where_only_registered_keys_may_ask_but_hides_no_unknown_key():
    guard = world(registered_only=True, keys={digest_key("sk-1"): Entitlement("one")})
    assert asked(guard, (IAP, b"ann"))[1].source == "assertion"
    assert asked(guard, (IAP, b"forged"))[0].status == 401
    assert asked(guard, (IAP, b"ann"), (b"authorization", b"Bearer sk-2"))[0].status == 401
    assert asked(guard, (IAP, b"ann"), (b"authorization", b"Bearer sk-1"))[0] is None
    unlisted = world(registered_only=True, keys={digest_key("sk-1"): Entitlement("one")}, sources=("api_key", "body"))
    assert asked(unlisted, (IAP, b"ann"))[0].status == 401, "what is no source vouches for nobody"


def test_what_is_asked_of_identities_differs_with_the_assertions_that_are_read():
    policy = world().snapshot.identity
    assert _demands(policy) == _demands(replace(policy, assertions=(Assertion(IAP, lambda _: None, "sub"),)))
    assert _demands(policy) != _demands(replace(policy, assertions=()))
