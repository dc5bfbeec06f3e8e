"""Every system that names its users does so in a form of its own; each is read as that system sends it."""

import json
import secrets
from ipaddress import ip_network

import pytest
from exchange_world import World

from guard.exchange.count import count
from guard.exchange.credential import StoredKey, hash_key, key_id, new_key
from guard.exchange.identify import believed, identify
from guard.exchange.identity import Assurance
from guard.exchange.record import Ending, record
from guard.exchange.snapshot import Entitlement, Mode
from guard.exchange.trusted import TrustedHeader

INSIDE = (ip_network("10.0.0.0/8"),)
IAP = (ip_network("10.1.0.0/16"),)
HOP, STRANGER = "10.1.2.3", "192.0.2.1"
NOW = 1_795_000_000.0


def trusting(*headers, **changes):
    return World(trusted_headers=tuple(headers), trusted_from=INSIDE, **changes)


def identified(world, headers=(), peer=HOP, **inquiry):
    exchange = world.exchange(headers=headers, peer=peer, **inquiry)
    refusal = identify(exchange)
    return refusal or exchange.identity


def key_of(world, namespace, subject):
    return world.services.pseudonyms.key(namespace, subject)


HEADERS = {
    "oauth2-proxy, its auth_request": (b"x-auth-request-user", "ann", "ann"),
    "oauth2-proxy, the e-mail address": (b"x-auth-request-email", "Ann@Example.com", "ann@example.com"),
    "oauth2-proxy, passed to the upstream": (b"x-forwarded-user", "ann", "ann"),
    "Databricks apps": (b"x-forwarded-email", "ann@example.com", "ann@example.com"),
    "Pangolin": (b"remote-user", "ann", "ann"),
    "Google IAP": (b"x-goog-authenticated-user-id", "accounts.google.com:118133858486581853996",
                   "accounts.google.com:118133858486581853996"),
    "Azure App Service": (b"x-ms-client-principal-id", "6c8d1a1e-8f1e-4b6c-9d0f-3c2b1a0f9e8d",
                          "6c8d1a1e-8f1e-4b6c-9d0f-3c2b1a0f9e8d"),
    "Cloudflare Access": (b"cf-access-authenticated-user-email", "ann@example.com", "ann@example.com"),
    "Open WebUI": (b"x-openwebui-user-id", "f3b9c9a2-0f0e-4c3a-9a56-1f4f5f3e2d1c",
                   "f3b9c9a2-0f0e-4c3a-9a56-1f4f5f3e2d1c"),
    "LiteLLM, the customer": (b"x-litellm-customer-id", "ann", "ann"),
    "LiteLLM, the end user": (b"x-litellm-end-user-id", "ann", "ann"),
    "Helicone": (b"helicone-user-id", "ann", "ann"),
    "Envoy AI Gateway": (b"x-user-id", "ann", "ann"),
    "LibreChat, a header of its own": (b"x-librechat-user-id", "65f1c0ffee65f1c0ffee65f1", "65f1c0ffee65f1c0ffee65f1"),
    "Claude Code through a gateway": (b"x-litellm-end-user-id", f"user_{'a' * 64}_account__session_{'0' * 8}-1111-4222-8333-444455556666",
                                      "a" * 64),
}  # fmt: skip


@pytest.mark.parametrize(("header", "value", "subject"), HEADERS.values(), ids=HEADERS)
def test_a_trusted_hops_header_is_read_in_the_form_that_system_sends(header, value, subject):
    world = trusting(TrustedHeader(header, INSIDE))
    identity = identified(world, ((header, value.encode()),), claimed={"user": "another"})
    assert (identity.source, identity.assurance) == ("trusted_header", Assurance.ASSERTED)
    assert identity.key == key_of(world, "", subject)


@pytest.mark.parametrize(("header", "value", "subject"), HEADERS.values(), ids=HEADERS)
def test_a_strangers_copy_of_it_says_nothing_and_is_not_forwarded(header, value, subject):
    world = trusting(TrustedHeader(header, INSIDE))
    assert identified(world, ((header, value.encode()),), STRANGER).source == "none"
    assert believed(world.snapshot.identity, STRANGER) == frozenset()
    assert believed(world.snapshot.identity, HOP) == {header}


METADATA = TrustedHeader(b"x-portkey-metadata", INSIDE, member="_user")


@pytest.mark.parametrize(("value", "found"), [
    ('{"_user": "ann", "environment": "production"}', True),
    ('{"environment": "production"}', False),
    ('{"_user": 7}', False),
    ('{"_user": null}', False),
    ('["_user"]', False),
    ("_user", False),
    ("{" * 4000, False),
    (json.dumps({"_user": "ann", "more": "x" * 4096}), False),
    ('{"_user": "{{user}}"}', False),
])  # fmt: skip
def test_portkeys_metadata_names_the_user_in_a_member(value, found):
    world = trusting(METADATA)
    identity = identified(world, ((b"x-portkey-metadata", value.encode()),))
    assert (identity.key == key_of(world, "", "ann")) is found
    assert (identity.source == "trusted_header") is found


def test_a_header_with_networks_of_its_own_is_believed_from_there_and_nowhere_else():
    header = TrustedHeader(b"x-goog-authenticated-user-id", IAP, namespace="iap")
    world = trusting(header, TrustedHeader(b"x-user-id", INSIDE))
    sent = ((header.name, b"accounts.google.com:1"), (b"x-user-id", b"accounts.google.com:1"))
    inside, elsewhere = identified(world, sent, "10.1.0.9"), identified(world, sent, "10.2.0.9")
    assert inside.key == key_of(world, "iap", "accounts.google.com:1")
    assert elsewhere.key == key_of(world, "", "accounts.google.com:1")
    assert believed(world.snapshot.identity, "10.2.0.9") == {b"x-user-id"}


def test_one_header_may_have_another_namespace_from_each_of_two_proxies():
    name = b"x-user-id"
    world = trusting(TrustedHeader(name, IAP, "one"), TrustedHeader(name, (ip_network("10.2.0.0/16"),), "two"))
    keys = [identified(world, ((name, b"1"),), peer).key for peer in ("10.1.0.1", "10.2.0.1", STRANGER)]
    assert keys == [key_of(world, "one", "1"), key_of(world, "two", "1"), None]


def test_the_first_header_that_names_somebody_wins_and_a_placeholder_is_nobody():
    world = trusting(*(TrustedHeader(name, INSIDE) for name in (b"x-litellm-customer-id", b"x-litellm-end-user-id")))
    both = ((b"x-litellm-end-user-id", b"end-user"), (b"x-litellm-customer-id", b"customer"))
    assert identified(world, both).key == key_of(world, "", "customer")
    unfilled = (both[0], (b"x-litellm-customer-id", b"{{LIBRECHAT_USER_ID}}"))
    assert identified(world, unfilled).key == key_of(world, "", "end-user")


SESSION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ACCOUNT = "0f8fad5b-d9cb-469f-a165-70867728950e"
JSON_FORM = json.dumps({"device_id": "ab" * 32, "account_uuid": ACCOUNT, "session_id": SESSION})
LEGACY = f"user_{'ab' * 32}_account_{ACCOUNT}_session_{SESSION}"
BODIES = {
    "LibreChat, Dify, OpenRouter, any OpenAI SDK": ({"user": "ann"}, "ann"),
    "newer OpenAI clients": ({"safety_identifier": "5d41402abc4b2a76b9719d911017c592"}, "5d41402abc4b2a76b9719d911017c592"),
    "LiteLLM's metadata": ({"litellm_metadata.user": "ann"}, "ann"),
    "Claude Code": ({"metadata.user_id": JSON_FORM}, ACCOUNT),
    "Claude Code before": ({"metadata.user_id": LEGACY}, ACCOUNT),
    "Claude Code, copied by LiteLLM": ({"user": LEGACY}, ACCOUNT),
    "all of them, in LiteLLM's order": (
        {"user": "one", "litellm_metadata.user": "two", "metadata.user_id": "three", "safety_identifier": "four"}, "one"),
    "without the first": (
        {"litellm_metadata.user": "two", "metadata.user_id": "three", "safety_identifier": "four"}, "two"),
    "without the second": ({"metadata.user_id": "three", "safety_identifier": "four"}, "three"),
    "a template in the first": ({"user": "{{LIBRECHAT_USER_ID}}", "safety_identifier": "four"}, "four"),
    "a session alone": ({"metadata.user_id": json.dumps({"session_id": SESSION})}, None),
    "Codex, whose conversation is no person": ({"prompt_cache_key": SESSION}, None),
}  # fmt: skip


@pytest.mark.parametrize(("claimed", "subject"), BODIES.values(), ids=BODIES)
def test_a_body_names_the_user_in_the_field_of_its_client(claimed, subject):
    world = World()
    identity = identified(world, claimed=claimed)
    assert identity.key == (None if subject is None else key_of(world, "", subject))
    assert identity.source == ("none" if subject is None else "body")


def test_two_applications_share_one_namespace_until_their_keys_are_registered():
    world = World()
    ids = [identified(world, ((b"x-api-key", key),), claimed={"user": "1"}).key for key in (b"sk-a", b"sk-b")]
    assert ids[0] == ids[1]


MTLS = TrustedHeader(b"x-forwarded-client-cert", IAP, "mtls")
CERTIFICATE = b'By=spiffe://a/guard;Hash=00;Subject="CN=Ann";URI=spiffe://a/ann'


def test_a_client_certificate_outranks_even_a_valid_token():
    world = trusting(TrustedHeader(b"x-user-id", INSIDE), mtls=MTLS, verify_jwt=lambda _: {"sub": "bob", "iss": "i"})
    headers = ((MTLS.name, CERTIFICATE), (b"authorization", b"Bearer eyJa.b.c"), (b"x-user-id", b"eve"))
    identity = identified(world, headers)
    assert (identity.source, identity.assurance) == ("mtls", Assurance.VERIFIED)
    assert identity.key == key_of(world, "mtls", "spiffe://a/ann")
    assert identified(world, headers, "10.2.0.1").source == "jwt"
    assert MTLS.name not in believed(world.snapshot.identity, HOP)


@pytest.mark.parametrize(("headers", "status"), [
    (((MTLS.name, CERTIFICATE), (MTLS.name, CERTIFICATE)), 400),
    (((MTLS.name, b'URI=spiffe://a/admin;x=",' + CERTIFICATE),), 400),
    (((MTLS.name, b"By=x;Hash=00"),), None),
    (((MTLS.name, b""),), None),
    ((), None),
])  # fmt: skip
def test_a_certificate_that_cannot_be_read_is_refused_and_never_replaced_by_a_body_field(headers, status):
    found = identified(World(mtls=MTLS), headers, claimed={"user": "admin"})
    assert (found.status, found.code.value) == (400, "malformed") if status else found.source == "body"


def test_a_subject_in_a_plain_header_is_the_holder():
    world = World(mtls=TrustedHeader(b"ssl-client-subject-dn", INSIDE, "mtls"))
    identity = identified(world, ((b"ssl-client-subject-dn", b"CN=Ann,O=Example"),))
    assert identity.key == key_of(world, "mtls", "CN=Ann,O=Example")


def test_who_shows_a_certificate_needs_no_registered_key_where_keys_have_to_be_registered():
    world = World(mtls=MTLS, registered_only=True)
    assert identified(world, ((MTLS.name, CERTIFICATE),)).source == "mtls"
    assert identified(world, ((MTLS.name, CERTIFICATE), (b"x-api-key", b"sk-1"))).status == 401
    assert identified(world, ((MTLS.name, CERTIFICATE),), STRANGER).status == 401


def stored(entitlement, **state):
    key, salt = new_key(secrets.token_bytes), secrets.token_bytes(16)
    return key, {key_id(key): (StoredKey(salt, hash_key(key, salt), **state), entitlement)}


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key"])
@pytest.mark.parametrize("registered_only", [True, False])
def test_a_key_that_guard_made_is_known_by_either_header(name, registered_only):
    key, keys = stored(Entitlement("desk", "serve", user="ann"))
    world = World(stored=keys, registered_only=registered_only)
    value = b"Bearer " + key.encode() if name == b"authorization" else key.encode()
    identity = identified(world, ((name, value),))
    assert (identity.source, identity.tenant, identity.purpose) == ("api_key", "desk", "serve")


@pytest.mark.parametrize("state", [{"revoked": True}, {"expires": NOW}])
@pytest.mark.parametrize("registered_only", [True, False])
@pytest.mark.parametrize("name", [b"authorization", b"x-api-key"])
def test_one_that_is_good_no_longer_is_refused_whatever_else_it_would_be(state, registered_only, name):
    key, keys = stored(Entitlement("desk"), **state)
    world = World(stored=keys, registered_only=registered_only)
    value = b"Bearer " + key.encode() if name == b"authorization" else key.encode()
    refusal = identified(world, ((name, value),), claimed={"user": "ann"})
    assert (refusal.status, refusal.code.value) == (401, "identity_required")
    beside = identified(world, ((b"authorization", b"Bearer sk-other"), (b"x-api-key", key.encode())))
    assert beside.status == 401


def test_in_shadow_a_revoked_key_is_an_unknown_one_and_the_refusal_is_recorded():
    key, keys = stored(Entitlement("desk", user="ann"), revoked=True)
    world = World(stored=keys, mode=Mode.SHADOW)
    exchange = world.exchange(headers=((b"x-api-key", key.encode()),))
    assert identify(exchange) is None
    assert (exchange.entitlement, exchange.identity.source) == (None, "credential")
    assert [refusal.code.value for refusal in exchange.shadowed] == ["identity_required"]


def test_a_key_of_a_known_id_with_another_secret_is_unknown():
    key, keys = stored(Entitlement("desk"), revoked=True)
    other = new_key(lambda n: b"\0" * n)
    forged = {key_id(other): keys[key_id(key)]}
    assert identified(World(stored=forged), ((b"x-api-key", other.encode()),)).source == "credential"
    assert identified(World(stored=forged, registered_only=True), ((b"x-api-key", other.encode()),)).status == 401


def test_two_registered_keys_of_two_senders_are_refused_whoever_made_them():
    (one, first), (two, second) = stored(Entitlement("one")), stored(Entitlement("two"))
    headers = ((b"authorization", b"Bearer " + one.encode()), (b"x-api-key", two.encode()))
    assert identified(World(stored={**first, **second}), headers).status == 400


@pytest.mark.parametrize(("headers", "claimed", "source"), [
    (((MTLS.name, CERTIFICATE),), {}, "mtls"),
    (((b"authorization", b"Bearer eyJa.b.c"),), {}, "jwt"),
    (((b"x-user-id", b"ann"),), {}, "trusted_header"),
    ((), {"user": "ann"}, "body"),
    (((b"x-api-key", b"sk-1"),), {}, "credential"),
    ((), {}, "none"),
])  # fmt: skip
def test_every_source_is_counted_and_so_are_requests_that_nobody_is_known_of(headers, claimed, source):
    world = trusting(TrustedHeader(b"x-user-id", INSIDE), mtls=MTLS, verify_jwt=lambda _: {"sub": "ann", "iss": "i"})
    exchange = world.exchange(headers=headers, peer=HOP, claimed=claimed)
    assert identify(exchange) is None
    exchange.model = world.snapshot.models["tiny"]
    assert count(exchange) is None
    record(exchange, Ending.SERVED)
    assert world.meter.named("identity") == [(source,)]
    assert len(world.meter.named("unidentified")) == (source == "none")
    assert world.meter.named("newcomer") == ([] if source == "none" else [(source,)])
