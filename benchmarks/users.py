"""What do many users cost, in memory and for each request, from one to ten million in a month?

A worker that runs everything (learned tier, receipts, audit) is told of so many users by the counting code itself, then
answers requests in-process: of users whom it knows, and of ones it does not. Every number of users is a process of its
own. Resident bytes before and after, CPU microseconds of the whole process by first sighting, and by request. At 1.5
million users a worker drops what it knows of the others and asks the ledger; ten million take some minutes.

    python benchmarks/users.py [--users 1 1000 100000 1000000] [--json FILE]
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from lab.figures import Figures
from lab.question import amount, at_least_one, keep, options, table
from lab.results import Result

USERS = (1, 1_000, 100_000, 1_000_000)
WORKER = """
import asyncio, json, sys, time
from pathlib import Path
from guard.transports.asgi import GuardMiddleware
from guard.transports.runtime import Runtime
from lab.inside import Answers
from lab.texts import requests

def resident():
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024

async def cost(app, bodies, names):
    silent = asyncio.get_running_loop().create_future()
    async def send(message):
        pass
    began = time.process_time()
    for body, name in zip(bodies, names, strict=True):
        asked = [body.replace("user-000000", name).encode()]
        async def receive():
            return {"type": "http.request", "body": asked.pop(), "more_body": False} if asked else await silent
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(asked[0])).encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
                 "headers": headers, "client": ("127.0.0.1", 1)}
        await app(scope, receive, send)
    return (time.process_time() - began) / len(bodies) * 1e6

async def main(path, users, asked):
    runtime = Runtime(Path(path))
    app = GuardMiddleware(Answers(), runtime)
    await runtime.start()
    bodies = requests(users=1) * asked
    await cost(app, bodies, ["user-first"] * asked)
    before, key, sight = resident(), runtime.services.pseudonyms.at(0).key, runtime.counter.sight
    began = time.process_time()
    for number in range(users):
        sight(("llama-2",), key("", f"user-{number}"), time.time())
        if number % 1000 == 0:
            await asyncio.sleep(0)
    while runtime.counter.spool_records:
        await asyncio.sleep(0.05)
    first = (time.process_time() - began) / users * 1e6
    assert runtime.counter.counts(time.time())["llama-2"].users == users + 1
    after = resident()
    known = await cost(app, bodies, [f"user-{number % users}" for number in range(asked)])
    new = await cost(app, bodies, [f"new-{number}" for number in range(asked)])
    found = {"before_mib": before, "after_mib": after, "sighting_us": first, "known_us": known, "new_us": new}
    print(json.dumps(found))
    await runtime.stop()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""
MEASURES = ("before_mib", "after_mib", "sighting_us", "known_us", "new_us")


def worker(users, asked):
    """Return what a fresh process found with ``users`` users and ``asked`` requests of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guard.yaml"
        path.write_text(
            f"state_dir: {folder}/state\nmodels: {{bench: {{license: llama-2}}}}\n"
            'screening: {neural: {scope: "off"}}\n'
        )
        command = [sys.executable, "-c", WORKER, path, str(users), str(asked)]
        here = {"PYTHONPATH": str(Path(__file__).parent), "PATH": "/usr/bin:/bin"}
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=here).stdout)


def more(parser):
    """Add what this question is asked about."""
    parser.add_argument("--users", type=at_least_one, nargs="+", default=USERS, metavar="N")


def main():
    given = options(__doc__, rounds=1, more=more)
    result, figures = Result("users", __doc__.splitlines()[0]), Figures()
    asked = 200 if given.quick else 1000
    numbers = [number for number in given.users if not given.quick or number <= 1000]
    for figures.round in range(given.rounds):
        for number in numbers:
            print(f"{number:,} users ...", file=sys.stderr, flush=True)
            for measure, value in worker(number, asked).items():
                figures.add(str(number), measure, value)
    result.content["settings"] = {"requests": asked, "rounds": given.rounds}
    result.content["figures"] = figures.summary()
    print(f"\n{result.content['question']}\n")
    rows = [
        [f"{int(name):,}", *(amount(found[measure]["median"]) for measure in MEASURES)]
        for name, found in result.content["figures"].items()
    ]
    print(table(rows, ["users", "MiB before", "MiB after", "us a first sight", "us a request, known", "us, new"]))
    keep(result, given)


if __name__ == "__main__":
    main()
