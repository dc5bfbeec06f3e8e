"""Does a request cost more under more rules, or under more licenses?

Guard with 1 to 500 patterns of an operator's own (four fifths phrases, one fifth regular expressions) beside those that
it ships, before one model under one license and before one under each license that it ships. A prompt of 1 KB, an
answer of 0.7 KB, everything on. Also: how long a policy takes to load, and how much memory the process has.

    python benchmarks/policies.py [--rounds 5] [--json FILE]
"""

import json
import subprocess
import sys

from lab.figures import Figures
from lab.question import amount, ask, cell, options, table
from lab.systems import EVERYTHING_ON, Guard, merged
from lab.texts import SHARED
from request_cost import CONNECTIONS, PROMPT, TOKENS, USERS

from guard.policy.packs import shipped_packs

RULES = (1, 10, 100, 500)
LOAD = """
import sys, time
from pathlib import Path
from guard.policy.load import load
began = time.process_time()
load(Path(sys.argv[1]))
print(time.process_time() - began)
"""


class Policied(Guard):
    """Guard with ``rules`` patterns and, where ``every_pack``, a model under each license."""

    def __init__(self, rules, *, every_pack):
        packs = "all packs" if every_pack else "1 pack"
        super().__init__(f"rules_{rules}_{'all' if every_pack else 'one'}", f"{rules} patterns, {packs}", EVERYTHING_ON)
        self.rules, self.every_pack = rules, every_pack

    def command(self, folder, upstream):
        """Write a guard.yaml of its own over the usual one."""
        command = super().command(folder, upstream)
        path = folder / "guard.yaml"
        given = json.loads(path.read_text())
        if self.every_pack:
            given["models"] |= {f"model-{pack}": {"license": pack} for pack in packs()}
        path.write_text(json.dumps(merged(given, self.settings)))
        phrases = -(-self.rules * 4 // 5)
        written = {"S2.bench-phrases": {"anchors": SHARED[0][:phrases]},
                   "S2.bench-expressions": {"patterns": SHARED[1][: self.rules - phrases]}}  # fmt: skip
        rules = [{"id": name, "directions": ["prompt", "output"], **what} for name, what in written.items()
                 if all(what.values())]  # fmt: skip
        (folder / "rules.yaml").write_text(json.dumps({"category": "S2", "rules": rules}))
        self.policy = path
        return command


def packs():
    """Return the ids of the licenses that Guard ships."""
    return sorted(shipped_packs())


def loading(path):
    """Return the CPU milliseconds in which a fresh process loads the policy at ``path``."""
    done = subprocess.run([sys.executable, "-c", LOAD, path], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout) * 1000


def systems(rules=RULES):
    """Return every combination."""
    return [Policied(number, every_pack=every) for number in rules for every in (False, True)]


def measure(stand, given, result):
    """Ask in rounds; then load each policy a few times."""
    bodies, figures = stand.bodies(users=USERS, prompt=PROMPT, tokens=TOKENS), Figures(stand.systems)
    seconds = 0.4 if given.quick else 1.0
    for system in stand.turns(given.rounds):
        figures.round = stand.round
        stand.load(system, "closed", bodies, seconds=0.3, connections=CONNECTIONS)
        load = stand.load(system, "closed", bodies, seconds=seconds, connections=CONNECTIONS)
        figures.add(system.name, "cpu_us", load.cpu_us_per_request)
        figures.add(system.name, "resident_mib", system.resident() / 2**20)
    for number in range(1 if given.quick else 3):
        for system in stand.systems.values():
            figures.add(system.name, "load_ms", loading(system.policy), round=number)
    content = result.content
    content["settings"] = {"rules": list(RULES), "packs": len(packs()), "prompt_bytes": PROMPT, "seconds": seconds}
    content["figures"] = figures.summary()
    first = "rules_1_one"
    content["ratios"] = {f"{name} / {first}": figures.ratio(name, first, "cpu_us") for name in figures.rounds}
    print(f"\n{content['question']}\n")
    rows = [
        [stand.systems[name].label, cell(found["cpu_us"]), amount(content["ratios"][f"{name} / {first}"]["median"]),
         amount(found["load_ms"]["median"]), amount(found["resident_mib"]["median"])]
        for name, found in content["figures"].items()
    ]  # fmt: skip
    print(table(rows, ["", "CPU us a request", "/ the first", "load, ms", "MiB"]))


if __name__ == "__main__":
    asked = options(__doc__, rounds=5)
    asked.systems = systems()
    ask("policies", __doc__, asked, measure)
