"""Purposes: who states them, that no statement widens another, which bulk needs one, and that each goes on record."""

from dataclasses import replace

import pytest
from exchange_world import LLAMA_2, World
from hypothesis import given
from hypothesis import strategies as st

from guard.exchange.admit import admit
from guard.exchange.credential import digest_key
from guard.exchange.edits import edits
from guard.exchange.entitle import entitle
from guard.exchange.identify import identify
from guard.exchange.inquiry import FieldUse
from guard.exchange.order import BEFORE_TEXT, walk
from guard.exchange.record import Ending, record
from guard.exchange.recorded import Untold, redecide_recorded
from guard.exchange.refusal import Code
from guard.exchange.snapshot import Bulk, Entitlement, FieldAction, FieldRule, Mode
from guard.exchange.tenant import Match, Tenant, Tenants
from guard.licensing.purpose import Purpose, narrow

KEY = (b"authorization", b"Bearer sk-lab")
TOKEN = (b"authorization", b"Bearer eyJa.b.c")
BULK = Bulk(16, "llama-2", "1.b.v")
LIST = {"uses": [FieldUse("samples", "prompt", 3)], "choices": 3}


def world(key="unknown", tenant=None, bulk=BULK, fields=None, **changes):
    """The model of the world under ``bulk``, with a registered key of a purpose, its tenant's and its own fields."""
    entitlement = Entitlement("lab", key, fields={("llama-2",): fields} if fields is not None else {})
    changes["keys"] = {digest_key("sk-lab"): entitlement}
    if tenant is not None:
        changes["tenants"] = Tenants([Tenant("lab", Match(frozenset({"lab"})), **tenant)])
    made = World(**changes)
    model = replace(made.snapshot.models["tiny"], bulk=bulk)
    made.snapshot = replace(made.snapshot, models={"tiny": model}, default_model=model)
    return made


def stating(header):
    return () if header is None else ((b"x-guard-purpose", header.encode()),)


def settled(made, headers=(KEY,), **inquiry):
    """The exchange after the steps before its text, and its refusal."""
    exchange = made.exchange(headers=headers, **inquiry)
    return exchange, walk(exchange, BEFORE_TEXT)


def declared(made):
    return [kwargs for name, _, kwargs in made.provenance.calls if name == "declared"]


# Bulk.


@pytest.mark.parametrize("inquiry", [LIST, {"choices": 17}, {"uses": [FieldUse("samples", "messages", 2)]}], ids=str)
def test_a_bulk_of_a_caller_who_says_nothing_is_refused_with_how_to_say_it(inquiry):
    _, refusal = settled(world(), **inquiry)
    assert (refusal.status, refusal.code, refusal.license, refusal.clause) == (403, Code.OUTPUT_USE, "llama-2", "1.b.v")
    assert "x-guard-purpose" in refusal.message
    assert "API key" in refusal.message


def test_the_batch_route_is_a_bulk_whatever_it_holds():
    exchange = world().exchange(headers=(KEY,))
    exchange.inquiry.surface = "batch"
    assert walk(exchange, BEFORE_TEXT).code is Code.OUTPUT_USE


@pytest.mark.parametrize("header", ["serve", "evaluate"])
def test_the_header_is_enough(header):
    assert settled(world(), (KEY, *stating(header)), **LIST)[1] is None
    assert settled(world(), stating(header), **LIST)[1] is None, "nor does it take a key"


def test_so_is_the_purpose_of_the_key_and_that_of_its_tenant():
    assert settled(world(key="serve"), **LIST)[1] is None
    assert settled(world(tenant={"purpose": "serve"}), **LIST)[1] is None


def test_to_state_that_the_purpose_is_unknown_is_to_state_none():
    assert settled(world(), (KEY, *stating("unknown")), **LIST)[1].code is Code.OUTPUT_USE


def test_up_to_so_many_answers_are_none():
    assert settled(world(), choices=16)[1] is None
    assert settled(world(), uses=[FieldUse("samples", "n", 3)], choices=3)[1] is None


def test_what_the_policy_lowers_is_judged_as_it_was_lowered():
    lowered = {"uses": [FieldUse("samples", "n", 500)], "choices": 500, "document": {"model": "tiny", "n": 500}}
    exchange, refusal = settled(world(), **lowered)
    assert (refusal, exchange.inquiry.choices) == (None, 4)


def test_where_nothing_depends_on_the_purpose_or_nobody_asks_there_is_no_bulk():
    assert settled(world(bulk=None), **LIST)[1] is None


def test_a_bulk_is_only_recorded_in_shadow():
    exchange, refusal = settled(world(mode=Mode.SHADOW), **LIST)
    assert refusal is None
    assert [one.code for one in exchange.shadowed] == [Code.OUTPUT_USE]


# Nothing widens.


def test_the_claim_of_a_verified_token_narrows_as_the_header_does():
    made = world(verify_jwt=lambda _: {"sub": "ann", "use": "evaluate"}, jwt_purpose="use")
    exchange, refusal = settled(made, (TOKEN,), **LIST)
    assert (refusal, exchange.identity.purpose) == (None, "evaluate")
    assert settled(made, (TOKEN, *stating("serve")))[1].code is Code.OUTPUT_USE


@pytest.mark.parametrize("claim", ["anything", "train:", 5, ["serve"], ""])
def test_a_claim_that_is_no_purpose_is_refused_and_only_recorded_in_shadow(claim):
    made = world(verify_jwt=lambda _: {"sub": "ann", "use": claim}, jwt_purpose="use")
    assert settled(made, (TOKEN,))[1].code is Code.OUTPUT_USE
    made.snapshot = replace(made.snapshot, mode=Mode.SHADOW)
    exchange, refusal = settled(made, (TOKEN,))
    assert refusal is None
    assert exchange.identity.key is not None, "and the user is counted as ever"


def test_a_claim_that_nobody_asks_for_is_not_read():
    made = world(verify_jwt=lambda _: {"sub": "ann", "use": "evaluate"})
    assert settled(made, (TOKEN,))[0].identity.purpose == "unknown"


STATED = ("serve", "evaluate", "unknown", "train:llama-2", "train:gemma", "synthetic-data:llama-2")
maybe = st.sampled_from([None, *STATED])


@given(key=st.sampled_from(STATED), tenant=maybe, claim=maybe, header=maybe)
def test_what_comes_out_is_within_whatever_anybody_granted(key, tenant, claim, header):
    made = world(key, tenant={"purpose": tenant}, verify_jwt=lambda _: {"sub": "a", "use": claim}, jwt_purpose="use")
    exchange = made.exchange(headers=(KEY, *stating(header)))
    assert identify(exchange) is None
    exchange.token_purpose = claim
    assert admit(exchange) is None
    refusal = entitle(exchange)
    granted = [one for one in (key, tenant, claim, header) if one is not None]
    within = [narrow(one, exchange.identity.purpose) is not None for one in granted]
    if refusal is None:
        assert all(within)
        assert exchange.identity.purpose != "unknown" or set(granted) == {"unknown"}
    else:
        assert refusal.code is Code.OUTPUT_USE


# Declarations.


def test_whatever_is_stated_goes_on_record_with_what_the_license_says_to_it():
    made = world()
    settled(made, (KEY, *stating("train:gemma-2-9b")))
    [entry] = declared(made)
    assert entry == {
        "reference": "ref0",
        "time": 1_795_000_000.0,
        "tenant": "lab",
        "user": entry["user"],
        "source": "header",
        "purpose": "train:gemma-2-9b",
        "model": "tiny",
        "licenses": (LLAMA_2,),
        "verdict": "undetermined",
        "clause": "1.b.v",
    }


@pytest.mark.parametrize(
    ("made", "headers", "source", "purpose", "verdict"),
    [
        (world(key="evaluate"), (KEY,), "key", "evaluate", "allow"),
        (world(tenant={"purpose": "serve"}), (KEY,), "tenant", "serve", "allow"),
        (world(key="serve", tenant={"purpose": "serve"}), (KEY,), "key", "serve", "allow"),
        (world(), stating("serve"), "header", "serve", "allow"),
        (world(key="train:llama-2"), (KEY, *stating("serve")), "header", "serve", "allow"),
        (world(key="train:llama-2"), (KEY, *stating("unknown")), "key", "train:llama-2", "allow"),
        (world(key="serve"), (KEY, *stating("train:gemma")), "header", "train:gemma", "not_entitled"),
        (world(key="evaluate", tenant={"purpose": "serve"}), (KEY,), "key", "evaluate", "not_entitled"),
    ],
)
def test_by_whom_it_was_stated_is_told_and_refused_ones_too(made, headers, source, purpose, verdict):
    settled(made, headers)
    [entry] = declared(made)
    assert (entry["source"], entry["purpose"], entry["verdict"]) == (source, purpose, verdict)


def test_the_claim_of_a_token_is_a_declaration():
    made = world(verify_jwt=lambda _: {"sub": "ann", "use": "evaluate"}, jwt_purpose="use")
    settled(made, (TOKEN,))
    assert [(entry["source"], entry["purpose"]) for entry in declared(made)] == [("claim", "evaluate")]


def test_who_states_nothing_declares_nothing():
    made = world()
    settled(made)
    settled(made, (KEY, *stating("unknown")))
    settled(made, (KEY, *stating("no purpose at all")))
    assert declared(made) == []


# Capabilities of a key.

OWN = {"samples": FieldRule(FieldAction.CLAMP, 4), "caller_ids": FieldRule(FieldAction.STRIP)}
LOGPROBS = {"uses": [FieldUse("logprobs", "logprobs", True)], "document": {"model": "tiny", "logprobs": True}}


def test_a_key_has_what_its_own_rules_give_and_others_have_what_they_had():
    made = world(key="evaluate", fields=OWN)
    assert settled(made, **LOGPROBS)[1] is None
    assert settled(made, (), **LOGPROBS)[1].code is Code.FIELD_DENIED


def test_the_rules_of_a_key_are_those_of_the_licenses_they_were_made_for():
    made = world(key="evaluate", fields=OWN)
    other = replace(made.snapshot.models["tiny"], counted=("hunyuan-large",))
    made.snapshot = replace(made.snapshot, models={"tiny": other}, default_model=other)
    assert settled(made, **LOGPROBS)[1].code is Code.FIELD_DENIED


def test_what_a_tenant_says_of_a_capability_bounds_the_keys_of_its_callers():
    denied = FieldRule(FieldAction.DENY)
    made = world(key="evaluate", fields=OWN, tenant={"fields": frozenset({"logprobs"})})
    assert settled(made, **LOGPROBS)[1].code is Code.FIELD_DENIED, "the license's rule is the tenant's, too"
    made = world(key="evaluate", fields=OWN | {"logprobs": denied}, tenant={"fields": frozenset({"samples"})})
    assert settled(made, **LOGPROBS)[1].code is Code.FIELD_DENIED, "its own rule is the stricter"
    made = world(key="evaluate", fields=OWN, tenant={"fields": frozenset({"samples"})})
    assert settled(made, **LOGPROBS)[1] is None


def test_a_length_that_a_key_has_of_its_own_is_written_into_its_requests():
    made = world(key="serve", fields=OWN | {"length": FieldRule(FieldAction.CLAMP, 100)})
    exchange, _ = settled(made, document={"model": "tiny"})
    assert exchange.inquiry.document["max_completion_tokens"] == 100
    drawn = [FieldUse("length", "min_tokens", 900), FieldUse("length", "ignore_eos", True)]
    exchange, _ = settled(made, document={"model": "tiny", "min_tokens": 900, "ignore_eos": True}, uses=drawn)
    assert exchange.inquiry.document["min_tokens"] == 100
    assert exchange.inquiry.document["max_completion_tokens"] == 100
    assert edits(exchange) == ("min_tokens: at most 100", "max_completion_tokens: 100 where none is stated")


def test_answers_whose_number_is_stripped_are_counted_as_they_will_come():
    made = world(key="serve", fields={"samples": FieldRule(FieldAction.STRIP)})
    asked = {"uses": [FieldUse("samples", "n", 9)], "choices": 9, "document": {"model": "tiny", "n": 9}}
    exchange, _ = settled(made, **asked)
    assert (exchange.inquiry.choices, exchange.inquiry.asked) == (1, 9)
    assert "n" not in exchange.inquiry.document


def test_purposes_are_written_the_way_they_are_read():
    for stated in STATED:
        assert str(Purpose.parse(stated)) == stated


@pytest.mark.parametrize("claim", ["evaluate", "nonsense"])
def test_a_recorded_decision_is_made_again_with_what_the_token_stated(claim):
    made = world(verify_jwt=lambda _: {"sub": "ann", "use": claim}, jwt_purpose="use", every_decision=True)
    exchange, refusal = settled(made, (TOKEN,), **LIST)
    record(exchange, Ending.SERVED if refusal is None else Ending.REFUSED)
    [[_, facts]] = made.audit.named("append")
    assert facts["given"]["token_purpose"] == ("evaluate" if claim == "evaluate" else "")
    again = redecide_recorded(facts, made.snapshot, made.snapshot)
    assert (again.verdict, again.reason == "output_use") == (("allow", False) if refusal is None else ("deny", True))
    unread = replace(made.snapshot, hash="h2", identity=replace(made.snapshot.identity, jwt_purpose="other"))
    assert isinstance(redecide_recorded(facts, unread, made.snapshot), Untold)
