"""An answer is counted beside the index before its first byte leaves, and until everything of it was handed over."""

import asyncio
import time

import pytest
from asgi_world import CONFIG, Inner, Reply, chat, events, guarded
from prometheus_client import generate_latest

from guard.evidence.entry import read
from guard.provenance.counts import read_counts
from guard.provenance.coverage import Index
from guard.provenance.layout import Layout, month_of
from guard.provenance.months import MonthKeys
from guard.provenance.scan import Postings


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def counts(guard):
    (segment,) = guard.runtime.stores.recorder.writer.directory.rglob("*.segment")
    return read_counts(segment)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_exchange_is_open_from_its_first_byte_to_its_last_receipt(tmp_path, monkeypatch, streamed):
    async def story():
        seen = []
        inner = Inner(chunks=events("Hello", "."), kind=b"text/event-stream") if streamed else Inner()
        async with guarded(tmp_path, inner) as guard:
            send = Reply.send

            async def noting(reply, message):
                seen.append((message["type"], *counts(guard)[:3]))
                await send(reply, message)

            monkeypatch.setattr(Reply, "send", noting)
            reply = await guard.post(chat(stream=streamed))
            assert reply.status == 200
            assert counts(guard)[:3] == (1, 1, 1)
        assert seen[0] == ("http.response.start", 1, 0, 0)
        assert set(seen[1:]) == {("http.response.body", 1, 0, 0)}

    run(story())


def test_what_is_refused_or_fails_is_no_answer(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(status=500)) as guard:
            assert (await guard.post(chat())).status == 502
            assert (await guard.post(chat(prompt_logprobs=3))).status == 403
            assert counts(guard)[:3] == (0, 0, 0)

    run(story())


def test_an_answer_that_breaks_off_is_ended_too(tmp_path):
    async def story():
        inner = Inner(chunks=events("Hello", ".")[:1], kind=b"text/event-stream", raising=RuntimeError("gone"))
        async with guarded(tmp_path, inner) as guard:
            await guard.post(chat(stream=True))
            assert counts(guard)[:2] == (1, 1)

    run(story())


@pytest.mark.slow
def test_segments_are_uploaded_counted_and_failures_are_said_without_the_command(tmp_path, caplog):
    config = CONFIG + (
        "outputs: {{segment_minutes: 60, upload: [/bin/sh, -c, 'cp \"$0\" {store}/$1', '{{file}}', '{{name}}', secret]}}\n"
    )
    store = tmp_path / "store"

    async def story():
        async with guarded(tmp_path, Inner(), config, store=store) as guard:
            await guard.post(chat())
            return guard.runtime

    run(story())  # there is no such directory
    assert "was not uploaded: the command ended with exit code 1; tried again in 5 s" in caplog.text
    assert "secret" not in caplog.text
    store.mkdir()

    async def again():
        async with guarded(tmp_path, Inner(), config, store=store) as guard:
            deadline = time.monotonic() + 15
            while not list(store.iterdir()):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            return generate_latest(guard.runtime.registry).decode()

    metrics = run(again())
    assert 'guard_index_uploads_total{outcome="uploaded"} 1.0' in metrics
    assert len(list(store.iterdir())) == 2  # the last one at the end


def test_a_gateway_whose_month_was_shredded_serves_and_says_that_the_index_is_off(tmp_path, caplog):
    layout = Layout(tmp_path / "state")
    month = month_of(time.time())
    MonthKeys(layout.keys).shred(month)
    why = f"{month} was shredded: the index is off until the next month"

    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            assert (await guard.post(chat())).status == 200
            ready, facts = guard.runtime.ready()
            assert (ready, facts["provenance"]) == (True, why)
            tally = guard.runtime.stores.recorder.writer.tally
            deadline = time.monotonic() + 15.0
            while not tally.dropped:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            assert (tally.answered, tally.written) == (1, 0)

    run(story())
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [f"index: {why}"]


OFF = CONFIG + 'outputs: {{receipts: false}}\nconfirm: ["outputs.receipts: true -> false"]\n'


@pytest.mark.parametrize("streamed", [False, True])
def test_answers_while_receipts_are_off_leave_a_gap_and_nothing_else(tmp_path, streamed):
    layout = Layout(tmp_path / "state")

    async def story():
        for config in (CONFIG, OFF, CONFIG):
            inner = Inner(chunks=events("Hello", "."), kind=b"text/event-stream") if streamed else Inner()
            async with guarded(tmp_path, inner, config) as guard:
                yield await guard.post(chat(stream=streamed))

    async def told():
        return [b"x-guard-receipt" in reply.headers async for reply in story()]

    assert run(told()) == [True, False, True]
    index = Index(layout.provenance, MonthKeys(layout.keys), layout.key.read_bytes())
    nothing = Postings()
    nothing.seal()
    for month in index.months:
        list(index.search_month(month, nothing))
    (reason,) = index.coverage.reasons()
    assert reason.endswith("1 of 3 choices answered while receipts were off")
    receipts = [entry for path in layout.audit.glob("*.jsonl") for entry in read(path) if entry.kind == "receipt"]
    assert len(receipts) == 2


def test_answers_are_counted_beside_the_segment_while_receipts_are_off(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), OFF) as guard:
            assert (await guard.post(chat())).status == 200
            (segment,) = guard.runtime.stores.unrecorded.writer.directory.rglob("*.segment")
            assert read_counts(segment)[:3] == (1, 1, 1)
            assert guard.runtime.ready()[1]["provenance"] == "off"

    run(story())


def test_an_index_that_cannot_be_written_is_no_reason_not_to_serve_while_receipts_are_off(tmp_path, caplog):
    layout = Layout(tmp_path / "state")
    layout.provenance.parent.mkdir()
    layout.provenance.write_text("a file")
    layout.key.write_text("no key")

    async def story():
        async with guarded(tmp_path, Inner(), OFF) as guard:
            assert (await guard.post(chat())).status == 200

    run(story())
    assert "index: receipts are off, and answers cannot be counted either" in caplog.text
    layout.key.unlink()
    caplog.clear()
    run(story())
    assert "index: " in caplog.text
