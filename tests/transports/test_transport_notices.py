"""Display lines and machine-made labels travel with answers where the operator wants that, and nowhere else."""

import asyncio
import json

import pytest
from asgi_world import CONFIG, Inner, chat, events, guarded
from hypothesis import given
from hypothesis import strategies as st

from guard.licensing.notice import Notice
from guard.transports.notices import into_event, render
from guard.wire.body import encode

SERVED = CONFIG.replace("license: llama-2", "license: llama-3.1")
BOTH = SERVED + "notices: {{carriers: [header, body], machine_made: Made by a machine.}}\n"
CHUNKS = events("Hel", "lo.")
LINES = [
    ("display", "Built with Llama", "llama-3.1", "1.b.i(B)"),
    ("machine_made", "Made by a machine.", "llama-3.1", "AUP 3.e"),
]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def header_lines(reply):
    return [value.decode() for name, value in reply.messages[0]["headers"] if name == b"x-guard-notice"]


def member(document):
    return [tuple(notice.values()) for notice in document.get("guard_notices", [])]


def test_a_whole_answer_carries_them_in_headers_and_body(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), BOTH) as guard:
            reply = await guard.post(chat())
            assert header_lines(reply) == ["Built with Llama", "Made by a machine."]
            assert member(reply.json) == LINES
            assert reply.json["choices"][0]["message"]["content"] == "Hello."
            assert int(reply.headers[b"content-length"]) == len(reply.body)

    run(story())


def test_the_first_event_of_a_stream_carries_them_and_only_that(tmp_path):
    async def story():
        inner = Inner(kind=b"text/event-stream", chunks=CHUNKS)
        async with guarded(tmp_path, inner, BOTH) as guard:
            reply = await guard.post(chat(stream=True))
            first, *others = [json.loads(line[6:]) for line in reply.body.split(b"\n") if line.startswith(b"data: {")]
            assert member(first) == LINES
            assert all("guard_notices" not in event for event in others)
            assert header_lines(reply) == ["Built with Llama", "Made by a machine."]

    run(story())


@pytest.mark.parametrize(("config", "headers", "body"), [
    (SERVED, False, False),
    (SERVED + "notices: {{carriers: [header]}}\n", True, False),
    (SERVED + "notices: {{carriers: [body]}}\n", False, True),
])  # fmt: skip
def test_they_travel_only_where_the_operator_says(tmp_path, config, headers, body):
    async def story():
        async with guarded(tmp_path, Inner(), config) as guard:
            reply = await guard.post(chat())
            assert (bool(header_lines(reply)), bool(member(reply.json))) == (headers, body)

    run(story())


def test_a_license_that_asks_for_nothing_gets_nothing(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), BOTH) as guard:
            reply = await guard.post(chat(model="free"))
            assert (header_lines(reply), member(reply.json)) == ([], [])

    run(story())


def test_what_is_owed_names_the_models_and_what_carries_it(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), BOTH) as guard:
            owed = guard.runtime.obligations()
            (display,) = [item for item in owed if item["act"] == "display" and item["carried"]]
            assert (display["models"], display["wording"], display["carried"]) == (
                ["tiny"], "Built with Llama", ["body", "header"],
            )  # fmt: skip
            assert set(display["places"]) == {"website", "user_interface", "blog_post", "about_page", "documentation"}
            assert json.dumps(owed)

    run(story())


NOTICES = (Notice("display", "Built with X", "x", "1"), Notice("machine_made", "M", "x", "2"))


@given(
    st.text(max_size=30),
    st.sampled_from(["", "event: message_start\n", ": ping\n\n", "data: [DONE]\n\n"]),
    st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3),
)
def test_the_member_goes_into_the_first_object_whatever_texts_look_like(text, before, other):
    event = {"content": f"{text}\ndata: {{", **{f"k{key}": value for key, value in other.items()}}
    out = before.encode() + b"data: " + encode(event) + b"\n\n" + b"data: " + encode(event) + b"\n\n"
    changed = into_event(out, render(NOTICES).member)
    lines = [line[6:] for line in changed.split(b"\n") if line.startswith(b"data: {")]
    first, second = map(json.loads, lines)
    assert first == {"guard_notices": [notice._asdict() for notice in NOTICES], **event}
    assert second == event
    assert changed.startswith(before.encode())


@pytest.mark.parametrize("out", [b"", b": ping\n\n", b"data: [DONE]\n\n", b"data: {}\n\n"])
def test_bytes_without_an_object_are_left_alone(out):
    assert into_event(out, b'"x":1,') is None
