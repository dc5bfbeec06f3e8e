"""Personal data in a prompt does not reach the server behind."""

import asyncio
import json

from asgi_world import CONFIG, Inner, chat, guarded

PRIVATE = CONFIG + "screening: {{rule_packs: [privacy]}}\n"
CARD, ADDRESS = "4111 1111 1111 1111", "jane@example.org"


def test_what_is_masked_never_reaches_the_server_and_is_counted(tmp_path):
    async def scene():
        inner = Inner()
        async with guarded(tmp_path, inner, PRIVATE) as client:
            answer = await client.post(chat(f"Charge {CARD} and write to {ADDRESS}.", model="free"))
        (request,) = inner.requests
        return answer, json.loads(request[2]), client.runtime

    answer, sent, runtime = asyncio.run(scene())
    assert answer.status == 200
    assert sent["messages"][0]["content"] == "Charge [card] and write to [email]."
    counted = runtime.registry.get_sample_value(
        "guard_screen_findings_total", {"category": "S7", "direction": "prompt", "action": "mask"}
    )
    assert counted == 2


def test_without_the_pack_nothing_is_touched(tmp_path):
    async def scene():
        inner = Inner()
        async with guarded(tmp_path, inner) as client:
            await client.post(chat(f"Charge {CARD}.", model="free"))
        return json.loads(inner.requests[0][2])

    assert asyncio.run(scene())["messages"][0]["content"] == f"Charge {CARD}."
