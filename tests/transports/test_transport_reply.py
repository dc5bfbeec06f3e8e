"""A refusal leaves as one whole response."""

import asyncio
import json

from guard.exchange.refusal import Code, Refusal
from guard.transports.reply import send_refusal
from guard.wire.refusals import openai_shape


def test_a_refusal_is_sent_as_one_whole_response():
    messages = []

    async def send(message):
        messages.append(message)

    refusal = Refusal(405, Code.SURFACE_DENIED, "This path takes POST only.", reference="r1")
    asyncio.run(send_refusal(send, refusal, openai_shape, "POST"))
    start, body = messages
    assert (start["type"], start["status"]) == ("http.response.start", 405)
    assert dict(start["headers"])[b"allow"] == b"POST"
    assert json.loads(body["body"])["error"]["guard"]["reference"] == "r1"
    assert body["more_body"] is False
