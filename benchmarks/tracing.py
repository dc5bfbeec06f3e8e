"""What does tracing cost per request and per streamed chunk, where it is off, where it does not sample, where it does?

CPU microseconds of the whole process (the thread that sends the spans included) for Guard around an app that answers at
once, in interleaved rounds; the median of the rounds, and its ratio to that without traces. A collector on loopback, in
a process of its own, takes what comes. Requests, answers and chunks are those of in_process.py.

    python benchmarks/tracing.py [--rounds 9]
"""

import argparse
import asyncio
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from lab.calls import CHUNKS, Bare, call
from prometheus_client import CollectorRegistry

from guard.transports.asgi import GuardMiddleware
from guard.transports.runtime import Runtime

COLLECTOR = """
import http.server, sys
class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(server.server_port, flush=True)
server.serve_forever()
"""
CONFIG = """
state_dir: {state}
admin: off
models: {{bench: {{license: llama-2}}}}
screening: {{neural: {{scope: "off"}}}}
outputs: {{receipts: false}}
"""
KINDS = {"off": None, "not sampled": 0.0, "a tenth": 0.1, "all": 1.0}


async def started(stack, folder, port, sample):
    """Return Guard around a bare app, with traces of the share ``sample`` (None: off)."""
    state = Path(tempfile.mkdtemp(dir=folder))
    text = CONFIG.format(state=state)
    if sample is not None:
        text += f"observability: {{traces: {{endpoint: 'http://127.0.0.1:{port}', sample: {sample}}}}}\n"
    (state / "guard.yaml").write_text(text)
    runtime = Runtime(state / "guard.yaml", registry=CollectorRegistry())
    await runtime.start()
    stack.push_async_callback(runtime.stop)
    return GuardMiddleware(Bare(), runtime)


async def measure(folder, port, rounds):
    """Return by kind the microseconds per request and per chunk, one figure per round."""
    async with AsyncExitStack() as stack:
        apps = {kind: await started(stack, folder, port, sample) for kind, sample in KINDS.items()}
        found = {kind: ([], []) for kind in KINDS}
        for app in apps.values():
            await paid(app, 600, False)
        for _ in range(rounds):
            for kind, app in apps.items():
                request = await paid(app, 400, False)
                found[kind][0].append(request)
                found[kind][1].append((await paid(app, 40, True) - request) / CHUNKS)
        return found


async def paid(app, count, streamed):
    """Return the microseconds per call, with those of sending its spans: they are not to be another kind's."""
    each = await call(app, count, streamed=streamed)
    tracing = app.runtime.tracing
    if tracing is None:
        return each
    began = time.process_time()
    await asyncio.to_thread(tracing._provider.force_flush)  # noqa: SLF001 - there is no other need to wait for it
    return each + (time.process_time() - began) / count * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, "-c", COLLECTOR], stdout=subprocess.PIPE, text=True) as collector,
    ):
        try:
            found = asyncio.run(measure(folder, int(collector.stdout.readline()), rounds))
        finally:
            collector.terminate()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {rounds} rounds")
    base = [statistics.median(numbers) for numbers in found["off"]]
    for kind, numbers in found.items():
        request, chunk = map(statistics.median, numbers)
        ratios = f"({request / base[0]:.2f})", f"({chunk / base[1]:.2f})"
        print(f"{kind:12} request {request:7.1f} us {ratios[0]}   chunk {chunk:6.2f} us {ratios[1]}")


if __name__ == "__main__":
    main()
