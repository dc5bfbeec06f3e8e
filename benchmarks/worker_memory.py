"""How much memory does one worker take that has seen a million users this month?

Resident bytes of a process that runs everything a sidecar's worker runs (policy, rules, ledger, spool, audit) before
and after the sightings, from /proc.

    python benchmarks/worker_memory.py [--users 1000000]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

WORKER = """
import asyncio, sys, time
from pathlib import Path
from guard.transports.asgi import GuardMiddleware
from guard.transports.runtime import Runtime

def resident():
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024

async def main(path, users):
    runtime = Runtime(Path(path))
    GuardMiddleware(lambda scope, receive, send: None, runtime)
    await runtime.start()
    before, key, sight = resident(), runtime.services.pseudonyms.at(0).key, runtime.counter.sight
    for number in range(users):
        sight(("llama-2",), key("", f"user-{number}"), time.time())
        if number % 1000 == 0:
            await asyncio.sleep(0)
    while runtime.counter.spool_records:
        await asyncio.sleep(0.05)
    assert runtime.counter.counts(time.time())["llama-2"].users == users
    print(before, resident())
    await runtime.stop()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guard.yaml"
        path.write_text(f"state_dir: {folder}/state\nmodels: {{tiny: {{license: llama-2}}}}\n")
        command = [sys.executable, "-c", WORKER, str(path), str(options.users)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    before, after = map(int, output.split())
    print(json.dumps({"users": options.users, "MiB before": before / 2**20, "MiB after": after / 2**20}))


if __name__ == "__main__":
    main()
