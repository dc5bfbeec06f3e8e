"""What do receipts and fingerprints cost where somebody waits, and what behind that?

1. CPU of the calling thread for handing over one choice (begun, finished, ended), and of the threads behind it, per
   choice and per token (285 made-up words are taken for 380 tokens), with journal, seals and fingerprints.
2. The same streamed answers through two sidecars, each a process of its own before the same embedded upstream, one with
   ``outputs.receipts`` on and one with it off: time to the first event, and per event from there to the last. Rounds of
   four answers at a time, to one and to the other in changing order; shown are the median of the differences and, as
   the noise they have to be seen against, the median of what two rounds of the same sidecar differ by.

    python benchmarks/provenance_path.py [--choices 2000] [--pairs 60] [--tokens 190] [--pace 5]
"""

import argparse
import asyncio
import itertools
import json
import platform
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from pydoc_data.topics import topics

from guard.evidence.chain import Journal
from guard.evidence.signing import Signer
from guard.provenance.layout import Layout
from guard.provenance.months import MonthKeys
from guard.provenance.recorder import Recorder

KEY = bytes(range(32))
WORDS, TOKENS = 285, 380
WARM = 5
"""Rounds that are not counted."""
AT_ONCE = 4
"""Answers of one sidecar at a time: what is done behind one may delay another."""
UPSTREAM = """
import asyncio, json, sys
import uvicorn

tokens, pace = json.loads(sys.argv[2]), float(sys.argv[3])
head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}

def event(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\\n\\n"

events = [event({"content": token}) for token in tokens] + [event({}, "stop") + b"data: [DONE]\\n\\n"]

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for each in events:
        await asyncio.sleep(pace)
        await send({"type": "http.response.body", "body": each, "more_body": True})
    await send({"type": "http.response.body", "body": b""})

uvicorn.run(app, port=int(sys.argv[1]), log_level="error", lifespan="off")
"""
CONFIG = """
upstream: http://127.0.0.1:{upstream}
listen: 127.0.0.1:{listen}
admin: "off"
state_dir: {state}
license: llama-2
outputs: {{receipts: {receipts}}}
"""


def prose(chance, length):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(length)]


def handing_over(choices):
    """Return CPU seconds of this thread and of those behind it for ``choices`` choices."""
    chance = random.Random(1)
    texts = [" ".join(prose(chance, WORDS)) for _ in range(choices)]
    prompt = " ".join(prose(chance, 40))
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        journal = Journal(layout.audit, instance="guard-0", signer=Signer(layout.signing))
        recorder = Recorder(layout.provenance, KEY, MonthKeys(layout.keys), "guard-0", journal)
        journal.start()
        recorder.start()
        path, all_threads = 0.0, time.process_time()
        own = time.thread_time()
        for number, text in enumerate(texts):
            began = time.thread_time()
            recorder.begun()
            recorder.finished(
                reference=f"{number:020x}", choice=0, time=1_795_000_000.0, model="m", licenses=("llama-2",),
                policy="0" * 64, surface="chat", prompt=prompt, output=(text,), tenant="a-tenant", user=number,
                purpose="serve", prompt_tokens=20, completion_tokens=TOKENS, finish_reason="stop",
            )  # fmt: skip
            recorder.ended()
            path += time.thread_time() - began
            if number % 16 == 0:
                time.sleep(0.002)  # as an event loop has other things to do
        while recorder.writer.waiting:
            time.sleep(0.01)
        recorder.close()
        journal.close()
        behind = time.process_time() - all_threads - (time.thread_time() - own)
        assert recorder.writer.tally.written == recorder.journaled == choices, "nothing was left out"
    clock = time.thread_time()
    for _ in range(choices):
        time.thread_time()
    return path - (time.thread_time() - clock), behind


class Sidecar:
    """A client of one sidecar, over one connection."""

    def __init__(self, port):
        self.port = port

    async def connect(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def ask(self, late, number):
        """Begin ``late`` seconds late; return the seconds until the first event, and per event to the last."""
        await asyncio.sleep(late)
        body = json.dumps(
            {"model": "m", "stream": True, "user": "u", "messages": [{"role": "user", "content": f"Say {number}."}]}
        ).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        self.writer.write(head.encode() + body)
        status = await self.reader.readuntil(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 200"), status
        times, text = [], b""
        while True:
            size = int((await self.reader.readuntil(b"\r\n")), 16)
            text += (await self.reader.readexactly(size + 2))[:size]
            if not size:
                break
            times.append(time.perf_counter())
        assert b"[DONE]" in text
        events = text.count(b"data: ")
        return times[0] - began, (times[-1] - times[0]) / (events - 1)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def streams(pairs, tokens, pace):
    """Return the pairs of (to the first event, per event) with receipts on and off."""
    text = " ".join(topics[name] for name in sorted(topics)).split()
    words = [f"{word} " for word in text[:tokens]]
    upstream, ports, running = free_port(), {}, []
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory() as folder:
        try:
            arguments = [str(upstream), json.dumps(words), str(pace)]
            running.append(subprocess.Popen([sys.executable, "-c", UPSTREAM, *arguments]))
            for receipts in ("true", "false"):
                ports[receipts] = listen = free_port()
                path, state = Path(folder) / f"{receipts}.yaml", Path(folder) / receipts
                path.write_text(CONFIG.format(upstream=upstream, listen=listen, state=state, receipts=receipts))
                command = [sys.executable, "-m", "guard", "serve", "--config", str(path)]
                running.append(subprocess.Popen(command, **silent))
            return asyncio.run(compare(ports, pairs))
        finally:
            for process in reversed(running):
                process.send_signal(signal.SIGTERM)
            for process in running:
                process.wait(30)


async def compare(ports, pairs):
    """Ask both sidecars in turn, each in several connections at once; return what was measured of each."""
    clients = {receipts: [Sidecar(port) for _ in range(AT_ONCE)] for receipts, port in ports.items()}
    taken = {receipts: [] for receipts in clients}
    for client in itertools.chain(*clients.values()):
        await client.connect()
    for number in range(pairs + WARM):
        for receipts in random.Random(number).sample(list(clients), 2):
            found = await asyncio.gather(*(client.ask(at / 50, number) for at, client in enumerate(clients[receipts])))
            if number >= WARM:
                taken[receipts].append([statistics.mean(values) for values in zip(*found, strict=True)])
    for client in itertools.chain(*clients.values()):
        client.writer.close()
    return taken["true"], taken["false"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--choices", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=190)
    parser.add_argument("--pace", type=float, default=5.0, help="milliseconds between two events of the upstream")
    given = parser.parse_args()
    print(platform.processor() or platform.machine())
    path, behind = handing_over(given.choices)
    for what, seconds in (("handing over", path), ("behind it", behind)):
        each = seconds / given.choices * 1e6
        print(f"{what}: {each:.1f} us CPU a choice, {each / TOKENS:.3f} a token")
    on, off = streams(given.pairs, given.tokens, given.pace / 1e3)
    for what, at in (("to the first event", 0), ("per event", 1)):
        with_, without = ([one[at] * 1e6 for one in side] for side in (on, off))
        added = statistics.median(a - b for a, b in zip(with_, without, strict=True))
        noise = statistics.median(abs(a - b) for side in (with_, without) for a, b in pairwise(side))
        base = statistics.median(without)
        print(f"{what}: {base:.0f} us off, {added:+.1f} us on (two rounds of the same differ by {noise:.1f})")


if __name__ == "__main__":
    main()
