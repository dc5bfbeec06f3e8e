"""Masked words: the rest of the answer leaves as it is, whole or streamed, cut anywhere, in every place that tells it."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_events import DONE, chunk, delta, message, read, response, tokens
from wire_toy_gate import MASK, ToyGate

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import chat, completions, messages, plain, responses

MASKS = ("abc", "ca!")
INQUIRY = Inquiry("any", {}, "tiny", stream=True)
texts = st.text("abc! ", min_size=1, max_size=14)
quick = settings(max_examples=50, deadline=None)


def cut(data: st.DataObject, text: str) -> list[str]:
    marks = sorted(data.draw(st.sets(st.integers(1, len(text) - 1)))) if len(text) > 1 else []
    return [text[start:end] for start, end in zip([0, *marks], [*marks, len(text)], strict=True)]


def run(module: Any, said: list[bytes], *words: str) -> bytes:
    stream = module.open_stream(INQUIRY, ToyGate(*words, masks=MASKS))
    return b"".join(stream.feed(piece) for piece in said) + (b"" if stream.closed else stream.finish())


def whole(module: Any, answer: dict[str, Any], *words: str) -> dict[str, Any]:
    return module.screen_answer(INQUIRY, copy.deepcopy(answer), ToyGate(*words, masks=MASKS))


def masked(text: str) -> str:
    """What the toy gate makes of ``text``: every character in a word goes, a mask stands where a word begins."""
    spans = [(at, at + len(word)) for word in MASKS for at in range(len(text)) if text.startswith(word, at)]
    inside = {place for low, high in spans for place in range(low, high)}
    begins = {low for low, _ in spans}
    return "".join(MASK if at in begins else "" if at in inside else letter for at, letter in enumerate(text))


NAMES = ("reasoning", "content", "refusal", "tool.0.arguments", "tool.1.arguments")


@quick
@given(st.lists(texts, min_size=1, max_size=5), st.data())
def test_chats(told, data):
    story = list(zip(NAMES, told, strict=False))
    said = [chunk(0, {"role": "assistant"})]
    said += [chunk(0, delta(name, piece)) for name, text in story for piece in cut(data, text)]
    said += [chunk(0, {}, "stop"), DONE]
    heard: dict[str, str] = {}
    *events, last = read(run(chat, said))
    for event in (*events, last):
        [choice] = event["choices"]
        texts = {key: text for key, text in choice["delta"].items() if key in {"reasoning", "content", "refusal"}}
        for call in choice["delta"].get("tool_calls") or ():
            texts[f"tool.{call['index']}.arguments"] = call["function"]["arguments"]
        for name, text in texts.items():
            heard[name] = heard.get(name, "") + (text or "")
    assert {name: text for name, text in heard.items() if text} == {name: masked(text) for name, text in story}
    assert last["choices"][0]["finish_reason"] == "stop"

    calls = [{"id": "call_0d9bce11e14450b1", "type": "function", "function": {"name": "f", "arguments": text}} for name, text in story if name.startswith("tool")]  # fmt: skip
    reply = {"role": "assistant", **{name: text for name, text in story if "tool" not in name}, "tool_calls": calls}
    answer = {"choices": [{"index": 0, "message": reply, "logprobs": None, "finish_reason": "stop"}]}
    [choice] = whole(chat, answer)["choices"]
    for number, (name, text) in enumerate(story):
        told_whole = choice["message"][name] if number < 3 else choice["message"]["tool_calls"][number - 3]["function"]["arguments"]  # fmt: skip
        assert told_whole == masked(text)


@quick
@given(texts, st.data())
def test_tokens_in_logprobs_leave_only_beside_what_leaves(text, data):
    said = [chunk(0, {"content": piece}, logprobs=tokens(*cut(data, piece))) for piece in cut(data, text)]
    content, spelled = "", []
    for event in read(run(chat, [*said, chunk(0, {}, "stop"), DONE])):
        [choice] = event["choices"]
        content += choice["delta"].get("content") or ""
        spelled += [entry["token"] for entry in (choice["logprobs"] or {}).get("content") or ()]
    assert content == masked(text)
    rest = masked(text)
    for token in spelled:
        assert token in rest
        rest = rest[rest.index(token) + len(token) :]
    if masked(text) == text:
        assert "".join(spelled) == text


@quick
@given(texts, texts, st.data())
def test_messages(thought, text, data):
    blocks = [("thinking", cut(data, thought)), ("text", cut(data, text)), ("tool_use", cut(data, json.dumps([text])))]
    heard = ["", "", ""]
    for event in read(run(messages, [*message(blocks)])):
        if event["type"] == "content_block_delta":
            heard[event["index"]] += next(value for key, value in event["delta"].items() if key != "type")
    assert heard == [masked(thought), masked(text), masked(json.dumps([text]))]

    content = [
        {"type": "thinking", "thinking": thought, "signature": "0d9bce11e14450b1"},
        {"type": "text", "text": text, "citations": [{"cited_text": "x abc"}]},
        {"type": "tool_use", "id": "toolu_0d9bce11e14450b1", "name": "abc", "input": {"said": [text]}},
    ]
    answer = whole(messages, {"content": content, "stop_reason": "end_turn", "stop_sequence": "!abc"})
    first, second, third = answer["content"]
    assert first == {**content[0], "thinking": masked(thought)}
    assert second == {"type": "text", "text": masked(text), "citations": None}
    assert third == {**content[2], "name": MASK, "input": {"said": [masked(text)]}}
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", f"!{MASK}")


@quick
@given(texts, texts, st.data())
def test_responses(thought, text, data):
    items = [("reasoning", cut(data, thought)), ("message", cut(data, text)), ("function_call", cut(data, f'"{text}"'))]
    events = read(run(responses, [*response(items)]))
    expected = [masked(thought), masked(text), masked(f'"{text}"')]
    heard = ["", "", ""]
    for event in events:
        if event["type"].endswith(".delta"):
            heard[event["output_index"]] += event["delta"]
        elif event["type"].endswith(("_text.done", "_arguments.done")):
            assert (event.get("text") or event.get("arguments")) == expected[event["output_index"]]
        elif event["type"] == "response.content_part.done":
            assert event["part"]["text"] == expected[event["output_index"]]
    final = events[-1]["response"]["output"]
    assert heard == [said(item) for item in final] == expected
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == final

    output = [
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": thought}]},
        {"type": "message", "content": [{"type": "output_text", "text": text, "annotations": [{"title": "abc"}]}]},
        {"type": "function_call", "name": "abc", "arguments": f'"{text}"', "call_id": "abc"},
        {"type": "custom_tool_call", "name": "f", "input": text},
        {"type": "web_search_call", "action": {"query": "abc"}},
    ]
    found = whole(responses, {"output": output, "output_messages": [{"message": "abc"}], "status": "completed"})
    assert found["status"] == "completed"
    assert "output_messages" not in found
    assert [said(item) for item in found["output"][:3]] == expected
    assert found["output"][1]["content"][0]["annotations"] == []
    assert found["output"][2]["name"] == found["output"][2]["call_id"] == MASK
    assert found["output"][3]["input"] == masked(text)
    assert "abc" not in str(found)


def said(item: dict[str, Any]) -> str:
    return item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"]


def test_completions():
    columns = {"tokens": ["x", "ab", "c", "y"], "token_logprobs": [-1.0, -2.0, -3.0, -4.0], "text_offset": [0, 1, 3, 4],
               "top_logprobs": [{"x": -1.0}, {"ab": -2.0}, {"c": -3.0}, {"y": -4.0}]}  # fmt: skip
    choice = {"index": 0, "text": "xabcy", "logprobs": columns, "finish_reason": "stop", "stop_reason": "abc", "token_ids": [1]}  # fmt: skip
    [found] = whole(completions, {"choices": [choice], "usage": {"completion_tokens": 4}})["choices"]
    assert (found["text"], found["finish_reason"], found["stop_reason"]) == (f"x{MASK}y", "stop", MASK)
    assert found["token_ids"] is None
    assert found["logprobs"] == {"tokens": ["x", "y"], "token_logprobs": [-1.0, -4.0], "text_offset": [0, 4],
                                 "top_logprobs": [{"x": -1.0}, {"y": -4.0}]}  # fmt: skip


def test_logprobs_go_where_they_spell_what_is_masked_in_another_way():
    """Nothing in them was found, and the text beside them was: nothing tells which tokens those are."""
    columns = {"tokens": ["xa", "b ", "cy"], "token_logprobs": [-1.0, -2.0, -3.0], "text_offset": [0, 1, 3], "top_logprobs": None}  # fmt: skip
    choice = {"index": 0, "text": "xabcy", "logprobs": columns, "finish_reason": "stop"}
    [found] = whole(completions, {"choices": [choice]})["choices"]
    assert (found["text"], found["logprobs"]) == (f"x{MASK}y", None)
    entries = [{"token": token, "bytes": None} for token in columns["tokens"]]
    reply = {"index": 0, "message": {"content": "xabcy"}, "logprobs": {"content": entries}, "finish_reason": "stop"}
    [found] = whole(chat, {"choices": [reply]})["choices"]
    assert (found["message"]["content"], found["logprobs"]) == (f"x{MASK}y", {"content": []})


def test_tokens_that_are_ids_go_with_a_choice_that_is_masked():
    entries = [{"token": "token_id:7", "bytes": None}, {"token": "token_id:8", "bytes": list(b"ok")}]
    for said, left in (("xabcy", [entries[1]]), ("fine", entries)):
        events = [chunk(0, {"content": said}, logprobs={"content": entries}), chunk(0, {}, "stop"), DONE]
        first, *_ = read(run(chat, events))
        assert first["choices"][0]["logprobs"]["content"] == left


@pytest.mark.parametrize("reply", [
    {"reasoning_content": "x abc"},
    {"reasoning": "x abc", "reasoning_content": "x abc"},
    {"reasoning": "fine", "reasoning_content": "x abc"},
    {"function_call": {"name": "x abc", "arguments": "{}"}},
    {"tool_calls": [{"id": "x abc", "type": "function", "function": {"name": "x abc", "arguments": '{"a":"x abc"}'}}]},
    {"content": "hear", "audio": {"id": "audio_1", "transcript": "x abc"}},
    {"content": "see", "annotations": [{"type": "url_citation", "url_citation": {"title": "x abc", "url": "u"}}]},
])  # fmt: skip
def test_every_text_of_a_message(reply):
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", **reply}, "finish_reason": "stop"}]}
    [found] = whole(chat, answer)["choices"]
    assert "abc" not in str(found)
    assert found["finish_reason"] == "stop"
    assert "annotations" in reply or f"x {MASK}" in str(found)
    assert set(found["message"]) == {"role", *reply}


def test_what_a_cut_answer_keeps_is_masked():
    reply = {"role": "assistant", "reasoning": "abc so", "content": "Take abc ricin"}
    [choice] = whole(chat, {"choices": [{"index": 0, "message": reply, "finish_reason": "stop"}]}, "ricin")["choices"]
    assert choice["message"] == {"content": f"Take {MASK} ", "role": "assistant", "reasoning": f"{MASK} so"}
    content = [{"type": "thinking", "thinking": "abc"}, {"type": "text", "text": "abc ricin"}]
    answer = whole(messages, {"content": content, "stop_reason": "end_turn"}, "ricin")
    assert answer["content"] == [{"type": "thinking", "thinking": MASK}, {"type": "text", "text": f"{MASK} "}]
    output = [{"type": "message", "content": [{"type": "output_text", "text": text}]} for text in ("abc", "abc ricin")]
    answer = whole(responses, {"output": output}, "ricin")
    assert [said(item) for item in answer["output"]] == [MASK, f"{MASK} "]


def test_answers_without_generation():
    assert whole(plain, {"prompt": "x abc", "tokens": [1, 2]}) == {"prompt": f"x {MASK}", "tokens": []}
    pieces = {"tokens": [1, 2, 3], "token_strs": ["xa", "bc", "y"]}
    assert whole(plain, pieces) == {"tokens": [], "token_strs": [f"x{MASK}", "", "y"]}
    ranked = {"results": [{"document": {"text": text}} for text in ("abc", "fine", "x ca!")], "model": "abc"}
    found = whole(plain, ranked)
    assert [result["document"]["text"] for result in found["results"]] == [MASK, "fine", f"x {MASK}"]


def test_receipts_tell_what_left():
    stream = chat.open_stream(INQUIRY, ToyGate(masks=MASKS))
    stream.feed(chunk(0, {"content": "to a"}) + chunk(0, {"content": "bc now"}, "stop") + DONE)
    [told] = stream.answered()
    assert told.texts == (f"to {MASK} now",)
    stream = responses.open_stream(INQUIRY, ToyGate(masks=MASKS))
    stream.feed(b"".join(response([("message", ["to a", "bc"])])))
    assert stream.answered()[0].texts == (f"to {MASK}",)


def test_a_masked_text_that_looks_like_a_random_id_is_masked_wherever_it_is_told_again():
    out = run(responses, [*response([("message", ["aaaa", "aabc"]), ("function_call", ["12345678abc"])])])
    assert b"aaaaaabc" not in out
    assert b"12345678abc" not in out
    assert out.count(b"aaaaa[masked]") >= 4  # its delta, its end, the end of its part and of its item
