"""What is only recorded goes on under every other check: nobody is served unscreened, unlocated or uncounted by it."""

from dataclasses import replace

import pytest
from exchange_world import World

from guard.exchange.count import count, reserve
from guard.exchange.exchange import Exchange
from guard.exchange.identity import Assurance, Identity
from guard.exchange.order import BEFORE_FORWARD, BEFORE_TEXT, walk
from guard.exchange.refusal import Code
from guard.exchange.snapshot import Entitlement, Mode, ModelPolicy, Ruling
from guard.exchange.tenant import Match, Tenant, Tenants
from guard.screening.findings import Action
from guard.usage.counter import Admission, Reservation
from guard.usage.thresholds import AtLimit, Limit

STEPS = BEFORE_TEXT + BEFORE_FORWARD
UNDETERMINED = ModelPolicy(
    "undetermined", (), {"S9": Ruling(Action.BLOCK)}, frozenset({"S9"}), {}, (), ("undetermined",)
)


@pytest.mark.parametrize("shadow", [{"mode": Mode.SHADOW}, {"shadowed_codes": frozenset({Code.LICENSE_TERMS})}])
def test_an_unknown_model_that_is_only_noted_is_screened_and_counted_as_undetermined(shadow):
    world = World(unlisted=UNDETERMINED, **shadow)
    exchange = world.exchange("FORBIDDEN", model="other", claimed={"user": "alice"})
    refusal = walk(exchange, STEPS)
    assert exchange.shadowed[0].code is Code.LICENSE_TERMS
    assert (refusal is not None) is ("mode" not in shadow), "the check that is not in shadow refuses"
    assert exchange.findings
    count(exchange)
    assert world.counter.sighted == [(("undetermined",), exchange.identity.key)]
    assert exchange.identity.key is not None


@pytest.mark.parametrize("shadow", [{"mode": Mode.SHADOW}, {"shadowed_codes": frozenset({Code.IDENTITY_REQUIRED})}])
@pytest.mark.parametrize("demand", [{"registered_only": True}, {"unidentified": "deny"}])
def test_an_identity_that_is_only_asked_for_is_still_found(shadow, demand):
    exchange = World(**shadow, **demand).exchange(claimed={"user": "alice"})
    assert walk(exchange, STEPS) is None
    assert (exchange.identity.source, exchange.identity.key is not None) == ("body", True)


def test_a_token_that_does_not_verify_does_not_hide_the_user_where_that_is_only_noted():
    world = World(mode=Mode.SHADOW, verify_jwt=lambda _token: None)
    headers = [(b"authorization", b"Bearer eyJh.eyJz.c2ln")]
    exchange = world.exchange(headers=headers, claimed={"user": "alice"})
    assert walk(exchange, STEPS) is None
    assert (exchange.shadowed[0].code, exchange.identity.source) == (Code.IDENTITY_REQUIRED, "body")


KEYS = {name: Entitlement(name) for name in ("desk", "lab")}


def sent(*headers, tenants=None):
    world = World(keys={digest(name): entitlement for name, entitlement in KEYS.items()})
    world.snapshot = replace(world.snapshot, tenants=tenants)
    exchange = world.exchange(headers=headers)
    return exchange, walk(exchange, STEPS)


def digest(name):
    from guard.exchange.credential import digest_key

    return digest_key(name)


BEARER, KEY = b"authorization", b"x-api-key"


def test_no_second_credential_hides_a_registered_key():
    exchange, refusal = sent((BEARER, b"Bearer junk"), (KEY, b"desk"))
    assert (refusal, exchange.entitlement) == (None, KEYS["desk"])
    exchange, refusal = sent((BEARER, b"Bearer lab"), (KEY, b"junk"))
    assert (refusal, exchange.entitlement) == (None, KEYS["lab"])
    exchange, refusal = sent((BEARER, b"Bearer lab"), (KEY, b"lab"))
    assert (refusal, exchange.entitlement) == (None, KEYS["lab"])
    _, refusal = sent((BEARER, b"Bearer lab"), (KEY, b"desk"))
    assert (refusal.status, refusal.code) == (400, Code.MALFORMED)


def test_a_claim_that_is_a_number_is_compared_as_it_is_written():
    tenants = Tenants([Tenant("acme", Match(claim=("org", "42")), {})])
    assert tenants.of(None, {"org": 42}, None).name == "acme"
    assert tenants.of(None, {"org": ["42", 7]}, None).name == "acme"
    for other in (True, 4, 42.0, {"42": 1}, None):
        assert tenants.of(None, {"org": other}, None) is None


class Asked:
    """A counter that says what it was asked."""

    def __init__(self, refused=()):
        self.asked, self.refused = [], refused

    def reserve(self, limits, key, at_limit, now):
        names = [limit.license for limit in limits]
        self.asked.append((names, key))
        refused = next((limit for limit in limits if limit.license in self.refused), None)
        return Reservation(Admission.REFUSED, refused) if refused else Reservation(Admission.ADMITTED)


def limit(license):
    return Limit(license, "mau", 1, exclusive=False, standing=True, clause="4", consequence="no_rights")


def credential(refused=()):
    world = World(at_limit=AtLimit.REFUSE_NEWCOMERS)
    model = replace(
        world.snapshot.models["tiny"],
        limits=(limit("qwen"), limit("kimi")),
        counted=("qwen", "kimi"),
        people_only=frozenset({"kimi"}),
    )
    exchange: Exchange = world.exchange()
    exchange.model = model
    exchange.identity = Identity("credential", Assurance.CREDENTIAL, 7)
    counter = Asked(refused)
    exchange.services = replace(exchange.services, counter=counter)
    return exchange, counter


def test_a_credential_holds_its_place_under_the_license_that_counts_it_and_is_nobody_under_the_other():
    exchange, counter = credential()
    assert reserve(exchange) is None
    assert sorted(counter.asked) == [(["kimi"], None), (["qwen"], 7)]


@pytest.mark.parametrize("refusing", ["qwen", "kimi"])
def test_each_of_the_two_licenses_can_refuse_it(refusing):
    exchange, _ = credential({refusing})
    assert reserve(exchange).license == refusing
