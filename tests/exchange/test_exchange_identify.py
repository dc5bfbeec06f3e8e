"""Who is the user: the strongest source wins, placeholders are nobody, and an invalid token is never ignored."""

import pytest
from exchange_world import World

from guard.exchange.credential import digest_key
from guard.exchange.identify import identify
from guard.exchange.identity import Assurance
from guard.exchange.snapshot import Entitlement

ALICE = {"user": "alice"}


def bearer(token):
    return ((b"authorization", b"Bearer " + token.encode()),)


def test_a_body_field_names_the_user_when_nothing_stronger_does():
    exchange = World().exchange(claimed=ALICE)
    assert identify(exchange) is None
    assert (exchange.identity.source, exchange.identity.assurance) == ("body", Assurance.ASSERTED)


def test_a_trusted_hops_header_outranks_the_body():
    headers = ((b"x-forwarded-user", b"bob"),)
    world = World()
    trusted = world.exchange(claimed=ALICE, headers=headers, peer="10.1.2.3")
    stranger = world.exchange(claimed=ALICE, headers=headers, peer="192.0.2.1")
    identify(trusted)
    identify(stranger)
    assert trusted.identity.source == "trusted_header"
    assert stranger.identity.source == "body"
    assert trusted.identity.key != stranger.identity.key


def test_a_header_that_comes_twice_is_refused_because_two_parsers_could_read_two_people():
    headers = ((b"x-forwarded-user", b"bob"), (b"x-forwarded-user", b"eve"))
    refusal = identify(World().exchange(headers=headers, peer="10.1.2.3"))
    assert (refusal.status, refusal.code.value) == (400, "malformed")


def test_a_verified_token_outranks_everything_and_is_namespaced_by_its_issuer():
    token = "eyJhbGciOi.eyJzdWIi.sig"
    issuers = iter(["https://a", "https://b"])
    world = World(verify_jwt=lambda _: {"sub": "alice", "iss": next(issuers)})
    first, second = (
        world.exchange(claimed={"user": "eve"}, headers=bearer(token)),
        world.exchange(headers=bearer(token)),
    )
    identify(first)
    identify(second)
    assert first.identity.assurance is Assurance.VERIFIED
    assert first.identity.key != second.identity.key


def test_what_looks_like_a_token_is_an_opaque_key_where_nothing_verifies_tokens():
    world = World(registered_only=True, keys={digest_key("sk-1"): Entitlement("one")})
    assert identify(world.exchange(headers=bearer("eyJa.b.c"))).status == 401
    exchange = World().exchange(headers=bearer("eyJa.b.c"))
    identify(exchange)
    assert exchange.identity.source == "credential"


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"x-guard-purpose"])
def test_a_request_has_one_sender_and_one_purpose(name):
    refusal = identify(World().exchange(headers=((name, b"Bearer a"), (name, b"Bearer b"))))
    assert (refusal.status, refusal.code.value) == (400, "malformed")


def test_an_invalid_token_is_refused_and_not_replaced_by_a_body_field():
    world = World(verify_jwt=lambda _: None)
    refusal = identify(world.exchange(claimed=ALICE, headers=bearer("eyJa.b.c")))
    assert (refusal.status, refusal.code.value) == (401, "identity_required")


def test_a_registered_key_of_one_person_is_that_person_and_an_applications_key_is_a_namespace():
    keys = {
        digest_key("sk-person"): Entitlement("Ann's laptop", "evaluate", user="ann"),
        digest_key("sk-chat"): Entitlement("chat", "serve"),
        digest_key("sk-search"): Entitlement("search", "serve"),
    }
    world = World(keys=keys)
    person = world.exchange(headers=bearer("sk-person"), claimed={"user": "somebody-else"})
    chat = world.exchange(headers=bearer("sk-chat"), claimed={"user": "1"})
    search = world.exchange(headers=bearer("sk-search"), claimed={"user": "1"})
    for exchange in (person, chat, search):
        assert identify(exchange) is None
    assert (person.identity.source, person.identity.purpose) == ("api_key", "evaluate")
    assert chat.identity.key != search.identity.key
    assert chat.identity.tenant == "chat"


@pytest.mark.parametrize("placeholder", ["default_user_id", "{{LIBRECHAT_USER_ID}}", "null", "  ", "anonymous"])
def test_placeholders_are_nobody(placeholder):
    exchange = World().exchange(claimed={"user": placeholder})
    identify(exchange)
    assert exchange.identity.key is None


def test_sessions_of_one_coding_agent_are_one_user():
    device = "a" * 64
    world = World()
    keys = set()
    for session in ("0b0f2c3e-1111-4222-8333-444455556666", "0b0f2c3e-9999-4222-8333-444455556666"):
        exchange = world.exchange(claimed={"metadata.user_id": f"user_{device}_account__session_{session}"})
        identify(exchange)
        keys.add(exchange.identity.key)
    assert len(keys) == 1


@pytest.mark.parametrize(("setting", "status"), [("credential", None), ("allow", None), ("deny", 401)])
def test_without_an_identity_the_policy_decides(setting, status):
    exchange = World(unidentified=setting).exchange(headers=bearer("sk-unknown"))
    refusal = identify(exchange)
    assert (refusal.status if refusal else None) == status
    assert (exchange.identity.key is not None) == (setting == "credential")


def test_only_registered_keys_may_be_demanded():
    world = World(registered_only=True, keys={digest_key("sk-1"): Entitlement("one")})
    assert identify(world.exchange(headers=bearer("sk-2"))).status == 401
    assert identify(world.exchange(headers=((b"x-api-key", b"sk-1"),))) is None


def test_the_raw_subject_is_kept_nowhere_on_the_exchange():
    exchange = World().exchange(claimed={"user": "alice@example.org"})
    identify(exchange)
    assert "alice" not in repr(exchange.identity)
