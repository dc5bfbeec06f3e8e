"""Whatever is said, in whatever pieces: what leaves depends on the text alone, in order, and never holds a blocked word."""

from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from wire_events import DONE, chunk, delta, message, read, response, tokens
from wire_toy_gate import ToyGate

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import chat, completions, messages, responses

WORDS = ("abc", "ca!", "bb")
pieces_of_text = st.text("abc! ", min_size=1, max_size=12)
names = st.sampled_from(["content", "reasoning", "refusal", "tool.0.name", "tool.0.arguments", "tool.1.arguments"])
stories = st.lists(st.tuples(names, pieces_of_text), min_size=1, max_size=5)
quick = settings(max_examples=40, deadline=None)


def cut(data: st.DataObject, text: str) -> list[str]:
    """``text`` in pieces."""
    marks = sorted(data.draw(st.sets(st.integers(1, len(text) - 1)))) if len(text) > 1 else []
    return [text[start:end] for start, end in zip([0, *marks], [*marks, len(text)], strict=True)]


def told(data: st.DataObject, choices: list[list[tuple[str, str]]]) -> list[bytes]:
    """A chat stream that tells each choice its story, cut and interleaved in any way."""
    queues = []
    for index, story in enumerate(choices):
        events = [chunk(index, {"role": "assistant", "content": ""})]
        events += [chunk(index, delta(name, piece)) for name, text in story for piece in cut(data, text)]
        queues.append([*events, chunk(index, {}, "stop")])
    order = data.draw(st.permutations([index for index, queue in enumerate(queues) for _ in queue]))
    return [queues[index].pop(0) for index in order] + [DONE]


def run(module: Any, said: list[bytes], choices: int = 1, words: tuple[str, ...] = WORDS) -> bytes:
    stream = module.open_stream(Inquiry("any", {}, "tiny", stream=True, choices=choices), ToyGate(*words))
    out = b""
    for piece in said:
        if stream.closed:
            break
        out += stream.feed(piece)
    return out + (b"" if stream.closed else stream.finish())


class Left(NamedTuple):
    characters: list[tuple[str, str]]
    """Each character of a choice with the name of its text, in order."""
    finish: str | None


def heard(out: bytes, choices: int) -> list[Left]:
    """What a chat stream says, per choice."""
    found = [Left([], None) for _ in range(choices)]
    for event in read(out):
        for choice in event["choices"]:
            characters, texts = found[choice["index"]].characters, dict(choice["delta"])
            for call in texts.pop("tool_calls", None) or ():
                texts |= {f"tool.{call['index']}.{key}": text for key, text in call["function"].items()}
            texts.pop("role", None)
            characters += [(name, character) for name, text in texts.items() for character in text or ""]
            if choice["finish_reason"]:
                found[choice["index"]] = Left(characters, choice["finish_reason"])
    return found


def spelled(characters: list[tuple[str, str]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, character in characters:
        texts[name] = texts.get(name, "") + character
    return texts


@quick
@given(st.lists(stories, min_size=1, max_size=3), st.data())
def test_the_released_text_does_not_depend_on_how_it_was_cut(choices, data):
    first = heard(run(chat, told(data, choices), len(choices)), len(choices))
    second = heard(run(chat, told(data, choices), len(choices)), len(choices))
    assert first == second


@quick
@given(st.lists(stories, min_size=1, max_size=3), st.data())
def test_each_choice_leaves_in_order_and_no_word_leaves(choices, data):
    for story, left in zip(choices, heard(run(chat, told(data, choices), len(choices)), len(choices)), strict=True):
        said = [(name, character) for name, text in story for character in text]
        assert left.characters == said[: len(left.characters)]
        texts = spelled(left.characters)
        assert not [word for word in WORDS for text in texts.values() if word in text]
        clean = not any(word in text for word in WORDS for text in spelled(said).values())
        assert left.finish == ("stop" if clean else "content_filter")
        assert (left.characters == said) or not clean


@quick
@given(stories, st.data())
def test_nothing_is_lost_or_changed_when_nothing_is_blocked(story, data):
    said = told(data, [story])
    assert run(chat, said, words=("~never~",)) == b"".join(said)
    clean = [(name, text.replace("b", "")) for name, text in story]
    said = told(data, [[part for part in clean if part[1].replace("ca!", "")]])
    if not any(word in text for word in WORDS for text in spelled([(n, c) for n, t in clean for c in t]).values()):
        assert run(chat, said) == b"".join(said)


@quick
@given(st.lists(stories, min_size=1, max_size=2), st.data(), st.integers(1, 300))
def test_the_bytes_do_not_depend_on_how_they_arrive(choices, data, size):
    whole = b"".join(told(data, choices))
    parts = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert run(chat, parts, len(choices)) == run(chat, [whole], len(choices))


@quick
@given(stories, st.data(), st.integers(0, 40))
def test_a_stream_that_breaks_off_says_so_and_leaks_nothing(story, data, kept):
    said = told(data, [story])[:-2][:kept]
    out = run(chat, said)
    events = read(out)
    assert out.endswith(DONE)
    assert "error" in events[-1] or events[-1]["choices"][0]["finish_reason"] == "content_filter"
    left = heard(b"\n\n".join(block for block in out.split(b"\n\n") if b'"error"' not in block), 1)[0]
    assert not [word for word in WORDS for text in spelled(left.characters).values() if word in text]


@quick
@given(pieces_of_text, st.integers(0, 3), st.data())
def test_logprobs_that_run_ahead_of_the_content_bring_out_no_word(text, ahead, data):
    """Tokens are told ``ahead`` events before their text is."""
    told_ = cut(data, text)
    contents = [""] * ahead + told_
    logprobs = told_ + [""] * ahead
    said = [
        chunk(0, {"content": content}, logprobs=tokens(token) if token else None)
        for content, token in zip(contents, logprobs, strict=True)
    ]
    events = read(run(chat, [*said, chunk(0, {}, "stop"), DONE]))
    content, spelt = "", ""
    for event in events:
        choice = event["choices"][0]
        content += choice["delta"].get("content") or ""
        spelt += "".join(entry["token"] for entry in (choice.get("logprobs") or {}).get("content", ()))
        assert not any(word in spelt or word in content for word in WORDS)
    if not any(word in text for word in WORDS):
        assert (content, spelt) == (text, text)


@quick
@given(stories, st.data())
def test_a_whole_answer_keeps_what_its_stream_would_have_released(story, data):
    texts = spelled([(name, character) for name, text in story for character in text])
    order = [name for name in ("reasoning", "content", "refusal") if name in texts]
    order += sorted(
        (name for name in texts if name.startswith("tool.")), key=lambda name: (name[5], name[7:] != "name")
    )
    [streamed] = heard(run(chat, told(data, [[(name, texts[name]) for name in order]])), 1)
    reply: dict[str, Any] = {name: texts[name] for name in order if not name.startswith("tool.")}
    calls: dict[int, dict[str, str]] = {}
    for name in order:
        if name.startswith("tool."):
            calls.setdefault(int(name[5]), {})[name[7:]] = texts[name]
    if calls:
        reply["tool_calls"] = [{"index": index, "function": function} for index, function in calls.items()]
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", **reply}, "finish_reason": "stop"}]}
    [choice] = chat.screen_answer(Inquiry("chat", {}, "tiny"), answer, ToyGate(*WORDS))["choices"]
    kept = {
        name: choice["message"][name] for name in ("reasoning", "content", "refusal") if choice["message"].get(name)
    }
    for call in choice["message"].get("tool_calls") or ():
        kept |= {f"tool.{call['index']}.{key}": text for key, text in call["function"].items() if text}
    assert kept == spelled(streamed.characters)
    assert choice["finish_reason"] == streamed.finish


@quick
@given(pieces_of_text, st.data())
def test_completions_too(text, data):
    def event(piece: str, finish: str | None = None) -> bytes:
        return b"data: " + chat.sse.encode({"choices": [{"index": 0, "text": piece, "finish_reason": finish}]})[6:]

    said = [event(piece) for piece in cut(data, text)] + [event("", "stop"), DONE]
    left = "".join(found["choices"][0]["text"] for found in read(run(completions, said)))
    again = [event(piece) for piece in cut(data, text)] + [event("", "stop"), DONE]
    assert left == "".join(found["choices"][0]["text"] for found in read(run(completions, again)))
    assert text.startswith(left)
    assert not any(word in left for word in WORDS)
    assert (left == text) == (not any(word in text for word in WORDS))


blocks = st.lists(st.tuples(st.sampled_from(["text", "thinking", "tool_use"]), pieces_of_text), min_size=1, max_size=4)


@quick
@given(blocks, st.data(), st.integers(1, 200))
def test_messages_too(story, data, size):
    def tell() -> list[bytes]:
        return list(message([(kind, cut(data, text)) for kind, text in story]))

    def listen(out: bytes) -> tuple[list[list[str]], str | None]:
        found: list[list[str]] = []
        stop, opened = None, False
        for event in read(out):
            if event["type"] == "content_block_start":
                assert not opened
                opened = True
                found.append([event["content_block"]["type"], ""])
            elif event["type"] == "content_block_stop":
                assert opened
                opened = False
            elif event["type"] == "content_block_delta":
                assert event["index"] == len(found) - 1
                found[-1][1] += next(value for key, value in event["delta"].items() if key != "type")
            elif event["type"] == "message_delta":
                stop = event["delta"]["stop_reason"]
        assert not opened
        assert out.endswith(b'data: {"type":"message_stop"}\n\n')
        return found, stop

    said = tell()
    whole = b"".join(said)
    left, stop = listen(run(messages, said))
    again, _ = listen(run(messages, tell()))
    assert [block for block in left if block[1]] == [block for block in again if block[1]]
    assert run(messages, [whole[start : start + size] for start in range(0, len(whole), size)]) == run(messages, said)
    blocked = False
    for kind in ("text", "thinking"):
        joined = "".join(text for its_kind, text in left if its_kind == kind)
        spoken = "".join(text for its_kind, text in story if its_kind == kind)
        assert not any(word in joined for word in WORDS)
        blocked |= any(word in spoken for word in WORDS)
    blocked |= any(word in text for kind, text in story if kind == "tool_use" for word in WORDS)
    assert stop == ("refusal" if blocked else "end_turn")
    if not blocked:
        assert run(messages, said) == whole


items = st.lists(
    st.tuples(st.sampled_from(["message", "reasoning", "function_call"]), pieces_of_text), min_size=1, max_size=4
)


@quick
@given(items, st.data(), st.integers(1, 200))
def test_responses_too(story, data, size):
    def tell() -> list[bytes]:
        return list(response([(kind, cut(data, text)) for kind, text in story]))

    def listen(out: bytes) -> tuple[list[tuple[str, str]], str]:
        events = read(out)
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        balance = [event["type"] for event in events]
        for opening, closing in (
            ("output_item.added", "output_item.done"),
            ("content_part.added", "content_part.done"),
        ):
            assert balance.count(f"response.{opening}") == balance.count(f"response.{closing}")
        deltas: dict[int, str] = {}
        for event in events:
            if event["type"].endswith(".delta"):
                deltas[event["output_index"]] = deltas.get(event["output_index"], "") + event["delta"]
        final = events[-1]["response"]
        texts = []
        for index, item in enumerate(final["output"]):
            text = item["arguments"] if item["type"] == "function_call" else "".join(p["text"] for p in item["content"])
            assert text == deltas.get(index, "")
            texts.append((item["type"], text))
        return texts, final["status"]

    said = tell()
    whole = b"".join(said)
    out = run(responses, said)
    left, status = listen(out)
    again, _ = listen(run(responses, tell()))
    assert [item for item in left if item[1]] == [item for item in again if item[1]]
    assert run(responses, [whole[start : start + size] for start in range(0, len(whole), size)]) == out
    blocked = any(word in text for kind, text in story if kind == "function_call" for word in WORDS)
    for kind in ("message", "reasoning"):
        assert not any(word in "".join(text for its_kind, text in left if its_kind == kind) for word in WORDS)
        blocked |= any(word in "".join(text for its_kind, text in story if its_kind == kind) for word in WORDS)
    assert status == ("incomplete" if blocked else "completed")
    if not blocked:
        assert out == whole
