"""Terms that flow down: who accepted them is served, who did not is refused or noted, as the policy says."""

from dataclasses import replace

import pytest
from exchange_world import World

from guard.exchange.credential import digest_key
from guard.exchange.order import BEFORE_FORWARD, BEFORE_TEXT, walk
from guard.exchange.record import Ending, record
from guard.exchange.snapshot import Entitlement, Mode
from guard.exchange.tenant import Match, Tenant, Tenants

STEPS = BEFORE_TEXT + BEFORE_FORWARD
DESK = ((b"authorization", b"Bearer sk-desk"),)
ACCEPTED, TOO_FEW, NOTHING = frozenset({"gemma", "yi-2.1"}), frozenset({"gemma"}), frozenset()


def world(terms="require", by_key=NOTHING, by_tenant=NOTHING, **changes):
    changes.setdefault("keys", {digest_key("sk-desk"): Entitlement("desk", terms=by_key)})
    made = World(terms=terms, tenants=Tenants([Tenant("acme", Match(frozenset({"desk"})), terms=by_tenant)]), **changes)
    model = replace(made.snapshot.models["tiny"], flow_down=(("gemma", "3.1"), ("yi-2.1", "4")))
    made.snapshot = replace(made.snapshot, models={"tiny": model})
    return made


@pytest.mark.parametrize(
    ("by_key", "by_tenant", "missing"),
    [
        (ACCEPTED, NOTHING, None),
        (NOTHING, ACCEPTED, None),
        (TOO_FEW, frozenset({"yi-2.1"}), None),
        (TOO_FEW, NOTHING, ("yi-2.1", "4")),
        (NOTHING, NOTHING, ("gemma", "3.1")),
    ],
)
def test_every_license_of_the_stack_has_to_be_accepted_by_the_key_or_its_tenant(by_key, by_tenant, missing):
    refusal = walk(world(by_key=by_key, by_tenant=by_tenant).exchange(headers=DESK), STEPS)
    if missing is None:
        assert refusal is None
    else:
        assert (refusal.status, refusal.code.value) == (403, "license_terms")
        assert (refusal.license, refusal.clause) == missing


def test_a_caller_without_a_key_accepted_nothing():
    assert walk(world(by_key=ACCEPTED, by_tenant=ACCEPTED).exchange(), STEPS).license == "gemma"


def test_a_missing_acceptance_is_counted_and_stands_in_the_entry_as_an_obligation():
    ours = world("warn", by_key=TOO_FEW)
    served, blocked = ours.exchange(headers=DESK), ours.exchange("FORBIDDEN", headers=DESK)
    assert walk(served, STEPS) is None
    assert walk(blocked, STEPS).code.value == "aup"
    record(served, Ending.SERVED)
    record(blocked, Ending.REFUSED)
    assert ours.meter.named("unaccepted") == [("yi-2.1",), ("yi-2.1",)]
    ((_, facts),) = ours.audit.named("append")
    assert facts["obligations"] == ["terms of yi-2.1 (4): no acceptance on record"]


def test_in_shadow_a_requirement_is_noted_for_every_license():
    exchange = world(mode=Mode.SHADOW).exchange(headers=DESK)
    assert walk(exchange, STEPS) is None
    assert [(noted.code.value, noted.license) for noted in exchange.shadowed] == [
        ("license_terms", "gemma"),
        ("license_terms", "yi-2.1"),
    ]


def test_a_license_whose_terms_bind_no_caller_asks_for_nothing():
    exchange = World(terms="require").exchange()
    assert walk(exchange, STEPS) is None
    assert exchange.unaccepted == []
