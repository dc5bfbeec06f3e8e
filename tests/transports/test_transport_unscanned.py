"""What no rule can read is refused, or served with a word about it: in the header, the audit log and the counters."""

import asyncio

import pytest
from asgi_world import CONFIG, Inner, chat, guarded

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
SPEECH = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
MARKED = CONFIG + "screening: {{unscannable: {{image: mark, video: allow}}}}\n"


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def looking(*parts):
    return chat(messages=[{"role": "user", "content": [{"type": "text", "text": "Look."}, *parts]}])


@pytest.mark.parametrize(("config", "parts", "status", "header"), [
    (CONFIG, (PICTURE,), 403, None),
    (MARKED, (PICTURE,), 200, b"image"),
    (MARKED, (PICTURE, SPEECH), 403, None),
    (MARKED, (), 200, None),
    (CONFIG + "screening: {{unscannable: allow}}\n", (PICTURE, SPEECH), 200, None),
    (CONFIG + "screening: {{unscannable: mark}}\n", (SPEECH, PICTURE), 200, b"audio, image"),
])  # fmt: skip
def test_parts_are_served_by_kind(tmp_path, config, parts, status, header):
    async def story():
        async with guarded(tmp_path, Inner(), config) as guard:
            reply = await guard.post(looking(*parts))
            assert (reply.status, reply.headers.get(b"x-guard-unscanned")) == (status, header)

    run(story())
