"""An inference server without a model that costs next to nothing: ``python fault_upstream.py PORT SECONDS``.

One canned chat completion, after SECONDS, streamed to those who ask for a stream. What is under test stands before it.
"""

import asyncio
import json
import sys

import uvloop

PORT, SECONDS = int(sys.argv[1]), float(sys.argv[2])
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Good day."}, "finish_reason": "stop"}
HEAD = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "tiny"}
BODY = json.dumps({**HEAD, "choices": [CHOICE]}).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


def _event(delta, finish):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    data = b"data: %b\n\n" % json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [choice]}).encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


BEGINNING = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + _event({"role": "assistant", "content": ""}, None)
    + _event({"content": "Good "}, None)
)
ENDING = _event({"content": "day."}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def connection_made(self, transport):
        self.transport, self.read = transport, b""

    def data_received(self, data):
        self.read += data
        head, found, body = self.read.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if len(body) < int(length or 0):
            return
        self.read = b""
        answer = self.begin if b'"stream":true' in body else self.answer
        if SECONDS:
            asyncio.get_running_loop().call_later(SECONDS, answer)
        else:
            answer()

    def answer(self):
        self.transport.write(WHOLE)

    def begin(self):
        self.transport.write(BEGINNING)
        asyncio.get_running_loop().call_later(0.002, self.transport.write, ENDING)


async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", PORT)
    await server.serve_forever()


uvloop.run(main())
