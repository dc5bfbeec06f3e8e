"""What does the neural tier cost: CPU a KB, and time to first token where the server behind takes 30 ms or more?

Run: python benchmarks/neural_added_latency.py [--weights DIR] [--rounds 100] [--first-token 30] [--batches]

The prompts are the benign rows below, of several lengths. CPU is the time of the thread that runs the model, so other
load on the machine disturbs it less. Added time: the same requests go through Guard (no sockets, scope ``all``) with
the tier on and off in turn; shown is the difference of the medians, and the spread of the medians with the tier off.
"""

import argparse
import asyncio
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from guard.screening.neural.model import WEIGHTS, NeuralModel
from guard.screening.neural.screen import NeuralScreen
from guard.screening.segments import Segment, Source
from guard.transports.asgi import GuardMiddleware
from guard.transports.runtime import Runtime

ROW = (
    "The committee met on Tuesday to talk about next year's budget for the school library. Could you summarize the "
    "three options that were on the table, with what each of them would cost, and say which one the parents preferred? "
)
SIZES = (64, 256, 512, 1024, 4096)
CONFIG = """
upstream: http://127.0.0.1:9
admin: "off"
state_dir: {state}
license: llama-2
evidence: {{audit: false}}
outputs: {{receipts: false, fingerprints: false}}
screening: {{neural: {{scope: {scope}, weights: {weights}, deadline: 30}}}}
"""


def prompt(size):
    return (ROW * (size // len(ROW) + 1))[:size]


def cpu(screen, rounds):
    print("CPU of one thread, milliseconds (least and median over the rounds)")
    for size in SIZES:
        segments = [Segment(Source.USER, prompt(size))]
        taken = []
        for _ in range(max(5, rounds // 4)):
            began = time.thread_time()
            screen.scan(segments)
            taken.append((time.thread_time() - began) * 1e3)
        least, median = min(taken), statistics.median(taken)
        of_a_kb = f"{least * 1024 / size:5.1f} {median * 1024 / size:5.1f}"
        print(f"  {size:5d} B: {least:6.1f} {median:6.1f}   a KB: {of_a_kb}")


def batches(model, rounds):
    session, tokens = model._session, model.tokens  # noqa: SLF001 - the question is what the tier should not do
    texts = [prompt(60 + 37 * index % 700) for index in range(32)]
    windows = sorted(([tokens.begin, *tokens.read(text).ids[:254], tokens.end] for text in texts), key=len)
    print("milliseconds a window by batch, 32 windows of 15 to 150 tokens sorted by length (least over the rounds)")
    best = dict.fromkeys((1, 4, 8), float("inf"))
    for _ in range(max(3, rounds // 20)):
        for size in best:
            began = time.thread_time()
            for first in range(0, len(windows), size):
                batch = windows[first : first + size]
                ids = np.zeros((len(batch), len(batch[-1])), np.int64)
                mask = np.zeros_like(ids)
                for row, window in enumerate(batch):
                    ids[row, : len(window)], mask[row, : len(window)] = window, 1
                session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
            best[size] = min(best[size], (time.thread_time() - began) * 1e3 / len(windows))
    print("  " + ", ".join(f"batch {size}: {taken:.2f}" for size, taken in best.items()))


async def first_tokens(weights, rounds, seconds, size):
    """Return the times to the first byte with the tier and without it, in milliseconds, and how many were refused."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}
    event = b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"

    async def upstream(_scope, receive, send):
        await receive()
        # A thread's sleep: the event loop's own ends up to a millisecond late if it woke up for something meanwhile.
        await asyncio.to_thread(time.sleep, seconds)
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": event + b"data: [DONE]\n\n"})

    with tempfile.TemporaryDirectory() as folder:
        apps, runtimes = {}, []
        for scope in ("all", "off"):
            path = Path(folder) / f"{scope}.yaml"
            path.write_text(CONFIG.format(state=Path(folder) / scope, scope=scope, weights=json.dumps(str(weights))))
            runtime = Runtime(path, registry=CollectorRegistry())
            await runtime.start()
            runtimes.append(runtime)
            apps[scope] = GuardMiddleware(upstream, runtime)
        taken, refused = {"all": [], "off": []}, 0
        for number in range(rounds + 3):
            for scope, app in apps.items():
                status, elapsed = await one(app, prompt(size) + str(number))
                refused += status != 200
                if number >= 3:
                    taken[scope].append(elapsed * 1e3)
        for runtime in runtimes:
            await runtime.stop()
    return taken["all"], taken["off"], refused


async def one(app, text):
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}).encode()
    messages, never, first = [{"type": "http.request", "body": body}], asyncio.Event(), []

    async def receive():
        if not messages:
            await never.wait()
        return messages.pop()

    async def send(message):
        first.append((message.get("status"), time.perf_counter()))

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": headers}
    began = time.perf_counter()
    await app({**scope, "client": ("127.0.0.1", 1), "http_version": "1.1", "scheme": "http"}, receive, send)
    status, at = first[0]
    return status, at - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--first-token", type=float, default=30.0, help="milliseconds that the server behind takes")
    parser.add_argument("--batches", action="store_true", help="compare batches instead")
    given = parser.parse_args()
    began = time.perf_counter()
    model = NeuralModel.load(given.weights)
    print(f"{platform.processor() or platform.machine()}, loaded in {(time.perf_counter() - began) * 1e3:.0f} ms")
    if given.batches:
        batches(model, given.rounds)
        return
    cpu(NeuralScreen(model, lambda _text: [0.0] * 17), given.rounds)
    print(f"time to first byte, server behind {given.first_token:.0f} ms, milliseconds")
    for size in SIZES:
        on, off, refused = asyncio.run(first_tokens(given.weights, given.rounds, given.first_token / 1e3, size))
        halves = [statistics.median(off[::2]), statistics.median(off[1::2])]
        added, noise = statistics.median(on) - statistics.median(off), abs(halves[0] - halves[1])
        tail = sorted(on)[int(len(on) * 0.95)] - sorted(off)[int(len(off) * 0.95)]
        refusals = f", {refused} refused" if refused else ""
        beside = f"(off against itself {noise:.2f}), at the 95th percentile {tail:+7.2f}{refusals}"
        print(f"  {size:5d} B: added {added:+7.2f} {beside}")


if __name__ == "__main__":
    main()
