"""What a snapshot notes once is what every request would have found by asking anew."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from exchange_world import LIMIT, LLAMA_2, World
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange.count import reserve
from guard.exchange.credential import StoredKey, digest_key, hash_key, key_id, new_key
from guard.exchange.identify import identify
from guard.exchange.snapshot import UNLISTED, Assertion, Entitlement
from guard.exchange.trusted import TrustedHeader

INSIDE = (ip_network("10.0.0.0/8"),)
MADE = new_key(lambda count: b"\x07" * count)
STORED = {key_id(MADE): (StoredKey(b"s" * 16, hash_key(MADE, b"s" * 16)), Entitlement("made", user="mia"))}
TOKEN = "eyJa.b.c"


def claims(token):
    return {"sub": "alice", "iss": "https://idp.example"} if token == TOKEN else None


SOURCES = ("mtls", "assertion", "jwt", "trusted_header", "api_key", "body")
POLICIES = st.fixed_dictionaries({
    "sources": st.lists(st.sampled_from(SOURCES), unique=True).map(tuple),
    "mtls": st.sampled_from([None, TrustedHeader(b"x-client-cert", INSIDE, "mtls")]),
    "assertions": st.sampled_from([(), (Assertion(b"x-assertion", claims, "sub"),)]),
    "verify_jwt": st.sampled_from([None, claims]),
    "trusted_headers": st.sampled_from([(), (TrustedHeader(b"x-forwarded-user", INSIDE),)]),
    "keys": st.sampled_from([{}, {digest_key("sk-1"): Entitlement("one", user="uma")}]),
    "stored": st.sampled_from([{}, STORED]),
    "unidentified": st.sampled_from(["credential", "allow", "deny"]),
    "registered_only": st.booleans(),
})  # fmt: skip
HEADERS = st.lists(
    st.one_of(
        st.tuples(
            st.just(b"authorization"),
            st.sampled_from([TOKEN, "eyJd.e.f", "sk-1", "sk-2", MADE]).map(lambda token: f"Bearer {token}".encode()),
        ),
        st.tuples(st.just(b"x-api-key"), st.sampled_from([b"", b"sk-1", b"sk-2", MADE.encode()])),
        st.tuples(st.just(b"x-assertion"), st.sampled_from([TOKEN.encode(), b"forged"])),
        st.tuples(st.sampled_from([b"x-client-cert", b"x-forwarded-user", b"x-other"]), st.sampled_from([b"bob", b""])),
    ),
    max_size=4,
).map(tuple)


def told(world, headers, peer, claimed):
    exchange = world.exchange(headers=headers, peer=peer, claimed=claimed)
    return identify(exchange), exchange.identity, exchange.entitlement, exchange.refused


@settings(max_examples=400, deadline=None)
@given(
    POLICIES, HEADERS, st.sampled_from(["10.1.2.3", "192.0.2.1"]), st.sampled_from([{}, {"user": "ann"}, {"user": "-"}])
)
def test_a_source_that_can_name_nobody_is_not_asked_and_nobody_can_tell(changes, headers, peer, claimed):
    world = World(**changes)
    left_out = told(world, headers, peer, claimed)
    object.__setattr__(world.snapshot.identity, "asked", world.snapshot.identity.sources)
    assert left_out == told(world, headers, peer, claimed)


def test_the_sources_keep_their_order_and_those_that_cannot_answer_are_left_out():
    policy = World(trusted_headers=()).snapshot.identity
    assert policy.asked == ("body",)
    assert replace(policy, verify_jwt=claims, stored=STORED).asked == ("jwt", "api_key", "body")


DUTY = replace(LIMIT, consequence="display_duty")
EARLY = replace(LIMIT, standing=False)


@pytest.mark.parametrize(
    ("limits", "asked"), [((), False), ((DUTY, EARLY), False), ((EARLY, LIMIT), True)], ids=["none", "idle", "acting"]
)
def test_the_counter_is_asked_for_a_place_where_a_limit_acts(limits, asked):
    world = World()
    exchange = world.exchange()
    exchange.model = replace(exchange.snapshot.default_model, limits=limits)
    assert reserve(exchange) is None
    assert (exchange.reservation is not None) == asked


def test_a_models_label_is_the_first_license_of_its_stack():
    model = World().snapshot.default_model
    other = replace(LLAMA_2, id="other")
    assert (model.label, replace(model, licenses=(other, LLAMA_2)).label) == ("llama-2", "other")
    assert UNLISTED.label == "undetermined"
