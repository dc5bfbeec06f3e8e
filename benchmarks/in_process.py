"""What does Guard add inside the server, per request and per streamed chunk?

CPU microseconds of the whole process (its background threads included) for an ASGI app bare and guarded, in
interleaved pairs; the median of the pairs and their spread. A 1 KB prompt, a 0.7 KB answer, 64 chunks of 7 characters.

    python benchmarks/in_process.py [--pairs 9] [--json FILE]
"""

import argparse
import asyncio
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from guard.transports.asgi import GuardMiddleware
from guard.transports.runtime import Runtime

PROSE = (
    "The committee met on Tuesday to go through the plans for the garden, the old bridge and the library. "
    "Two members had walked along the river and brought photographs, a list of trees, and a long letter. "
)
PROMPT, ANSWER = (PROSE * 6)[:1000], (PROSE * 4)[:700]
CHUNKS = 64
CONFIG = """
state_dir: {state}
models: {{tiny: {{license: llama-2}}}}
outputs: {{receipts: {everything}, fingerprints: {everything}}}
evidence: {{audit: {everything}}}
"""


class Bare:
    """A server that answers at once, whole or as a stream of vLLM's chat events."""

    def __init__(self):
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "tiny"}
        message = {"role": "assistant", "content": ANSWER}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.whole = json.dumps({**head, "choices": [choice]}).encode()
        head["object"] = "chat.completion.chunk"
        deltas = [{"content": ANSWER[at * 7 : at * 7 + 7]} for at in range(CHUNKS)]
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
        self.events = [f"data: {json.dumps({**head, 'choices': [choice]})}\n\n".encode() for choice in choices]

    async def __call__(self, scope, receive, send):
        await receive()
        streamed = scope["streamed"]
        kind = b"text/event-stream" if streamed else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        if streamed:
            for event in self.events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})
        else:
            await send({"type": "http.response.body", "body": self.whole})


async def cost(app, count, streamed):
    """Return the CPU microseconds per call of ``app``, from 500 users in turn."""
    bodies = [
        json.dumps(
            {
                "model": "tiny",
                "user": f"user-{number}",
                "stream": streamed,
                "messages": [{"role": "user", "content": PROMPT}],
            }
        ).encode()
        for number in range(500)
    ]
    names = [(b"host", b"x"), (b"content-type", b"application/json"), (b"user-agent", b"bench")]

    async def send(message):
        pass

    began = time.process_time()
    for number in range(count):
        body = bodies[number % len(bodies)]

        async def receive(body=body):
            return {"type": "http.request", "body": body, "more_body": False}

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "raw_path": b"/v1/chat/completions",
            "query_string": b"",
            "headers": [*names, (b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 1),
            "streamed": streamed,
        }
        await app(scope, receive, send)
    return (time.process_time() - began) / count * 1e6


async def measure(pairs, everything):
    """Return the added microseconds per request and per chunk, one figure per pair."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guard.yaml"
        path.write_text(CONFIG.format(state=Path(folder) / "state", everything=str(everything).lower()))
        runtime = Runtime(path, registry=CollectorRegistry())
        await runtime.start()
        try:
            bare, found = Bare(), {"request": [], "chunk": []}
            guarded = GuardMiddleware(bare, runtime)
            await cost(guarded, 600, False)
            for _ in range(pairs):
                added = await cost(guarded, 400, False) - await cost(bare, 400, False)
                found["request"].append(added)
                streamed = await cost(guarded, 40, True) - await cost(bare, 40, True)
                found["chunk"].append((streamed - added) / CHUNKS)
            return found
        finally:
            await runtime.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the figures and the machine here")
    options = parser.parse_args()
    results = {}
    for name, everything in (("rules on", False), ("everything on", True)):
        for what, figures in asyncio.run(measure(options.pairs, everything)).items():
            figures.sort()
            results[f"{what}, {name}"] = figures
            print(
                f"added per {what:8} {name:14} {statistics.median(figures):8.1f} us CPU"
                f"   [{figures[0]:.1f} - {figures[-1]:.1f}]"
            )
    if options.json:
        machine = {"machine": platform.machine(), "python": platform.python_version(), "system": platform.release()}
        options.json.write_text(json.dumps({"machine": machine, "microseconds": results}, indent=1))


if __name__ == "__main__":
    main()
