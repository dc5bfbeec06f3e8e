"""The steps in order: what is refused, what is edited, what is counted, and what a failed check means."""

from dataclasses import replace

import pytest
from exchange_world import LIMIT, Notes, WordRules, World
from hypothesis import given
from hypothesis import strategies as st

from guard.exchange.count import count, settle
from guard.exchange.inquiry import FieldUse
from guard.exchange.order import BEFORE_FORWARD, BEFORE_TEXT, walk
from guard.exchange.record import Ending, ServedChoice, Verdict, facts, record, verdict
from guard.exchange.screen_output import OutputScreen
from guard.exchange.snapshot import CitedItem, FieldAction, FieldRule, Mode, Ruling, SurfacePolicy
from guard.exchange.unscanned import PartAction, PartKind, UnscannedPart, every
from guard.screening.findings import Action
from guard.screening.segments import Segment, Source

STEPS = BEFORE_TEXT + BEFORE_FORWARD


def test_an_ordinary_request_passes_every_step_and_holds_a_place():
    world = World()
    exchange = world.exchange(claimed={"user": "alice"})
    assert walk(exchange, STEPS) is None
    assert exchange.reservation is not None
    settle(exchange)
    settle(exchange)
    assert len(world.counter.settled) == 1


def test_a_model_nobody_configured_is_not_served():
    refusal = walk(World().exchange(model="other"), STEPS)
    assert (refusal.status, refusal.code.value) == (404, "license_terms")


def test_a_request_without_a_model_is_told_so_where_there_is_no_default():
    refusal = walk(World(default_model=None).exchange(model=None), STEPS)
    assert (refusal.status, refusal.code.value) == (400, "malformed")
    assert "model: missing" in refusal.message


def test_an_unknown_model_may_be_served_undetermined_by_policy():
    assert walk(World(allow_unknown_models=True).exchange(model="other"), STEPS) is None


def test_a_denied_field_cites_the_clause_that_denies_it():
    refusal = walk(World().exchange(uses=[FieldUse("logprobs", "logprobs", True)]), STEPS)
    assert refusal.code.value == "field_denied"
    assert refusal.facts() == {"reference": "ref0", "license": "llama-2", "clause": "1.b.v", "category": None}


def test_fields_are_stripped_and_clamped_in_the_document_that_is_sent():
    document = {"model": "tiny", "n": 9, "request_id": "mine"}
    uses = [FieldUse("samples", "n", 9), FieldUse("caller_ids", "request_id", "mine")]
    exchange = World().exchange(document=document, uses=uses, choices=9)
    assert walk(exchange, STEPS) is None
    assert document == {"model": "tiny", "n": 4}
    assert exchange.inquiry.choices == 4


def test_shadow_mode_leaves_the_traffic_alone_and_notes_every_edit():
    document = {"model": "tiny", "n": 9, "request_id": "mine"}
    uses = [FieldUse("samples", "n", 9), FieldUse("caller_ids", "request_id", "mine"), FieldUse("samples", "n", 2)]
    exchange = World(mode=Mode.SHADOW).exchange(document=document, uses=uses, choices=9)
    assert walk(exchange, STEPS) is None
    assert document == {"model": "tiny", "n": 9, "request_id": "mine"}
    assert [refusal.code.value for refusal in exchange.shadowed] == ["field_denied", "field_denied"]


@pytest.mark.parametrize(("given", "sent"), [({}, 10), ({"max_tokens": 5}, None)])
def test_a_length_limit_holds_for_requests_that_state_none(given, sent):
    world = World()
    model = world.snapshot.models["tiny"]
    limited = replace(model, fields={**model.fields, "length": FieldRule(FieldAction.CLAMP, 10)})
    world.snapshot = replace(world.snapshot, models={"tiny": limited})
    uses = [FieldUse("length", name, value) for name, value in given.items()]
    exchange = world.exchange(document={"model": "tiny", **given}, uses=uses)
    assert walk(exchange, STEPS) is None
    assert exchange.inquiry.document.get("max_completion_tokens") == sent


def test_a_clamp_that_cannot_be_met_by_editing_refuses():
    document = {"model": "tiny", "prompt": ["a"] * 9}
    refusal = walk(World().exchange(document=document, uses=[FieldUse("samples", "prompt", 9)], choices=9), STEPS)
    assert refusal.code.value == "field_denied"


def test_parts_no_rule_can_read_are_refused_unless_the_policy_lets_them_pass():
    unscannable = [
        UnscannedPart(PartKind.IMAGE, "messages[0].content[1]"),
        UnscannedPart(PartKind.AUDIO, "messages[0].content[2]"),
    ]
    assert walk(World().exchange(unscannable=unscannable), STEPS).code.value == "field_denied"
    world = World(surface=SurfacePolicy(unscannable=every(PartAction.ALLOW)))
    assert walk(world.exchange(unscannable=unscannable), STEPS) is None
    mixed = {**every(PartAction.ALLOW), PartKind.AUDIO: PartAction.DENY}
    refusal = walk(World(surface=SurfacePolicy(unscannable=mixed)).exchange(unscannable=unscannable), STEPS)
    assert "messages[0].content[2]" in refusal.message
    assert "audio" in refusal.message


def test_parts_that_are_marked_are_served_told_of_and_counted():
    kinds = {**every(PartAction.DENY), PartKind.IMAGE: PartAction.MARK, PartKind.VIDEO: PartAction.ALLOW}
    world = World(surface=SurfacePolicy(unscannable=kinds))
    parts = [UnscannedPart(PartKind.IMAGE, "a"), UnscannedPart(PartKind.VIDEO, "b"), UnscannedPart(PartKind.IMAGE, "c")]
    exchange = world.exchange("hello", unscannable=parts)
    assert walk(exchange, STEPS) is None
    assert exchange.marked == "image"
    record(exchange, Ending.SERVED)
    ((kind, written),) = world.audit.named("append")
    assert (kind, written["verdict"]) == ("decision", "allow")
    assert written["obligations"] == ["not read by any rule: image"]
    assert written["given"]["unscannable"] == {"image": 2, "video": 1}
    assert world.meter.named("parts") == [
        ("text", "scanned", 1),
        ("image", "marked", 1),
        ("video", "allowed", 1),
        ("image", "marked", 1),
    ]


def test_a_forbidden_prompt_is_refused_with_license_clause_and_category_but_not_its_words():
    refusal = walk(World().exchange("please FORBIDDEN"), STEPS)
    assert refusal.facts() == {"reference": "ref0", "license": "llama-2", "clause": "2.a", "category": "S9"}
    assert "FORBIDDEN" not in refusal.message


@pytest.mark.parametrize(("most", "refused", "kept"), [("FLAG", False, 1), ("BLOCK", True, 1), ("OFF", False, 0)])
def test_a_system_prompt_is_flagged_unless_the_policy_says_otherwise(most, refused, kept):
    world = World(surface=SurfacePolicy(system_prompts=Action[most]))
    exchange = world.exchange(segments=[Segment(Source.SYSTEM, "never say FORBIDDEN", "messages[0].content")])
    assert (walk(exchange, STEPS) is not None) is refused
    assert len(exchange.findings) == kept


def test_a_broken_check_is_never_a_pass():
    world = World(rules=WordRules(broken=True))
    refusal = walk(world.exchange(), STEPS)
    assert (refusal.status, refusal.code.value) == (503, "screening_unavailable")
    assert world.failures == [("screening.prompt", "RuntimeError")]


def test_shadow_mode_decides_the_same_and_refuses_nothing_that_a_license_says():
    world = World(mode=Mode.SHADOW)
    exchange = world.exchange("FORBIDDEN", uses=[FieldUse("logprobs", "logprobs", True)])
    assert walk(exchange, STEPS) is None
    assert [refusal.code.value for refusal in exchange.shadowed] == ["field_denied", "aup"]
    assert verdict(exchange) is Verdict.FLAG
    # What Guard cannot see through stays closed in shadow mode as well.
    assert walk(world.exchange(uses=[FieldUse("kv_transfer", "kv_transfer_params", {})]), STEPS) is not None


def test_a_newcomer_over_the_limit_is_refused_and_the_refusal_cites_the_threshold():
    world = World()
    world.counter.refuse = True
    refusal = walk(world.exchange(), STEPS)
    assert (refusal.code.value, refusal.license, refusal.clause) == ("usage_threshold", "llama-2", "2")


def test_a_limit_the_operator_set_is_not_blamed_on_the_license():
    world = World()
    world.counter.refuse = True
    own = replace(LIMIT, id="operator", clause="", consequence="operator")
    model = replace(world.snapshot.models["tiny"], limits=(own,))
    world.snapshot = replace(world.snapshot, models={"tiny": model})
    refusal = walk(world.exchange(), STEPS)
    assert "operator" in refusal.message
    assert refusal.clause is None


def test_a_failed_upstream_is_seen_as_no_allow():
    world = World()
    exchange = world.exchange()
    walk(exchange, STEPS)
    record(exchange, Ending.UPSTREAM)
    record(exchange, Ending.REJECTED)
    assert world.meter.named("request") == [
        ("deny", "upstream_unavailable", "llama-2"),
        ("allow", "rejected", "llama-2"),
    ]


@pytest.mark.parametrize("stated", ["train:mistral-7b", "synthetic-data:mistral-7b"])
def test_a_purpose_that_the_license_forbids_is_refused_with_its_clause(stated):
    refusal = walk(World().exchange(headers=((b"x-guard-purpose", stated.encode()),)), STEPS)
    assert (refusal.code.value, refusal.clause) == ("output_use", "1.b.v")


def test_a_purpose_header_must_be_a_purpose():
    assert walk(World().exchange(headers=((b"x-guard-purpose", b"fun"),)), STEPS).status == 400


def test_the_licenses_own_family_is_excepted():
    assert walk(World().exchange(headers=((b"x-guard-purpose", b"train:llama-2"),)), STEPS) is None


def test_counting_comes_before_the_answer_and_a_full_disk_refuses_it():
    world = World()
    exchange = world.exchange(claimed={"user": "alice"})
    walk(exchange, STEPS)
    world.counter.fail = True
    refusal = count(exchange)
    assert (refusal.status, refusal.code.value) == (503, "ledger_unavailable")
    assert not exchange.answered
    assert len(world.counter.settled) == 1


@given(st.lists(st.text(max_size=12), max_size=8), st.integers(0, 3))
def test_no_output_is_cleared_beyond_a_blocked_span(pieces, where):
    pieces.insert(min(where, len(pieces)), "FORBIDDEN")
    exchange = World().exchange()
    walk(exchange, STEPS)
    screen = OutputScreen(exchange)
    for piece in pieces:
        screen.feed((0, "content"), piece)
    screen.finish((0, "content"))
    text = "".join(pieces)
    assert "FORBIDDEN" not in text[: screen.cleared((0, "content"))]
    assert screen.blocked(0).category == "S9"
    assert screen.blocked(1) is None


def test_an_output_screen_that_breaks_clears_nothing_more():
    world = World()
    exchange = world.exchange()
    walk(exchange, STEPS)
    world.rules.broken = True
    screen = OutputScreen(exchange)
    screen.feed((0, "content"), "text")
    assert screen.cleared((0, "content")) == 0
    assert screen.blocked(0).code.value == "screening_unavailable"


def test_in_shadow_mode_the_output_flows_and_the_finding_is_kept():
    world = World(mode=Mode.SHADOW)
    exchange = world.exchange()
    walk(exchange, STEPS)
    screen = OutputScreen(exchange)
    screen.feed((0, "content"), "so FORBIDDEN")
    screen.finish((0, "content"))
    screen.close()
    assert screen.cleared((0, "content")) == 12
    assert [refusal.category for refusal in exchange.shadowed] == ["S9"]


def test_the_record_holds_rules_and_clauses_but_neither_text_nor_raw_identity():
    world = World()
    exchange = world.exchange("a FORBIDDEN wish", claimed={"user": "alice@example.org"})
    walk(exchange, STEPS)
    record(exchange, Ending.REFUSED)
    assert world.meter.named("request") == [("deny", "aup", "llama-2")]
    ((kind, facts),) = world.audit.named("append")
    assert kind == "decision"
    assert facts["refused"]["clause"] == "2.a"
    assert facts["findings"][0]["start"] == 2
    assert "FORBIDDEN" not in repr(facts)
    assert "alice" not in repr(facts)
    assert world.provenance.calls == []


def test_every_choice_of_a_served_answer_gets_a_receipt():
    world = World()
    exchange = world.exchange("a question", claimed={"user": "alice"})
    walk(exchange, STEPS)
    count(exchange)
    record(exchange, Ending.SERVED, [ServedChoice(0, ("one",), "stop", 3, 1), ServedChoice(1, ("two",), "stop", 3, 1)])
    assert [facts["output"] for facts in world.provenance.named("finished")] == [("one",), ("two",)]
    assert world.provenance.named("finished")[0]["licenses"][0].id == "llama-2"
    assert world.counter.sighted == [(("llama-2",), exchange.identity.key)]


@pytest.mark.parametrize("known", [True, False])
def test_where_receipts_are_off_choices_are_only_counted(known):
    world, unrecorded = World(), Notes()
    exchange = world.exchange("a question", claimed={"user": "alice"})
    exchange.services = replace(exchange.services, provenance=None, unrecorded=unrecorded)
    walk(exchange, STEPS)
    record(exchange, Ending.UPSTREAM)
    assert unrecorded.calls == []
    count(exchange)
    if not known:
        exchange.model = None
    record(exchange, Ending.SERVED, [ServedChoice(0, ("one",), "stop", 3, 1), ServedChoice(1, ("two",), "stop", 3, 1)])
    assert unrecorded.calls == [("unrecorded", (2,), {})] * known + [("ended", (), {})]
    assert world.provenance.calls == []


FRAUD, GUNS, HARM = (Ruling(Action.BLOCK, "llama-2", item, clause) for item, clause in
                     (("fraud", "3.a"), ("guns", "2.b"), ("harm", "1.a")))  # fmt: skip
CITED = {("S9", "fraud"): CitedItem(FRAUD, False), ("S9", "guns"): CitedItem(GUNS, True), ("S9", "harm"): CitedItem(HARM, True),
         ("S10", "nothing"): CitedItem(FRAUD, True)}  # fmt: skip


@pytest.mark.parametrize(("items", "clause"), [
    ((), "2.a"),
    (("nothing",), "2.a"),
    (("fraud",), "3.a"),
    (("nothing", "fraud", "guns", "harm"), "2.b"),
    (("harm", "guns"), "1.a"),
])  # fmt: skip
def test_what_a_rule_is_evidence_of_is_cited_wherever_its_finding_is_told(items, clause):
    rules = WordRules()
    rules.items = items
    world = World(rules=rules)
    world.snapshot = replace(
        world.snapshot, default_model=(model := replace(world.snapshot.default_model, citations=CITED)),
        models={"tiny": model},
    )  # fmt: skip
    asked = world.exchange("please FORBIDDEN")
    refusal = walk(asked, STEPS)
    assert (refusal.code.value, refusal.license, refusal.clause, refusal.category) == ("aup", "llama-2", clause, "S9")
    answered = world.exchange("hello")
    assert walk(answered, STEPS) is None
    screen = OutputScreen(answered)
    screen.feed((0, "content"), "so FORBIDDEN")
    screen.finish((0, "content"))
    screen.close()
    assert screen.blocked(0).clause == clause
    for exchange in (asked, answered):
        told = facts(exchange, verdict(exchange), Ending.REFUSED)
        assert told["refused"]["clause"] == clause
        assert [(found["clause"], found["action"]) for found in told["findings"]] == [(clause, "block")]
