"""How fast is `guard screen` with tiers 1 and 2, and what does the time go into?

Whole processes: real benign prompts (data/screening/calibration.jsonl.gz) through `guard screen --neural off` with the
shipped rules. The time to start is taken off by running a short and a long input: what the rest of the long one took,
in CPU seconds of the one process, is the rate. Shares: the same steps one by one in this process, in interleaved
rounds, as CPU microseconds a KB. A KB is 1024 bytes of text; JSON around it is not counted.

    python benchmarks/screening_batch.py [--rounds 5] [--copies 4] [--json]      (a table, or JSON)
"""

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from guard.cli.screening.lines import read
from guard.cli.screening.tiers import Tiers
from guard.cli.screening.verdict import Rulings
from guard.policy.load import load
from guard.screening.normalize import fold
from guard.screening.segments import Segment, Source

DATA = Path(__file__).parent.parent / "data" / "screening" / "calibration.jsonl.gz"
GOAL = 5000
"""KB a second on one core."""


def inputs():
    """Return the lines as `guard screen` reads them, and the KB of text in them."""
    rows = [json.loads(row) for row in gzip.decompress(DATA.read_bytes()).splitlines()]
    lines = [json.dumps({"text": row["text"], "role": row["role"]}).encode() for row in rows]
    return lines, sum(len(row["text"].encode()) for row in rows) / 1024


def child(path, arguments):
    """Return CPU and wall seconds of `guard screen` with the file ``path`` as input."""
    command = [sys.executable, "-m", "guard", "screen", "--neural", "off", *arguments]
    began = time.perf_counter()
    with path.open("rb") as given:
        process = subprocess.Popen(command, stdin=given, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began


def rates(lines, size, rounds, copies, arguments=()):
    """Return KB a second by CPU time and by the clock, one pair a round."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder, "short"), Path(folder, "long")
        short.write_bytes(b"\n".join(lines[:10]) + b"\n")
        long.write_bytes((b"\n".join(lines) + b"\n") * copies)
        for _ in range(rounds):
            small, large = child(short, arguments), child(long, arguments)
            found.append(tuple(size * copies / (much - little) for much, little in zip(large, small, strict=True)))
    return [sorted(column) for column in zip(*found, strict=True)]


def shares(lines, size, rounds):
    """Return CPU microseconds a KB by step, medians over the rounds; "all" is the whole answer to a line."""
    snapshot = load(None, {"unknown_models": "undetermined", "screening.neural.scope": "off"}).snapshot
    tiers, rulings, encode = Tiers(snapshot), Rulings(snapshot, None), msgspec.json.Encoder().encode
    read_lines = [read(line) for line in lines]
    segments = [[Segment(Source.USER, line.text)] for line in read_lines]
    readings = [tiers.read(line.text, line.source) for line in read_lines]
    verdicts = [rulings.verdict(reading) for reading in readings]
    rules, learned = snapshot.rules.scan, snapshot.learned.model.scan

    def whole(raw):
        line = read(raw)
        return encode(rulings.verdict(tiers.read(line.text, line.source)))

    steps = {
        "JSON in": (read, lines),
        "JSON out": (encode, verdicts),
        "fold once": (fold, [line.text for line in read_lines]),
        "rules": (rules, segments),
        "learned": (learned, segments),
        "all": (whole, lines),
    }
    found = {name: [] for name in steps}
    for _ in range(rounds):
        for name, (step, given) in steps.items():
            began = time.process_time()
            for one in given:
                step(one)
            found[name].append((time.process_time() - began) / size * 1e6)
    return {name: statistics.median(each) for name, each in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=4, help="how often the long input holds the prompts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lines, size = inputs()
    steps = shares(lines, size, options.rounds)
    cpu, clock = rates(lines, size, options.rounds, options.copies)
    rules_only, _ = rates(lines, size, options.rounds, options.copies, ("--learned", "off"))
    results = {
        "machine": platform.machine(), "python": platform.python_version(), "prompts": len(lines), "KB": round(size),
        "goal KB/s": GOAL, "KB/s by CPU": cpu, "KB/s by the clock": clock, "KB/s by CPU, rules alone": rules_only,
        "microseconds a KB": steps,
    }  # fmt: skip
    if options.json:
        print(json.dumps(results, indent=1))
        return
    print(f"{len(lines)} prompts, {size:.0f} KB; Python {platform.python_version()}, {platform.machine()}")
    for name, each in (("rules and learned", cpu), ("... by the clock", clock), ("rules alone", rules_only)):
        spread = f"[{each[0]:.0f} - {each[-1]:.0f}]"
        goal = f"   goal {GOAL}" if each is cpu else ""
        print(f"{name:20} {statistics.median(each):7.0f} KB/s   {spread}{goal}")
    whole = steps.pop("all")
    print(f"CPU microseconds a KB: {whole:.1f}, of which")
    for name, each in steps.items():
        print(f"    {name:12} {each:6.1f}   {each / whole:4.0%}")
    rest = whole - sum(each for name, each in steps.items() if name != "fold once")
    print(f"    {'the rest':12} {rest:6.1f}   {rest / whole:4.0%}   (rules and learned fold by themselves)")


if __name__ == "__main__":
    main()
