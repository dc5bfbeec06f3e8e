"""What does it cost to count a user: CPU per repeat and per first sighting, beside Synapse's scheme, and added latency?

CPU microseconds of the whole process (the flusher's thread included) for requests of known users and of new ones, on
each ledger, in interleaved rounds with Synapse's scheme on the same number of users; medians and spread. The cost of a
sighting includes making the pseudonym. The latency is that of requests through the middleware in front of an app that
answers after 50 ms, of new users and of known ones in turn.

    python benchmarks/sightings.py [--rounds 5] [--users 5000]      (JSON; a table on standard error)
"""

import argparse
import asyncio
import json
import platform
import shutil
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from lab.store import redis_server
from peers.synapse import MonthlyActiveUsers
from prometheus_client import CollectorRegistry

from guard.transports.asgi import GuardMiddleware
from guard.transports.runtime import Runtime
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.counter import UsageCounter
from guard.usage.period import Calendar
from guard.usage.pseudonym import Pseudonymizer
from guard.usage.spool import Spool

say = partial(print, file=sys.stderr, flush=True)
CONFIG = """
state_dir: {state}
models: {{tiny: {{license: llama-2}}}}
outputs: {{receipts: false, fingerprints: false}}
evidence: {{audit: false}}
"""
LICENSES = ("qwen-2024",)
NOW = time.time()


def cpu(work, *arguments):
    """Return the CPU seconds of this process for ``work(*arguments)``."""
    began = time.process_time()
    work(*arguments)
    return time.process_time() - began


def noted(synapse, names, now):
    """Let Synapse's scheme note every user of ``names`` at ``now``."""
    for name in names:
        synapse.populate(name, now)


class Counting:
    """A counter on the ledger at ``url``."""

    def __init__(self, folder, url):
        self.pseudonyms = Pseudonymizer(bytes(32))
        self.ledger = open_ledger(url)
        spool = Spool(folder / "spool", self.pseudonyms.fingerprint_of, keep=self.ledger.forgetful)
        self.counter = UsageCounter(self.ledger, spool, Calendar())
        self.counter.start()

    def first(self, users):
        """Sight users, each for the first time, at the pace of a busy server, and wait until the ledger has them."""
        key, sight = self.pseudonyms.key, self.counter.sight
        for number, user in enumerate(users):
            sight(LICENSES, key("", user), NOW)
            if number % 200 == 0:
                time.sleep(0.02)
        while self.counter.spool_records:
            time.sleep(0.01)

    def repeat(self, users):
        """Sight users who were sighted before."""
        key, sight = self.pseudonyms.key, self.counter.sight
        for user in users:
            sight(LICENSES, key("", user), NOW)

    def close(self):
        """Stop everything."""
        self.counter.stop(10)
        self.ledger.close()


def compare(folder, url, rounds, users):
    """Return CPU microseconds per sighting, one figure per round: first and repeated, Guard's and Synapse's."""
    guard, synapse = Counting(folder, url), MonthlyActiveUsers(folder / "synapse.db")
    found = {name: [] for name in ("first", "repeat", "synapse first", "synapse repeat", "synapse hourly")}
    for number in range(rounds):
        names = [f"user-{number}-{user}" for user in range(users)]
        now = NOW + number * 7200
        found["first"].append(cpu(guard.first, names))
        found["synapse first"].append(cpu(noted, synapse, names, now))
        found["repeat"].append(cpu(guard.repeat, names))
        found["synapse repeat"].append(cpu(noted, synapse, names, now + 60))
        found["synapse hourly"].append(cpu(noted, synapse, names, now + 3700))
    guard.close()
    return {name: sorted(each / users * 1e6 for each in figures) for name, figures in found.items()}


async def latency(folder, requests=400):
    """Return the wall seconds of requests of new and of known users in turn, before an app that takes 50 ms."""
    path = folder / "guard.yaml"
    path.write_text(CONFIG.format(state=folder / "state"))
    runtime = Runtime(path, registry=CollectorRegistry())
    await runtime.start()

    async def app(_scope, receive, send):
        await receive()
        await asyncio.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        message = {"role": "assistant", "content": "Yes."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "tiny", "choices": [choice]}
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    guarded = GuardMiddleware(app, runtime)

    async def request(user):
        body = json.dumps(
            {"model": "tiny", "user": user, "messages": [{"role": "user", "content": "Is it Tuesday?"}]}
        ).encode()
        scope = {
            "type": "http", "method": "POST", "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions",
            "query_string": b"", "client": ("127.0.0.1", 1),
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        }  # fmt: skip
        began = time.perf_counter()

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            assert message.get("status", 200) == 200

        await guarded(scope, receive, send)
        return time.perf_counter() - began

    found = {"new": [], "known": []}
    await request("known")
    for number in range(requests):
        found["new"].append(await request(f"new-{number}"))
        found["known"].append(await request("known"))
    await runtime.stop()
    return {name: statistics.median(figures) for name, figures in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", type=int, default=5000)
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sqlite").mkdir()
        url = sqlite_url(folder / "sqlite" / "ledger.db")
        results["sqlite"] = compare(folder / "sqlite", url, options.rounds, options.users)
        if shutil.which("redis-server"):
            (folder / "redis").mkdir()
            with redis_server(folder) as (url, _):
                results["redis"] = compare(folder / "redis", url, options.rounds, options.users)
        for ledger, figures in results.items():
            for what, each in figures.items():
                say(f"{ledger:7} {what:15} {statistics.median(each):8.2f} us CPU   [{each[0]:.2f} - {each[-1]:.2f}]")
            median = {what: statistics.median(each) for what, each in figures.items()}
            ratio = median["synapse first"] / median["first"]
            say(f"{ledger:7} Synapse's first sighting costs {ratio:.1f} times ours")
        waits = asyncio.run(latency(folder))
        added = waits["new"] - waits["known"]
        say(f"latency {1e3 * waits['known']:.2f} ms known, {1e3 * added:+.3f} ms new ({added / waits['known']:+.2%})")
    machine = {"machine": platform.machine(), "python": platform.python_version(), "system": platform.release()}
    print(json.dumps({"machine": machine, "cpu microseconds": results, "seconds at a 50 ms upstream": waits}, indent=1))


if __name__ == "__main__":
    main()
