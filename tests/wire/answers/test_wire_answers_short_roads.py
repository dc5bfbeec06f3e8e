"""Short roads: what most answers are is read with less work, and comes out as it does by the long road."""

import contextlib
import json
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wire_events import DONE, HEAD, chunk
from wire_toy_gate import ToyGate

from guard.exchange.inquiry import Inquiry
from guard.wire import surfaces
from guard.wire.answers import chat, choices, completions, plain_choices
from guard.wire.dialect import GarbledAnswer

CHAT, COMPLETION = surfaces.SURFACES["/v1/chat/completions"], surfaces.SURFACES["/v1/completions"]
WORDS, MASKS = ("ricin",), ("secret",)

texts = st.lists(
    st.sampled_from(
        ["ricin", "ri", "cin", "secret", "sec", "ret", " ", '"', "\\", "\n", "}", '"}}\n\ndata: ', "ä", "😀", "a"]
    ),
    max_size=8,
).map("".join)
"""With words that are blocked or masked, halves of them, and what JSON and events have to escape."""


def gate(*, receipts: bool = False) -> ToyGate:
    return ToyGate(*WORDS, masks=MASKS, receipts=receipts)


# Answers that are not streamed.

maybe = st.none() | texts
plain_messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": maybe},
    optional={
        "reasoning": maybe,
        "reasoning_content": maybe,
        "refusal": st.none(),
        "tool_calls": st.just([]),
        "annotations": st.none(),
        "audio": st.none(),
    },
)
odd_messages = st.fixed_dictionaries(
    {"content": maybe},
    optional={
        "refusal": texts,
        "tool_calls": st.just([{"id": "a", "type": "function", "function": {"name": "f", "arguments": "ricin"}}]),
        "annotations": st.just([{"title": "ricin"}]),
        "unheard": st.just("ricin"),
    },
)
endings = {
    "finish_reason": st.sampled_from([None, "stop", ""]),
    "stop_reason": st.sampled_from([None, 7, "ricin"]),
    "token_ids": st.sampled_from([None, [1]]),
    "logprobs": st.none(),
    "routed_experts": st.sampled_from([None, "eA=="]),
    "guard": st.just({"receipt": "made up"}),
    "unheard": st.just("ricin"),
}
chat_choices = st.fixed_dictionaries({"message": plain_messages | odd_messages}, optional=endings)
completion_choices = st.fixed_dictionaries({"text": texts}, optional=endings)
around_choices = st.fixed_dictionaries(
    {"id": st.just("chatcmpl-9d688d84f6b047b7")},
    optional={
        "usage": st.sampled_from([None, {}, {"prompt_tokens": 3, "completion_tokens": 4, "details": {"cached": 1}}]),
        "kv_transfer_params": st.just({"k": [1]}),
        "system_fingerprint": st.none(),
        "guard_notices": st.just(["made up"]),
    },
)


def by_either_road(surface: surfaces.Surface, document: Any, written: bytes, *, receipts: bool) -> None:
    """Screen an answer by the short road and by the long one, and see that nothing differs."""
    module: Any = chat if surface is CHAT else completions
    inquiry, short, long = Inquiry("any", {}, "tiny"), gate(receipts=receipts), gate(receipts=receipts)
    screened = surface.screen(inquiry, written, short)
    answer = module.screen_answer(inquiry, document, long)
    assert screened.body.startswith(b"{")
    assert json.loads(screened.body) == answer
    assert screened.answered == module.answered(answer)
    assert (short.texts, short.clear, short.hit, short.masked) == (long.texts, long.clear, long.hit, long.masked)


@settings(max_examples=300)
@given(st.data(), around_choices, st.sampled_from([CHAT, COMPLETION]), st.booleans(), st.sampled_from([None, 2]))
def test_an_answer_leaves_by_the_short_road_as_by_the_long_one(data, around, surface, receipts, indent):
    choice = chat_choices if surface is CHAT else completion_choices
    found = [{"index": at, **each} for at, each in enumerate(data.draw(st.lists(choice, min_size=1, max_size=3)))]
    document = {**around, "choices": found}
    by_either_road(surface, document, json.dumps(document, indent=indent).encode(), receipts=receipts)


def test_a_plain_answer_of_which_nothing_is_taken_leaves_as_it_came():
    written = b' {"choices": [ {"index": 0, "message": {"content": "harmless"}, "finish_reason": "stop"} ]}\n'.lstrip()
    assert CHAT.screen(Inquiry("chat", {}, "tiny"), written, gate()).body == written


def test_an_answer_with_a_receipt_keeps_every_member_that_came():
    written = (
        b'{"id":"x","choices":[{"index":0,"message":{"content":"a","refusal":null},"logprobs":null}],"usage":null}'
    )
    [choice] = (left := json.loads(CHAT.screen(Inquiry("chat", {}, "tiny"), written, gate(receipts=True)).body))[
        "choices"
    ]
    assert choice.pop("guard") == {"receipt": "r-ref-1-0"}
    assert left == json.loads(written)


def test_the_short_road_knows_the_keys_that_the_long_one_knows():
    for known, answer, choice in (
        (chat.WHOLE, plain_choices.ChatAnswer, plain_choices.ChatChoice),
        (completions.WHOLE, plain_choices.Answer, plain_choices.CompletionChoice),
    ):
        assert set(answer.__struct_fields__) == set(known)
        assert set(choice.__struct_fields__) - {"guard"} == set(known["choices"])
    assert set(plain_choices.Message.__struct_fields__) == set(chat.WHOLE["choices"]["message"])


@pytest.mark.parametrize(
    "written", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"choices":[{}]}', b'{"choices":"a"}']
)
def test_what_is_no_answer_is_garbled_by_either_road(written):
    with pytest.raises(GarbledAnswer):
        CHAT.screen(Inquiry("chat", {}, "tiny"), written, gate())


# Streams.

told = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["content", "reasoning", "reasoning_content"]), texts), max_size=12
)
"""Pieces: a choice, the key of its text, and the piece."""


def events(pieces: list[tuple[int, str, str]], *, spaced: bool) -> list[bytes]:
    found = [chunk(choice, {key: piece}) for choice, key, piece in pieces]
    found += [chunk(choice, {}, "stop") for choice in range(3)]
    usage = json.dumps({**HEAD, "choices": [], "usage": {"prompt_tokens": 1}}).encode()
    found.insert(len(found) // 2, b"data: " + usage + b"\n\n")
    if spaced:
        found = [b"data: " + json.dumps(json.loads(event[6:])).encode() + b"\n\n" for event in found]
    return [*found, DONE]


def streamed(
    reads: list[bytes], most: int, *, receipts: bool, surface: surfaces.Surface = CHAT
) -> tuple[list[bytes], Any, Any]:
    """Feed a stream; return what left at each read, what it held, and what the gate heard."""
    heard = gate(receipts=receipts)
    with mock.patch.object(choices, "MOST", most):
        stream = surface.open_stream(Inquiry("chat", {}, "tiny", stream=True, choices=3), heard)
        left = [stream.feed(read) for read in reads if not stream.closed]
        if not stream.closed:
            left.append(stream.finish())
    return left, stream.answered(), (heard.texts, heard.clear, heard.masked)


@settings(max_examples=300)
@given(told, st.booleans(), st.lists(st.integers(0, 4000), max_size=6), st.integers(1, 4), st.booleans())
@example([(0, "content", "a")] * 6, False, [], 1, False)
@example([(0, "content", "ric"), (0, "content", "ric"), (0, "content", "in")], True, [], 1, False)
def test_events_that_are_alike_leave_as_if_each_had_been_read(pieces, spaced, cuts, together, receipts):
    said = events(pieces, spaced=spaced)
    reads = [b"".join(said[at : at + together]) for at in range(0, len(said), together)]
    whole = b"".join(said)
    if cuts:  # anywhere
        edges = [0, *sorted(cut % len(whole) for cut in cuts), len(whole)]
        reads = [whole[low:high] for low, high in pairwise(edges)]
    assert streamed(reads, choices.MOST, receipts=receipts) == streamed(reads, 0, receipts=receipts)


@settings(max_examples=100)
@given(st.lists(texts, max_size=8), st.booleans())
@example(["ric", "ric", "in"], True)
def test_completions_that_are_alike_leave_as_if_each_had_been_read(pieces, receipts):
    rest = {"logprobs": None, "stop_reason": None, "token_ids": None}
    told = [{"index": 0, "text": piece, **rest, "finish_reason": None} for piece in pieces]
    told.append({"index": 0, "text": "", **rest, "finish_reason": "stop"})
    said = [b"data: " + json.dumps({**HEAD, "choices": [each]}).encode() + b"\n\n" for each in told]
    short = streamed([*said, DONE], choices.MOST, receipts=receipts, surface=COMPLETION)
    assert short == streamed([*said, DONE], 0, receipts=receipts, surface=COMPLETION)


def test_only_what_changes_from_event_to_event_is_read():
    stream = CHAT.open_stream(Inquiry("chat", {}, "tiny", stream=True), gate())
    alike = [chunk(0, {"content": piece}) for piece in ("one ", "two ", "three ", 'four "', "\\n five")]
    with mock.patch.object(chat.ChatStream, "decoder", mock.Mock(wraps=chat.ChatStream.decoder)) as decoder:
        assert b"".join(map(stream.feed, alike)) == b"".join(alike)
    assert decoder.decode.call_count == 3  # the first, the second, and the trial of what may change


BASE = chunk(0, {"content": "harmless"})


@pytest.mark.parametrize(
    "event",
    [
        BASE.replace(b'"harmless"', b'"ri\\u0063in"'),
        BASE.replace(b'"harmless"', b'"a","refusal":"ricin"'),
        BASE.replace(b'"harmless"', b'"a","content":"ricin"'),
        BASE.replace(b'"harmless"', b'"a\\"ricin"'),
        BASE.replace(b'"harmless"', b'"a"') + BASE.replace(b'"harmless"', b'"ricin"'),
    ],
)
def test_no_event_passes_for_one_that_is_alike(event):
    stream = CHAT.open_stream(Inquiry("chat", {}, "tiny", stream=True), gate())
    out = b"".join(stream.feed(BASE) for _ in range(3))
    out += stream.feed(event)
    assert b"content_filter" in out
    assert b"cin" not in out


@pytest.mark.parametrize("string", [b'"a\nb"', b'"\xff"', b'"\\ud800"', b'"a" "b"', b'"', b""])
def test_an_event_with_no_string_where_the_string_was_is_read_in_full(string):
    event = BASE.replace(b'"harmless"', string)
    short, long = [], []
    for out, most in ((short, choices.MOST), (long, 0)):
        with mock.patch.object(choices, "MOST", most):
            stream = CHAT.open_stream(Inquiry("chat", {}, "tiny", stream=True), gate())
            out += [stream.feed(BASE) for _ in range(3)]
            try:
                out.append(stream.feed(event))
            except GarbledAnswer as error:
                out.append(str(error))
            with contextlib.suppress(GarbledAnswer):
                out.append(stream.finish())
    assert short == long


# A key that is there twice: one of the two was screened, and nobody knows which one a client reads.

TWICE = [
    b'"content":"ricin","content":"ok"',
    b'"content":"ok","\\u0063ontent":"ricin"',
    b'"content":"ok","refusal":null,"refusal":null',
]


@pytest.mark.parametrize("members", TWICE)
def test_a_key_that_is_there_twice_leaves_once_in_a_whole_answer(members):
    raw = b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant",' + members + b'},"finish_reason":"stop"}]}'
    left = CHAT.screen(Inquiry("chat", {}, None), raw, gate()).body
    assert b"ok" not in left or b"ricin" not in left
    assert left.count(b'"content"') + left.count(b'"refusal"') == len(json.loads(left)["choices"][0]["message"]) - 1


@pytest.mark.parametrize("members", TWICE)
@pytest.mark.parametrize("before", [0, 3])
def test_a_key_that_is_there_twice_leaves_once_in_an_event(members, before):
    plain = chunk(0, {"content": "said "})
    event = b'data: {"id":"c","choices":[{"index":0,"delta":{' + members + b"}}]}\n\n"
    stream = CHAT.open_stream(Inquiry("chat", {"stream": True}, None, stream=True), gate())
    left = b"".join(stream.feed(each) for each in [*[plain] * before, event, DONE])
    assert b"ok" not in left or b"ricin" not in left
    assert left.count(b'"content"') <= before + 1


def test_a_choice_that_is_there_twice_leaves_once():
    one = '{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}'
    raw = f'{{"id":"c","choices":[{one % "ricin"}],"choices":[{one % "ok"}]}}'.encode()
    assert b"ricin" not in CHAT.screen(Inquiry("chat", {}, None), raw, gate()).body
