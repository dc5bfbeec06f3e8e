"""What does Guard add inside the server, per request and per streamed chunk, beside what nginx's whole hop costs?

CPU microseconds of a whole process, Guard's threads included, for an ASGI app bare and guarded, called without a
server, on one core, in interleaved pairs; a second after the calls belongs to them, for what is done behind the answers
in batches. A prompt of 1 KB, an answer of 0.7 KB, streams of 64 chunks of 7 characters. nginx is asked in every round,
as in request_cost.py and stream_cost.py, for a ratio within the round.

    python benchmarks/in_process.py [--rounds 6] [--json FILE]
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

from lab.calls import CHUNKS, PROMPT, TOKENS, USERS, call, guarded
from lab.figures import Figures
from lab.machine import PROXY_CORE
from lab.question import ask, cell, options, table
from lab.systems import EVERYTHING_ON, RULES_ON

CONFIGURATIONS = {"rules": ("rules on", RULES_ON), "all": ("everything on", EVERYTHING_ON)}
BEHIND_S = 1.0
REQUESTS, STREAMS = 2000, 100


class Process:
    """A process with one configuration: two Guards in one would count each other's threads."""

    def __init__(self, name):
        command = [sys.executable, __file__, "--child", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()
        self.process.send_signal(signal.SIGSTOP)

    def ask(self, requests, streams):
        """Return the microseconds added by request and by chunk. Raises RuntimeError where the process has ended."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{requests} {streams}\n")
        self.process.stdin.flush()
        found = self._read()
        self.process.send_signal(signal.SIGSTOP)
        return found

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the process that is called in has ended")
        return json.loads(line)

    def end(self):
        """End it."""
        self.process.kill()
        self.process.communicate()


async def child(name):
    """Measure whenever a line on standard input says how much."""
    os.sched_setaffinity(0, {PROXY_CORE})

    async def cost(app, count, streamed):
        began = time.process_time()
        await call(app, count, streamed=streamed)
        await asyncio.sleep(BEHIND_S)
        return (time.process_time() - began) / count * 1e6

    async with guarded(CONFIGURATIONS[name][1]) as (bare, wrapped):
        await asyncio.sleep(3 * BEHIND_S)  # what a start leaves to the threads is done
        print("0", flush=True)
        for line in sys.stdin:
            requests, streams = map(int, line.split())
            request = await cost(wrapped, requests, False) - await call(bare, requests, streamed=False)
            stream = await cost(wrapped, streams, True) - await call(bare, streams, streamed=True)
            print(json.dumps([request, stream / CHUNKS]), flush=True)


def measure(stand, given, result):
    """Ask in rounds: nginx, then each configuration bare and guarded."""
    whole = stand.bodies(users=USERS, prompt=PROMPT, tokens=TOKENS)
    paced = stand.bodies(users=USERS, prompt=PROMPT, tokens=CHUNKS, stream=True, paced=True)
    figures, seconds, part = Figures(), 0.3 if given.quick else 0.8, 2 if given.quick else 1
    processes = {name: Process(name) for name in CONFIGURATIONS}
    try:
        for system in stand.turns(given.rounds):
            figures.round = stand.round
            stand.load(system, "closed", whole, seconds=0.2)
            load = stand.load(system, "closed", whole, seconds=seconds)
            figures.add(system.name, "request_us", load.cpu_us_per_request)
            load = stand.load(system, "stream", paced, seconds=seconds * 1.5, connections=system.streams)
            figures.add(system.name, "chunk_us", load.cpu_us_per_chunk)
            if system.name == "nginx":
                for name, process in processes.items():
                    request, chunk = process.ask(REQUESTS // part, STREAMS // part)
                    figures.add(name, "request_us", request)
                    figures.add(name, "chunk_us", chunk)
    finally:
        for process in processes.values():
            process.end()
    content = result.content
    content["settings"] = {"prompt_bytes": PROMPT, "answer_characters": TOKENS * 7, "chunks": CHUNKS, "users": USERS,
                           "rounds": given.rounds}  # fmt: skip
    content["figures"] = figures.summary()
    content["ratios"] = {
        f"{name} / nginx, {what}": figures.ratio(name, "nginx", f"{what}_us")
        for name in CONFIGURATIONS
        for what in ("request", "chunk")
    }
    print(f"\n{content['question']}\n")
    rows = [
        [f"{called}: added per {what}", cell(content["figures"][name][f"{what}_us"]),
         cell(content["ratios"][f"{name} / nginx, {what}"])]
        for name, (called, _) in CONFIGURATIONS.items()
        for what in ("request", "chunk")
    ]  # fmt: skip
    print(table(rows, ["", "CPU us", "/ nginx's whole"]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        asyncio.run(child(sys.argv[2]))
    else:
        ask("in_process", __doc__, options(__doc__, ("nginx",), rounds=6), measure)
