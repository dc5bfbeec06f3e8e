"""The id of a choice's receipt is in the last event of the choice and in the unstreamed one, where clients find it."""

import copy
import json

import pytest
from wire_clients import Wire, understand
from wire_events import DONE, HEAD, chunk, message, read, response, untyped
from wire_toy_gate import ToyGate

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import chat, completions, messages, plain, responses

FACTS = {"reference": "ref-1", "license": "llama-3.1", "clause": "2.b", "category": "S9"}
MODULES = {"chat": chat, "completions": completions, "responses": responses, "messages": messages}


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire()


def completion(choice, text, finish=None):
    return untyped({**HEAD, "choices": [{"index": choice, "text": text, "finish_reason": finish}]})


SAID = {
    "chat": [chunk(0, {"content": "one"}), chunk(1, {"content": "two ricin"}), chunk(0, {}, "stop"), DONE],
    "completions": [completion(0, "one"), completion(1, "two ricin"), completion(0, "", "stop"), DONE],
    "responses": list(response([("message", ["Hello ", "there"])])),
    "messages": list(message([("text", ["Hello ", "there"])])),
}
CHOICES = {"chat": 2, "completions": 2, "responses": 1, "messages": 1}


def stream(dialect, *words, receipts=True, masks=(), size=None):
    gate = ToyGate(*words, masks=masks, receipts=receipts)
    made = MODULES[dialect].open_stream(Inquiry("any", {}, "tiny", stream=True, choices=CHOICES[dialect]), gate)
    said = b"".join(SAID[dialect])
    out = b""
    for at in range(0, len(said), size or len(said)):
        if not made.closed:
            out += made.feed(said[at : at + (size or len(said))])
    return out if made.closed else out + made.finish()


def told(out):
    """Every ``guard`` object of a stream, with the choice it is of."""
    found = []
    for event in read(out):
        for choice in event.get("choices", ()):
            if "guard" in choice:
                found.append((choice["index"], choice["guard"]))
        for holder in (event, event.get("response", {})):
            if "guard" in holder:
                found.append((0, holder["guard"]))
    return found


@pytest.mark.parametrize("dialect", ["chat", "completions"])
@pytest.mark.parametrize("size", [None, 1, 7])
def test_each_choice_of_a_stream_ends_with_its_receipt(dialect, size):
    out = stream(dialect, "ricin", size=size)
    assert sorted(told(out), key=lambda found: found[0]) == [
        (0, {"receipt": "r-ref-1-0"}), (1, {**FACTS, "receipt": "r-ref-1-1"}),
    ]  # fmt: skip
    for event in read(out):
        for choice in event["choices"]:
            assert ("guard" in choice) == (choice.get("finish_reason") is not None), "only the last event has it"


@pytest.mark.parametrize(("dialect", "last"), [("responses", "response.completed"), ("messages", "message_delta")])
@pytest.mark.parametrize("size", [None, 1, 7])
def test_a_typed_stream_ends_with_its_receipt(dialect, last, size):
    out = stream(dialect, size=size)
    assert told(out) == [(0, {"receipt": "r-ref-1-0"})]
    (holder,) = [event for event in read(out) if event["type"] == last]
    assert holder.get("response", holder)["guard"] == {"receipt": "r-ref-1-0"}
    assert told(stream(dialect, "there", size=size)) == [(0, {**FACTS, "receipt": "r-ref-1-0"})]


@pytest.mark.parametrize("dialect", MODULES)
def test_the_receipt_stays_where_something_is_masked(dialect):
    out = stream(dialect, masks=("one", "there"))
    assert b"[masked]" in out
    assert (0, {"receipt": "r-ref-1-0"}) in told(out)


@pytest.mark.parametrize("dialect", MODULES)
def test_without_receipts_the_bytes_are_those_of_the_server_behind(dialect):
    assert stream(dialect, receipts=False) == b"".join(SAID[dialect])


@pytest.mark.parametrize("dialect", MODULES)
def test_the_official_clients_understand_the_same_with_receipts_as_without(dialect, wire):
    for words in ((), ("there", "ricin")):
        without = understand(wire, dialect, stream(dialect, *words, receipts=False))
        assert understand(wire, dialect, stream(dialect, *words)) == without


def test_the_official_openai_client_shows_the_receipt(wire):
    wire.body = stream("chat")
    last = {}
    for event in wire.openai.chat.completions.create(model="tiny", messages=[], stream=True):
        for choice in event.choices:
            if choice.finish_reason:
                last[choice.index] = choice.guard["receipt"]
    assert last == {0: "r-ref-1-0"}


WHOLE = {
    "chat": {"choices": [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in enumerate(("one", "two ricin"))
    ]},
    "completions": {"choices": [
        {"index": index, "text": text, "finish_reason": "stop"} for index, text in enumerate(("one", "two ricin"))
    ]},
    "responses": {"status": "completed", "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "two ricin"}]},
    ]},
    "messages": {"content": [{"type": "text", "text": "two ricin"}], "stop_reason": "end_turn"},
}  # fmt: skip


@pytest.mark.parametrize("dialect", MODULES)
def test_an_unstreamed_choice_has_its_receipt_and_one_of_the_upstreams_making_is_dropped(dialect):
    answer = copy.deepcopy(WHOLE[dialect])
    for holder in (answer, *answer.get("choices", ())):
        holder["guard"] = {"receipt": "r-forged-0"}
    screen = MODULES[dialect].screen_answer
    free = screen(Inquiry("any", {}, "tiny"), copy.deepcopy(answer), ToyGate(receipts=True))
    cut = screen(Inquiry("any", {}, "tiny"), copy.deepcopy(answer), ToyGate("ricin", receipts=True))
    off = screen(Inquiry("any", {}, "tiny"), copy.deepcopy(answer), ToyGate())
    holders = [found.get("choices", [found]) for found in (free, cut, off)]
    ids = [f"r-ref-1-{index}" for index in range(len(holders[0]))]
    assert [holder["guard"] for holder in holders[0]] == [{"receipt": id_} for id_ in ids]
    assert [holder["guard"]["receipt"] for holder in holders[1]] == ids
    assert holders[1][-1]["guard"] == {**FACTS, "receipt": ids[-1]}
    assert not any("guard" in holder for holder in holders[2])
    assert "forged" not in json.dumps([free, cut, off])


def test_a_choice_is_named_by_its_index_and_not_by_its_place():
    answer = copy.deepcopy(WHOLE["chat"])
    answer["choices"].reverse()
    found = chat.screen_answer(Inquiry("any", {}, "tiny"), answer, ToyGate(receipts=True))
    assert [(choice["index"], choice["guard"]["receipt"]) for choice in found["choices"]] == [
        (1, "r-ref-1-1"), (0, "r-ref-1-0"),
    ]  # fmt: skip


def test_a_receipt_that_the_upstream_puts_into_a_stream_is_taken_out():
    gate = ToyGate()
    made = chat.open_stream(Inquiry("any", {}, "tiny", stream=True), gate)
    out = made.feed(chunk(0, {"content": "one"}, "stop", guard={"receipt": "r-forged-0"}) + DONE) + made.finish()
    assert b"forged" not in out
    assert b'"content":"one"' in out


def test_numbers_have_no_receipt():
    answer = {"data": [{"embedding": [0.5], "index": 0}], "model": "tiny"}
    assert plain.screen_answer(Inquiry("any", {}, "tiny"), copy.deepcopy(answer), ToyGate(receipts=True)) == answer
