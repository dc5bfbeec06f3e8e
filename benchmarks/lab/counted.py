"""The same work every time, for an instruction counter: requests through Guard in one process, no clock, no socket.

    python counted.py NUMBER [stream]

NUMBER requests are answered, whole or as streams of 64 chunks, rules on. What one costs is the difference between two
numbers, divided: imports and the policy's load cancel out.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from guard.transports.asgi import GuardMiddleware
from guard.transports.runtime import Runtime
from lab.inside import Answers
from lab.systems import RULES_ON
from lab.texts import requests


async def main(number, streamed):
    async def send(_message):
        pass

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guard.yaml"
        own = {"state_dir": f"{folder}/state", "models": {"bench": {"license": "llama-2"}}}
        path.write_text(json.dumps(RULES_ON | own))
        runtime = Runtime(path)
        await runtime.start()
        app = GuardMiddleware(Answers(), runtime)
        silent = asyncio.get_running_loop().create_future()
        bodies = [body.encode() for body in requests(users=16, tokens=64, stream=streamed)]
        for place in range(number):
            asked = [bodies[place % len(bodies)]]

            async def receive(asked=asked):
                return {"type": "http.request", "body": asked.pop(), "more_body": False} if asked else await silent

            length = str(len(asked[0])).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", length)]
            scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
                     "headers": headers, "client": ("127.0.0.1", 1)}  # fmt: skip
            await app(scope, receive, send)
        await runtime.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), "stream" in sys.argv[2:]))
