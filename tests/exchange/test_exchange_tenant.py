"""Tenants: who a request's tenant is, what it may believe to be one, and that the overlay holds on the whole road."""

from dataclasses import replace

import pytest
from exchange_world import WordRules, World

from guard.exchange.credential import digest_key
from guard.exchange.inquiry import FieldUse
from guard.exchange.order import BEFORE_FORWARD, BEFORE_TEXT, walk
from guard.exchange.record import Ending, record
from guard.exchange.screen_output import OutputScreen
from guard.exchange.snapshot import Entitlement, FieldAction, FieldRule, Mode, Ruling, SurfacePolicy
from guard.exchange.tenant import Match, Tenant, Tenants
from guard.exchange.unscanned import PartAction, every
from guard.screening.findings import Action, Finding
from guard.screening.segments import Segment, Source

STEPS = BEFORE_TEXT + BEFORE_FORWARD
DESK = ((b"authorization", b"Bearer sk-desk"),)
TOKEN = ((b"authorization", b"Bearer eyJa.b.c"),)
INSIDE = "10.1.2.3"


def namespace(value):
    return ((b"x-guard-namespace", value.encode()),)


def world(*tenants, **changes):
    changes.setdefault("keys", {digest_key("sk-desk"): Entitlement("desk")})
    return World(tenants=Tenants(tenants), namespace_header=b"x-guard-namespace", **changes)


def tenant(name="acme", overlay=None, keys=("desk",), claim=None, namespaces=(), **more):
    return Tenant(name, Match(frozenset(keys), claim, frozenset(namespaces)), overlay or {}, **more)


def placed(exchange):
    """The name of the tenant that the exchange is found to be of."""
    walk(exchange, STEPS)
    return exchange.tenant.name if exchange.tenant is not None else None


def test_a_registered_key_is_its_tenants_and_other_keys_are_nobodys():
    ours = world(tenant())
    assert placed(ours.exchange(headers=DESK)) == "acme"
    assert placed(ours.exchange(headers=((b"x-api-key", b"sk-desk"),))) == "acme"
    assert placed(ours.exchange(headers=((b"authorization", b"Bearer sk-other"),))) is None
    assert placed(ours.exchange()) is None


def test_a_namespace_is_believed_from_a_trusted_hop_alone():
    ours = world(tenant(keys=(), namespaces=("team-a", "team-b")))
    assert placed(ours.exchange(headers=namespace("team-b"), peer=INSIDE)) == "acme"
    assert placed(ours.exchange(headers=namespace("team-c"), peer=INSIDE)) is None
    assert placed(ours.exchange(headers=namespace("team-b"), peer="192.0.2.1")) is None
    assert placed(ours.exchange(headers=namespace("team-b"), peer="")) is None


def test_two_namespaces_are_two_tenants_so_the_request_is_refused():
    headers = (*namespace("team-a"), *namespace("team-b"))
    ours = world(tenant(keys=(), namespaces=("team-a",)))
    refusal = walk(ours.exchange(headers=headers, peer=INSIDE), STEPS)
    assert (refusal.status, refusal.code.value) == (400, "malformed")
    assert walk(ours.exchange(headers=headers), STEPS) is None, "a stranger's headers say nothing"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"sub": "ann", "org": "acme"}, "acme"),
        ({"sub": "ann", "org": ["other", "acme"]}, "acme"),
        ({"sub": "ann", "org": "ACME"}, None),
        ({"sub": "ann", "org": {"acme": 1}}, None),
        ({"sub": "ann", "org": [1, None]}, None),
        ({"sub": "ann"}, None),
    ],
)
def test_a_claim_of_a_verified_token_names_the_tenant(claims, expected):
    ours = world(tenant(keys=(), claim=("org", "acme")), verify_jwt=lambda _: claims)
    assert placed(ours.exchange(headers=TOKEN)) == expected


def test_claims_of_a_token_that_nobody_verified_are_not_read():
    by_claim = tenant(keys=(), claim=("org", "acme"))
    assert placed(world(by_claim).exchange(headers=TOKEN)) is None
    not_a_source = world(by_claim, verify_jwt=lambda _: {"org": "acme"}, sources=("body",))
    assert placed(not_a_source.exchange(headers=TOKEN)) is None


def test_a_token_that_does_not_verify_is_refused_even_where_a_stronger_source_names_the_user():
    order = ("trusted_header", "jwt")
    headers = (*TOKEN, (b"x-forwarded-user", b"ann"))
    ours = world(tenant(keys=(), claim=("org", "acme")), verify_jwt=lambda _: None, sources=order)
    assert walk(ours.exchange(headers=headers, peer=INSIDE), STEPS).status == 401
    shadow = replace(ours.snapshot, mode=Mode.SHADOW)
    ours.snapshot = shadow
    exchange = ours.exchange(headers=headers, peer=INSIDE)
    assert walk(exchange, STEPS) is None
    assert exchange.identity.key is not None, "in shadow the user is counted as ever"
    assert exchange.shadowed[0].code.value == "identity_required"


def test_of_several_that_match_the_first_of_the_file_applies():
    first = tenant("first", keys=(), namespaces=("team-a",))
    second, third = tenant("second"), tenant("third", keys=(), claim=("org", "acme"))
    headers = (*DESK, *namespace("team-a"))
    assert placed(world(first, second).exchange(headers=headers, peer=INSIDE)) == "first"
    assert placed(world(second, first).exchange(headers=headers, peer=INSIDE)) == "second"
    verified = world(third, first, verify_jwt=lambda _: {"sub": "ann", "org": "acme"})
    assert placed(verified.exchange(headers=(*TOKEN, *namespace("team-a")), peer=INSIDE)) == "third"


def test_the_overlay_is_what_the_request_is_decided_under_and_others_keep_the_base():
    base = World().snapshot
    model = base.models["tiny"]
    stricter = replace(
        model,
        rulings={**model.rulings, "S10": Ruling(Action.BLOCK)},
        blocking=frozenset({"S9", "S10"}),
        fields={**model.fields, "echo": FieldRule(FieldAction.DENY)},
    )

    class HateRules(WordRules):
        def scan(self, segments):
            return [Finding("S10.own", "S10", 0, 1, segment.source, segment.path) for segment in segments]

    overlay = {
        "models": {"tiny": stricter},
        "default_model": stricter,
        "rules": HateRules(),
        "surface": SurfacePolicy(unscannable=every(PartAction.DENY), system_prompts=Action.BLOCK),
    }
    ours = world(tenant(overlay=overlay))
    assert walk(ours.exchange(headers=DESK), STEPS).category == "S10"
    assert walk(ours.exchange(), STEPS) is None
    field = [FieldUse("echo", "echo", True)]
    assert walk(ours.exchange(headers=DESK, uses=field), STEPS).code.value == "field_denied"
    assert walk(ours.exchange(uses=field), STEPS) is None
    system = [Segment(Source.SYSTEM, "words", "messages[0].content")]
    assert walk(ours.exchange(headers=DESK, segments=system), STEPS).category == "S10"
    exchange = ours.exchange(headers=DESK, segments=[])
    walk(exchange, STEPS)
    screen = OutputScreen(exchange)
    screen.feed((0, "content"), "so FORBIDDEN")
    assert screen.blocked(0).category == "S9"
    assert exchange.snapshot.hash == base.hash


def test_a_tenant_in_enforce_is_refused_while_the_others_are_in_shadow():
    ours = world(tenant(overlay={"mode": Mode.ENFORCE}), mode=Mode.SHADOW)
    assert walk(ours.exchange("FORBIDDEN", headers=DESK), STEPS).code.value == "aup"
    assert walk(ours.exchange("FORBIDDEN"), STEPS) is None


def test_a_model_that_is_not_the_tenants_is_refused_under_the_license_it_would_have_had():
    ours = world(tenant(models=frozenset({"other"})))
    exchange = ours.exchange(headers=DESK)
    refusal = walk(exchange, STEPS)
    assert (refusal.status, refusal.code.value) == (404, "license_terms")
    assert exchange.license == "llama-2"
    ours.snapshot = replace(ours.snapshot, mode=Mode.SHADOW)
    shadowed = ours.exchange("FORBIDDEN", headers=DESK)
    assert walk(shadowed, STEPS) is None
    assert [noted.code.value for noted in shadowed.shadowed] == ["license_terms", "aup"], "and screened all the same"
    assert walk(world(tenant(models=frozenset({"tiny"}))).exchange(headers=DESK), STEPS) is None


@pytest.mark.parametrize(
    ("key", "bound", "stated", "becomes"),
    [
        ("unknown", "serve", None, "serve"),
        ("unknown", "serve", "serve", "serve"),
        ("unknown", "serve", "train:llama-2", None),
        ("serve", "train:llama-2", None, "serve"),
        ("evaluate", "serve", None, None),
        ("train:llama-2", "serve", "serve", None),
        ("train:llama-2", "train:llama-2", "serve", "serve"),
    ],
)
def test_a_tenants_purpose_bounds_that_of_its_keys_and_of_what_requests_state(key, bound, stated, becomes):
    ours = world(tenant(purpose=bound), keys={digest_key("sk-desk"): Entitlement("desk", key)})
    headers = DESK if stated is None else (*DESK, (b"x-guard-purpose", stated.encode()))
    exchange = ours.exchange(headers=headers)
    refusal = walk(exchange, STEPS)
    if becomes is None:
        assert refusal.code.value == "output_use"
    else:
        assert (refusal, exchange.identity.purpose) == (None, becomes)


def test_the_record_names_tenant_and_application_and_users_are_counted_as_before():
    ours, plain = world(tenant()), world()
    plain.snapshot = replace(plain.snapshot, tenants=None)
    keys = set()
    for one in (ours, plain):
        exchange = one.exchange("FORBIDDEN", headers=DESK, claimed={"user": "1"})
        walk(exchange, STEPS)
        record(exchange, Ending.REFUSED)
        keys.add(exchange.identity.key)
    assert len(keys) == 1, "becoming somebody's tenant makes nobody another user"
    ((_, facts),) = ours.audit.named("append")
    assert (facts["identity"]["tenant"], facts["identity"]["application"]) == ("acme", "desk")
    ((_, facts),) = plain.audit.named("append")
    assert (facts["identity"]["tenant"], facts["identity"]["application"]) == ("desk", "desk")


def test_a_view_is_made_once_and_anew_for_another_snapshot():
    one = tenant(overlay={"mode": Mode.SHADOW})
    first, second = World().snapshot, World(hash="other").snapshot
    assert one.view(first) is one.view(first)
    assert one.view(second).hash == "other"
    assert one.view(first).hash == "h"


def test_a_stranger_is_told_so_before_he_learns_which_models_there_are():
    refusal = walk(World(registered_only=True).exchange(model="nobody-knows"), STEPS)
    assert (refusal.status, refusal.code.value) == (401, "identity_required")


def test_a_refused_stranger_is_recorded_under_the_license_of_the_model_he_named():
    ours = World(registered_only=True)
    exchange = ours.exchange()
    walk(exchange, STEPS)
    record(exchange, Ending.REFUSED)
    assert ours.meter.named("request") == [("deny", "identity_required", "llama-2")]
    assert ours.audit.named("append")[0][1]["model"] == "tiny"
