"""Checks of finished answers: an unstreamed answer waits for those that hold, a streamed one has left by then."""

import asyncio
import json
from dataclasses import replace

import pytest
from asgi_world import CONFIG, Inner, chat, events, guarded

from guard.exchange.assess import Unassessed
from guard.screening.findings import Finding
from guard.screening.segments import Source

HARM = Finding("judge.S9", "S9", 0, 5, Source.OUTPUT, "choices[0]", score=0.99)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


class Reader:
    """Reads answers."""

    def __init__(self, *findings, holds=True, required=True, error=None):
        self.findings, self.holds, self.required, self.error, self.read = findings, holds, required, error, []

    def wanted(self, exchange):
        return True

    async def assess_answer(self, segments, answer):
        await asyncio.sleep(0)
        self.read.append((segments[0].text, answer.source, answer.text, answer.path))
        if self.error is not None:
            raise self.error
        return list(self.findings)


def entries(guard, kind):
    path = next(guard.runtime.stores.journal.path.parent.glob("*.jsonl"))
    return [entry["facts"] for entry in map(json.loads, path.read_text().splitlines()) if entry["kind"] == kind]


async def ask(tmp_path, reader, *, stream=False, config=CONFIG, model="tiny", late=False):
    """Post one request; return the reply, the number of users counted, and what was noted late."""
    inner = Inner(chunks=events("Hello."), kind=b"text/event-stream") if stream else Inner()
    async with guarded(tmp_path, inner, config) as guard:
        guard.runtime.services = replace(guard.runtime.services, answer_assessors=(reader,))
        reply = await guard.post(chat("Hi", model=model, stream=stream))
        while late and not entries(guard, "late_findings"):  # noqa: ASYNC110 - the test itself is the event
            await asyncio.sleep(0.005)
        return reply, guard.users("llama-2"), entries(guard, "late_findings")


def test_an_answer_that_passes_leaves_as_it_was(tmp_path):
    reader = Reader()
    reply, users, _ = run(ask(tmp_path, reader))
    assert (reply.status, users) == (200, 1)
    assert reader.read == [("Hi", Source.OUTPUT, "Hello.", "choices[0]")]


def test_one_that_blocks_does_not_leave_and_counts_nobody(tmp_path):
    reply, users, late = run(ask(tmp_path, Reader(HARM)))
    assert (reply.status, reply.json["error"]["code"], users) == (403, "aup", 0)
    assert reply.json["error"]["guard"]["category"] == "S9"
    assert b"Hello" not in reply.body
    assert late == []


@pytest.mark.parametrize(("required", "model", "status"), [
    (True, "tiny", 503), (False, "tiny", 200), (True, "free", 200),
])  # fmt: skip
def test_one_that_could_not_be_read_is_no_pass_where_something_blocks(tmp_path, required, model, status):
    reader = Reader(error=Unassessed("judge_timeout"), required=required)
    reply, _, _ = run(ask(tmp_path, reader, model=model))
    assert reply.status == status


@pytest.mark.parametrize("stream", [False, True])
def test_what_only_notes_is_heard_after_the_answer(tmp_path, stream):
    reply, users, [late] = run(ask(tmp_path, Reader(HARM, holds=stream), stream=stream, late=True))
    assert (reply.status, users) == (200, 1)
    assert late["reference"] == reply.headers[b"x-guard-reference"].decode()
    assert [(finding["direction"], finding["action"]) for finding in late["findings"]] == [("output", "flag")]


def test_shadow_refuses_nothing(tmp_path):
    reply, users, [late] = run(ask(tmp_path, Reader(HARM), config=CONFIG + "mode: shadow\n", late=True))
    assert (reply.status, users) == (200, 1)
    assert late["findings"]
