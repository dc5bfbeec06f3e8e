"""A server that makes its answers itself, under uvicorn, bare or with Guard in it.

    python inside.py PORT [guard.yaml]

It answers as stub.c does, from Python: what Guard adds in-process is the difference of two of these.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import uvicorn

from lab.texts import TOKEN, answers

TEXT = answers(count=1)[0]
PACE_S = 0.010


class Answers:
    """Chat completions, whole or as events; the models' names are those of stub.c."""

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = json.loads(body)
        tokens = asked.get("max_tokens", 100)
        head = {"id": "chatcmpl-bench", "created": 1795000000, "model": asked["model"]}
        if asked.get("stream"):
            await self.stream(head, tokens, asked["model"].endswith("-paced"), send)
            return
        message = {"role": "assistant", "content": TEXT[: tokens * TOKEN], "refusal": None, "tool_calls": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
        whole = json.dumps({**head, "object": "chat.completion", "choices": [choice]}).encode()
        names = [(b"content-type", b"application/json"), (b"content-length", str(len(whole)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": names})
        await send({"type": "http.response.body", "body": whole})

    async def stream(self, head, tokens, paced, send):
        """Send one event a token."""
        names = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": names})
        head["object"] = "chat.completion.chunk"
        due = time.monotonic()
        for number in range(tokens + 1):
            last = number == tokens
            delta = {} if last else {"content": TEXT[number * TOKEN : (number + 1) * TOKEN]}
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": "stop" if last else None}
            event = f"data: {json.dumps({**head, 'choices': [choice]})}\n\n".encode()
            await send({"type": "http.response.body", "body": event, "more_body": True})
            due += PACE_S
            if paced and not last:
                await asyncio.sleep(max(due - time.monotonic(), 0))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})

    async def live(self, receive, send):
        """Begin and end with the server."""
        while True:
            what = (await receive())["type"]
            await send({"type": f"{what}.complete"})
            if what == "lifespan.shutdown":
                return


def main():
    app = Answers()
    if len(sys.argv) > 2:
        # Bare, it weighs nothing of Guard.
        from guard.transports.asgi import GuardMiddleware  # noqa: PLC0415
        from guard.transports.runtime import Runtime  # noqa: PLC0415

        app = GuardMiddleware(app, Runtime(Path(sys.argv[2])))
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False, loop="uvloop", http="httptools")


if __name__ == "__main__":
    main()
