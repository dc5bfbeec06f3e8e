"""What a client is told of its receipts is what the audit chain has, signed."""

import asyncio
import json

import pytest
from asgi_world import ANSWER, CONFIG, Inner, chat, events, guarded

from guard.evidence import portable
from guard.evidence.envelope import Standing
from guard.evidence.signing import PUBLIC, Verifier, rotate
from guard.evidence.verify import verify
from guard.provenance.layout import Layout

HELLO = chat("Hello")


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def shown(tmp_path, id_):
    """The receipt ``id_`` as a counterparty gets it, verified by the deployment's public keys."""
    layout = Layout(tmp_path / "state")
    keys = Verifier.of_list(layout.signing / PUBLIC)
    assert verify(layout.audit, keys=keys).ok
    found = portable.find(layout.audit, id_, keys)
    assert portable.verify(json.loads(json.dumps(found)), keys) is Standing.VALID
    return found["facts"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_names_the_receipt_that_is_signed_for_it(tmp_path, stream):
    async def story():
        inner = Inner(chunks=events("Hi"), kind=b"text/event-stream") if stream else Inner()
        async with guarded(tmp_path, inner) as guard:
            return await guard.post(chat(stream=stream))

    reply = run(story())
    id_ = reply.headers[b"x-guard-receipt"].decode()
    assert id_ == f"r-{reply.headers[b'x-guard-reference'].decode()}-0"
    assert f'"guard":{{"receipt":"{id_}"}}'.encode() in reply.body
    facts = shown(tmp_path, id_)
    assert (facts["id"], facts["model"], facts["surface"], facts["finish_reason"]) == (id_, "tiny", "chat", "stop")
    assert facts["licenses"][0][0] == "llama-2"
    assert facts["licenses"][0][1], "the clause on outputs"


def test_several_choices_are_named_by_their_range_and_each_has_its_own(tmp_path):
    choice = ANSWER["choices"][0]
    answer = {**ANSWER, "choices": [{**choice, "index": index} for index in range(3)]}

    async def story():
        async with guarded(tmp_path, Inner(answer)) as guard:
            return await guard.post(chat(n=3))

    reply = run(story())
    reference = reply.headers[b"x-guard-reference"].decode()
    assert reply.headers[b"x-guard-receipt"].decode() == f"r-{reference}-0..2"
    ids = [choice["guard"]["receipt"] for choice in reply.json["choices"]]
    assert ids == [f"r-{reference}-{index}" for index in range(3)]
    assert [shown(tmp_path, id_)["id"] for id_ in ids] == ids


def test_there_is_no_receipt_where_none_is_kept_and_none_of_the_upstreams_making(tmp_path):
    class Forging(Inner):
        async def __call__(self, scope, receive, send):
            async def forged(message):
                if message["type"] == "http.response.start":
                    message["headers"].append((b"X-Guard-Receipt", b"r-forged-0"))
                await send(message)

            await super().__call__(scope, receive, forged)

    async def story():
        embedding = {"object": "list", "model": "tiny", "data": [{"index": 0, "embedding": [0.5]}]}
        async with guarded(tmp_path, Forging(embedding)) as guard:
            yield await guard.post({"model": "tiny", "input": "x", "user": "a"}, "/v1/embeddings")
        (tmp_path / "off").mkdir()
        async with guarded(tmp_path / "off", Forging(), CONFIG + "outputs: {{receipts: false}}\n") as guard:
            yield await guard.post(HELLO)
        async with guarded(tmp_path, Forging({"error": {}}, status=400)) as guard:
            yield await guard.post(HELLO)
            assert guard.runtime.ready()[1]["signing"] == "ok"
        async with guarded(tmp_path, Forging()) as guard:
            yield await guard.post({"not": "a request"})

    async def told():
        return [reply async for reply in story()]

    replies = run(told())
    assert [reply.status for reply in replies] == [200, 200, 400, 400]
    for reply in replies:
        assert b"x-guard-receipt" not in {name.lower() for name in reply.headers}
        assert b'"guard":{"receipt"' not in reply.body


def test_a_declared_purpose_is_on_record_once_and_signed(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            headers = [(b"x-guard-purpose", b"evaluate")]
            return [await guard.post(HELLO, headers=headers) for _ in range(3)]

    replies = run(story())
    assert [reply.status for reply in replies] == [200, 200, 200]
    first, *others = (reply.headers[b"x-guard-reference"].decode() for reply in replies)
    facts = shown(tmp_path, f"d-{first}")
    assert (facts["purpose"], facts["source"], facts["model"]) == ("evaluate", "header", "tiny")
    for other in others:
        with pytest.raises(portable.NoReceiptError, match="no journal"):
            shown(tmp_path, f"d-{other}")


def test_a_running_gateway_signs_with_the_new_key_after_a_rotation(tmp_path):
    async def story():
        layout = Layout(tmp_path / "state")
        async with guarded(tmp_path, Inner()) as guard:
            first = guard.runtime.stores.signer.id
            new = await asyncio.to_thread(rotate, layout.signing, guard.runtime.services.now())
            reply = await guard.post(HELLO)
        found = portable.find(
            layout.audit, reply.headers[b"x-guard-receipt"].decode(), Verifier.of_list(layout.signing / PUBLIC)
        )
        assert found["key"] == new.id != first
        assert verify(layout.audit, keys=Verifier.of_list(layout.signing / PUBLIC)).ok

    run(story())
