"""Has the working tree become slower than a base revision, or further from nginx than it is recorded to be?

Three comparisons, each of which can fail:

1. CPU per request and per paced chunk, working tree over base, both in the same rounds: the median of the ratios;
2. the same over nginx, against what benchmarks/results holds of it, which was measured on a quiet machine;
3. instructions per request and per stream in one process, working tree over base, counted by valgrind: they hardly
   differ between two runs, so far less slack is given; ``--no-count`` leaves them out (they take some minutes).

Ends with 1 where the working tree is slower than the slack allows.

    python benchmarks/gate.py [BASE] [--pairs 7] [--slack 25] [--count-slack 10] [--no-count]
"""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from lab.base import checkout, python
from lab.figures import Figures
from lab.question import amount, options, table
from lab.results import ROOT, read
from lab.stand import Stand
from lab.systems import EVERYTHING_ON, RULES_ON, Guard
from request_cost import CONNECTIONS, PROMPT, TOKENS, USERS
from stream_cost import TOKENS as STREAM_TOKENS

SETTINGS = {"guard_rules": RULES_ON, "guard_all": EVERYTHING_ON}
FEWEST_PAIRS = 5
COUNTED = {"request": (1000, ()), "stream": (100, ("stream",))}
"""How many of each, and how counted.py is asked."""


def timed(tree, given):
    """Return ``Figures`` of nginx and of both trees, requests and streams."""
    systems = ["nginx"]
    for name, settings in SETTINGS.items():
        systems += [Guard(f"{name}@base", name, settings, tree=tree), Guard(name, name, settings)]
    figures = Figures()
    with Stand(systems, strict=True) as stand:
        bodies = stand.bodies(users=USERS, prompt=PROMPT, tokens=TOKENS)
        streams = stand.bodies(users=USERS, prompt=PROMPT, tokens=STREAM_TOKENS, stream=True, paced=True)
        for system in stand.turns(given.pairs):
            figures.round = stand.round
            stand.load(system, "closed", bodies, seconds=0.4, connections=CONNECTIONS)
            load = stand.load(system, "closed", bodies, seconds=1.0, connections=CONNECTIONS)
            figures.add(system.name, "request", load.cpu_us_per_request)
            load = stand.load(system, "stream", streams, seconds=1.2, connections=50)
            figures.add(system.name, "chunk", load.cpu_us_per_chunk)
    return figures


def instructions(tree, number, *how):
    """Return the instructions of a process that answers ``number`` requests. Raises RuntimeError."""
    command, path = python(tree, "counted.py", number, *how)
    counter = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    done = subprocess.run([*counter, *command], capture_output=True, text=True, check=False, env=environment)
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(f"counting {' '.join(command[1:])} failed:\n{done.stderr[-800:]}")
    return int(found[1].replace(",", ""))


def counted(tree):
    """Return the thousands of instructions by request and by stream."""
    with ThreadPoolExecutor(2) as pool:
        none = pool.submit(instructions, tree, 0)
        wanted = {what: pool.submit(instructions, tree, number, *how) for what, (number, how) in COUNTED.items()}
        return {what: (wanted[what].result() - none.result()) / COUNTED[what][0] / 1000 for what in COUNTED}


def compare(figures, slack):
    """Return rows (what, found, allowed, kept) of the comparisons by time."""
    rows = []
    for what, recorded, kept in (("request", "request_cost", "cpu_us"), ("chunk", "stream_cost", "paced_us")):
        known = read(recorded) or {"ratios": {}}
        for name in SETTINGS:
            ratio = figures.ratio(name, f"{name}@base", what)["median"]
            rows.append((f"{name}, CPU a {what}, / base", ratio, 1 + slack, ratio <= 1 + slack))
            before = known["ratios"].get(f"{name} / nginx")
            if before is not None:
                ratio, allowed = figures.ratio(name, "nginx", what)["median"], before["median"] * (1 + slack)
                rows.append((f"{name}, CPU a {what}, / nginx ({kept} recorded {before['median']:.2f})", ratio, allowed,
                             ratio <= allowed))  # fmt: skip
    return rows


def more(parser):
    """Add what the gate is asked about."""
    parser.add_argument("base", nargs="?", default="HEAD", metavar="BASE", help="a revision; default HEAD")
    parser.add_argument("--pairs", type=int, default=7, help=f"rounds, at least {FEWEST_PAIRS}; default 7")
    parser.add_argument("--slack", type=float, default=25.0, help="percent, of times; default 25")
    parser.add_argument("--count-slack", type=float, default=10.0, help="percent, of instructions; default 10")
    parser.add_argument("--no-count", action="store_true", help="do not count instructions")


def main():
    given = options(__doc__, more=more)
    if given.pairs < FEWEST_PAIRS:
        sys.exit(f"--pairs {given.pairs}; allowed: {FEWEST_PAIRS} or more, for a single pair strays too far")
    with tempfile.TemporaryDirectory(prefix="guard-base-") as folder:
        try:
            base = checkout(given.base, folder)
        except ValueError as error:
            sys.exit(str(error))
        rows = compare(timed(base, given), given.slack / 100)
        if not given.no_count:
            before, now = counted(base), counted(ROOT)
            for what in COUNTED:
                ratio, allowed = now[what] / before[what], 1 + given.count_slack / 100
                rows.append(
                    (f"instructions a {what} ({amount(before[what])} k before)", ratio, allowed, ratio <= allowed)
                )
    shown = [[what, f"{found:.2f}", f"{allowed:.2f}", "yes" if kept else "NO"] for what, found, allowed, kept in rows]
    print(table(shown, [f"working tree against {given.base}", "found", "allowed", "kept"]))
    sys.exit(0 if all(kept for *_, kept in rows) else 1)


if __name__ == "__main__":
    main()
