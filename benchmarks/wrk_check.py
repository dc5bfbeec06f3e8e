"""Does another load generator, wrk, see the same as ours in the same turn?

wrk asks as fast as it is answered over 64 connections, as our generator does. Compared are requests a second and CPU
microseconds a request; the ratio of the two generators' figures should be 1.

    python benchmarks/wrk_check.py [--rounds 3] [--systems NAME ...] [--json FILE]
"""

import json
import os
import re
import subprocess

from lab.figures import Figures
from lab.machine import LOAD_CORE
from lab.question import amount, ask, cell, label, options, table
from peers.install import installed, version
from request_cost import PROMPT, TOKENS, USERS

SYSTEMS = ("direct", "nginx", "haproxy", "vllm_router", "guard_rules", "guard_all")
SCRIPT = """
local bodies, at = {{}}, 0
for line in io.lines({path}) do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function() at = at % #bodies + 1; return wrk.format(nil, nil, nil, bodies[at]) end
"""


def by_wrk(system, script, seconds):
    """Return requests a second and CPU microseconds a request. Raises RuntimeError where wrk saw an error."""
    url = f"http://127.0.0.1:{system.port}/v1/chat/completions"
    command = [installed("wrk"), "-t1", f"-c{system.connections}", f"-d{seconds}s", "-s", script, url]
    before = system.cpu_ns()
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE})
    )
    used = system.cpu_ns() - before
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{system.name}: {done.stdout}")
    requests = int(re.search(r"(\d+) requests in", done.stdout).group(1))
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1)), used / 1000 / requests


def measure(stand, given, result):
    """Ask by both in each turn."""
    taking_part = stand.names_of(given.systems)
    bodies = stand.bodies(users=USERS, prompt=PROMPT, tokens=TOKENS)
    script = stand.folder / "bodies.lua"
    script.write_text(SCRIPT.format(path=json.dumps(str(bodies))))
    figures, seconds = Figures(taking_part), 1 if given.quick else 2
    for system in stand.turns(given.rounds, given.systems):
        figures.round = stand.round
        with stand.or_without(system, figures):
            stand.load(system, "closed", bodies, seconds=0.3, connections=system.connections)
            load = stand.load(system, "closed", bodies, seconds=seconds, connections=system.connections)
            per_second, cpu = by_wrk(system, script, seconds)
            figures.add(system.name, "cpu_us", load.cpu_us_per_request)
            figures.add(system.name, "per_second", load.per_second)
            figures.add(system.name, "wrk_cpu_us", cpu)
            figures.add(system.name, "wrk_per_second", per_second)
    content = result.content
    content["versions"]["wrk"] = version("wrk")
    content["settings"] = {"seconds": seconds, "rounds": given.rounds}
    content["figures"] = figures.summary()
    for name in figures.rounds:
        content["ratios"][f"{name}: ours / wrk"] = figures.ratio(name, name, "cpu_us", "wrk_cpu_us")
    print(f"\n{content['question']}\n")
    rows = [
        [label(name), cell(found["cpu_us"]), cell(found["wrk_cpu_us"]), amount(found["per_second"]["median"]),
         amount(found["wrk_per_second"]["median"])]
        for name, found in content["figures"].items()
    ]  # fmt: skip
    print(table(rows, ["", "CPU us, ours", "CPU us, wrk", "requests/s, ours", "requests/s, wrk"]))


if __name__ == "__main__":
    ask("wrk_check", __doc__, options(__doc__, SYSTEMS, rounds=3), measure)
