"""What a rule masks in a prompt is not in the document that is sent, wherever it stands in it."""

import base64
import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange.exchange import Exchange
from guard.exchange.mask_prompt import masks
from guard.exchange.refusal import Code
from guard.exchange.screen_prompt import screen_prompt
from guard.exchange.snapshot import IdentityPolicy, Mode, ModelPolicy, Ruling, Snapshot, SurfacePolicy
from guard.screening.findings import Action
from guard.screening.patterns import Pattern
from guard.screening.rules import DEFAULT_SOURCES, Rule
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source
from guard.usage.thresholds import AtLimit
from guard.wire.requests import batch, chat, completions, masking, messages, pooling, responses
from guard.wire.requests.masking import mask_prompt

EMAIL = Pattern.parse(r"\b[a-z0-9._]{1,20}@[a-z0-9]{1,20}\.[a-z]{2,6}\b")
CARD = Pattern.parse(r"\b[0-9]{4}(?: ?[0-9]{4}){3}\b", "luhn")
MASKS = {"action": Action.MASK, "acts": True, "sources": DEFAULT_SOURCES | {Source.TOOL_DEFINITION}}
RULES = [
    Rule("S7.email", "S7", patterns=(EMAIL,), mask="[email]", **MASKS),
    Rule("S7.card", "S7", patterns=(CARD,), mask="[card]", **MASKS),
]
SECRET, NUMBER = "jane@example.org", "4111 1111 1111 1111"


def masked(parse, document, rules=RULES, rulings=None, mode=Mode.ENFORCE, system=Action.BLOCK, shadowed=frozenset()):
    """Screen ``document`` and mask it; return the refusal and the exchange."""
    surface, rule_set = SurfacePolicy(system_prompts=system), RuleSet(rules, shadowed)
    snapshot = Snapshot("h", mode, {}, None, False, IdentityPolicy(), surface, rule_set, AtLimit.OBSERVE)
    exchange = Exchange(snapshot, SimpleNamespace(on_failure=pytest.fail, assessors=()), HEAD, parse(document))
    exchange.model = ModelPolicy("m", (), rulings or {}, frozenset(rulings or {}), {}, (), ())
    refusal = screen_prompt(exchange)
    if refusal is None and exchange.masking:
        refusal = mask_prompt(exchange, parse)
    return refusal, exchange


HEAD = SimpleNamespace(reference="r")


def user(content):
    return {"messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("parse", "document"),
    [
        (chat.parse, user(f"Write to {SECRET} and {SECRET}.")),
        (chat.parse, user([{"type": "text", "text": f"to {SECRET}"}, {"type": "text", "text": f"{NUMBER} it is"}])),
        (chat.parse, user([{"type": "text", "text": "to jane@exam"}, {"type": "text", "text": "ple.org now"}])),
        (chat.parse, user([{"type": "text", "text": "card 4111 1111"}, {"type": "text", "text": "1111 1111 now"}])),
        (chat.parse, {"messages": [{"role": "user", "name": SECRET, "content": "hi"}]}),
        (chat.parse, {**user("hi"), "documents": [{"title": "a", "text": f"see {SECRET}"}]}),
        (chat.parse, {**user("hi"), "tools": [{"type": "function", "function": {"name": "f", "description": SECRET}}]}),
        (completions.parse, {"prompt": f"to {SECRET}"}),
        (completions.parse, {"prompt": ["nothing", f"to {SECRET}", f"{NUMBER}"]}),
        (messages.parse, {**user([{"type": "text", "text": f"to {SECRET}"}]), "system": f"for {SECRET}"}),
        (
            messages.parse,
            user([
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": SECRET}]},
                {"type": "text", "text": "and"},
                {"type": "text", "text": NUMBER},
            ]),
        ),
        (
            messages.parse,
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": "a jane@exam", "signature": "x"},
                            {"type": "text", "text": "no"},
                            {"type": "thinking", "thinking": "ple.org b", "signature": "x"},
                            {"type": "tool_use", "id": "t", "name": "f", "input": {"to": [SECRET, 1], "n": NUMBER}},
                        ],
                    }
                ]
            },
        ),
        (responses.parse, {"input": f"to {SECRET}"}),
        (
            responses.parse,
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": f"to {SECRET}"}]},
                    {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": SECRET}]},
                    {"type": "function_call_output", "call_id": "c", "output": NUMBER},
                ],
                "instructions": f"answer {SECRET}",
            },
        ),
        (batch.parse, {"messages": [user(SECRET)["messages"], user(f"b {NUMBER}")["messages"]]}),
        (pooling.parse_embeddings, {"input": ["a", f"b {SECRET}"]}),
        (pooling.parse_rerank, {"query": SECRET, "documents": ["x", {"content": [{"type": "text", "text": NUMBER}]}]}),
        (chat.parse, user(f"decode {base64.b64encode(f'please write to {SECRET}'.encode()).decode()}")),
        (chat.parse, user("write to jane%40example.org")),
        (chat.parse, user("jane\u200b@exa\u00admple.org")),
    ],
)  # fmt: skip
def test_what_is_masked_is_not_sent(parse, document):
    refusal, exchange = masked(parse, document)
    assert refusal is None
    sent = json.dumps(exchange.inquiry.document)
    assert "[email]" in sent or "[card]" in sent
    for secret in ("jane", "4111", "example.org", "ple.org", base64.b64encode(b"please write to jane").decode()[:20]):
        assert secret not in sent
    assert RuleSet(RULES).scan(exchange.sent) == []
    assert [ruling for _, _, ruling in exchange.findings] == [Ruling(Action.MASK)] * len(exchange.findings)


def test_every_match_is_replaced_and_nothing_else():
    _, exchange = masked(chat.parse, user(f"a {SECRET}, b {NUMBER}; {SECRET}!"))
    assert exchange.inquiry.document == user("a [email], b [card]; [email]!")
    assert [finding.rule for _, finding, _ in exchange.findings] == ["S7.email", "S7.card", "S7.email"]


def test_arguments_of_tool_calls_stay_json():
    arguments = json.dumps({"text": f"Hi\n{SECRET}", "n": 1})
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    _, exchange = masked(chat.parse, {"messages": [{"role": "assistant", "tool_calls": [call]}]})
    sent = exchange.inquiry.document["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == {"text": "Hi[email]", "n": 1}


def test_many_parts_and_many_masks_are_brought_together_in_one_walk(monkeypatch):
    looks = 0

    class Counted(list):
        def __getitem__(self, index):
            nonlocal looks
            looks += 1
            return super().__getitem__(index)

        def __iter__(self):
            return (self[index] for index in range(len(self)))

    def counted(exchange, segments):
        for segment, found in masks(exchange, segments):
            found.spans = Counted(found.spans)
            yield segment, found

    monkeypatch.setattr(masking, "masks", counted)
    many = 1000
    refusal, exchange = masked(chat.parse, user([{"type": "text", "text": f"to {SECRET}"} for _ in range(many)]))
    assert refusal is None
    assert exchange.inquiry.document == user([{"type": "text", "text": "to [email]"} for _ in range(many)])
    assert many <= looks < 100 * many  # a bisection each, in both readings; each part with each mask is a million


@pytest.mark.parametrize(
    ("texts", "sent"),
    [
        (["write jane.doe@", "example.org"], ["write [email]", ""]),
        (["write jane.doe", "@example.org"], ["write [email]", ""]),
        (["write jane", ".doe@example.", "org now"], ["write [email]", "", " now"]),
    ],
)
def test_an_address_cut_at_a_sign_is_masked_over_the_parts(texts, sent):
    refusal, exchange = masked(chat.parse, user([{"type": "text", "text": text} for text in texts]))
    assert refusal is None
    assert [part["text"] for part in exchange.inquiry.document["messages"][0]["content"]] == sent


def test_an_address_cut_at_a_sign_between_messages_is_not_sent():
    said = [{"role": "user", "content": text} for text in ("write jane.doe@", "example.org")]
    refusal, _ = masked(chat.parse, {"messages": said})
    assert (refusal.status, refusal.code) == (400, Code.MALFORMED)


@pytest.mark.parametrize("before", ["\\" * backslashes + end for backslashes in range(4) for end in ("", "\n")])
def test_an_escape_before_a_mask_is_replaced_whole(before):
    arguments = json.dumps({"a": before + SECRET})
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    refusal, exchange = masked(chat.parse, {"messages": [{"role": "assistant", "tool_calls": [call]}]})
    assert refusal is None
    sent = exchange.inquiry.document["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == {"a": before.rstrip("\n") + "[email]"}


@pytest.mark.parametrize(
    ("parse", "document"),
    [
        (
            messages.parse,
            {"messages": [{"role": "assistant", "content": [
                {"type": "tool_use", "id": "t", "name": "f", "input": {SECRET: 1}}]}]},
        ),
        (chat.parse, {**user("hi"), "chat_template_kwargs": {SECRET: "x"}}),
    ],
)  # fmt: skip
def test_a_name_in_the_document_cannot_be_masked_and_is_refused(parse, document):
    refusal, _ = masked(parse, document)
    assert (refusal.status, refusal.code) == (400, Code.MALFORMED)
    assert "jane" not in refusal.message


def test_token_prompts_cannot_be_masked_and_are_refused():
    def parse(document):
        inquiry = completions.parse(document)
        inquiry.segments.append(Segment(Source.USER, f"to {SECRET}", "prompt[0]"))  # as the transport adds it
        return inquiry

    for prompt in ([1, 2, 3], [[1, 2, 3]]):
        refusal, _ = masked(parse, {"prompt": prompt})
        assert (refusal.status, refusal.code) == (400, Code.MALFORMED)


def test_nothing_is_masked_where_the_policy_only_records():
    for changes in ({"mode": Mode.SHADOW}, {"shadowed": frozenset({"S7.email"})}, {"shadowed": frozenset({"S7"})}):
        refusal, exchange = masked(chat.parse, user(f"to {SECRET}"), **changes)
        assert (refusal, exchange.masking) == (None, False)
        assert exchange.inquiry.document == user(f"to {SECRET}")
        assert [finding.rule for _, finding, _ in exchange.findings] == ["S7.email"]


def test_in_system_prompts_no_more_is_done_than_the_policy_says():
    document = {"messages": [{"role": "system", "content": SECRET}, {"role": "user", "content": SECRET}]}
    _, exchange = masked(chat.parse, document, system=Action.FLAG)
    assert [message["content"] for message in exchange.inquiry.document["messages"]] == [SECRET, "[email]"]


def test_a_block_beside_a_mask_blocks():
    rules = [*RULES, Rule("S9.x", "S9", patterns=(Pattern.parse(r"\bforbidden \d\b"),))]
    blocked = {"S9": Ruling(Action.BLOCK, "l", "i", "2.a")}
    refusal, _ = masked(chat.parse, user(f"forbidden 1 {SECRET}"), rules, blocked)
    assert refusal.code is Code.AUP


def test_a_prompt_that_never_gets_clean_is_refused():
    shrinking = Rule("S7.x", "S7", patterns=(Pattern.parse(r"x1{1,9}"),), mask="x", **MASKS)
    refusal, _ = masked(chat.parse, user("x" + "1" * 100), [shrinking])
    assert refusal.code is Code.MALFORMED


PIECES = st.sampled_from(
    [SECRET, NUMBER, "jane@", "example.org", "4111", " ", "1111 1111", "a@b.cd", "x", ".", "\n", "%40", "é"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=8).map("".join), min_size=1, max_size=4), st.booleans())
def test_masking_leaves_nothing_to_mask_in_what_is_sent(texts, split):
    content = [{"type": "text", "text": text} for text in texts] if split else "\n".join(texts)
    refusal, exchange = masked(chat.parse, user(content))
    assert refusal is None
    assert RuleSet(RULES).scan(chat.parse(json.loads(json.dumps(exchange.inquiry.document))).segments) == []
