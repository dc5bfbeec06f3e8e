"""Everything that matters about what Guard costs, in ten minutes, unattended, and the table of goals.

Asks the questions below one after the other; the first three, and wrk's cross-check, of systems that are started once.
What is found goes to benchmarks/results/, and from there into README.md, docs/performance.md and their plots (page.py).
A question that fails is told of and the others are asked. On a machine without the peers the first run installs them,
which takes some minutes more. Nothing else may run meanwhile: the results say how busy the machine was.

    python benchmarks/bench.py                 what `make bench` runs
    python benchmarks/bench.py --full          and the sweeps, the soak and vLLM's own benchmark: an hour and a half
    python benchmarks/bench.py --quick         a look: a few minutes, nothing is kept
"""

import argparse
import subprocess
import sys
import time
import traceback
from pathlib import Path

import added_latency
import page
import request_cost
import stream_cost
import wrk_check
from lab.goals import GOALS
from lab.goals import rows as goal_rows
from lab.question import ask, end_by_a_line, options, table
from lab.results import read_all
from lab.stand import Stand

HERE = Path(__file__).parent
SHARED = ((request_cost, 6), (stream_cost, 4), (added_latency, 3), (wrk_check, 1))
"""Asked of the same running systems, with so many rounds."""
ALONE = (("in_process", ()),)
PRINTED = (
    ("screening_tiers", ("--rounds", "3", "--rows", "300")),
    ("sightings", ("--rounds", "2", "--users", "2000")),
    ("ledgers", ("sqlite", "--users", "200000")),
    ("export_speed", ("--megabytes", "60", "--outputs", "200000")),
)
"""Of single parts, smaller than alone; what they find is printed and not kept."""
FULL = ("prompt_size", "streams", "tokens", "users", "policies", "workers", "scale", "memory_soak", "vllm_bench")


def alone(name, arguments):
    """Ask a question in a process of its own; return whether it was answered."""
    print(f"\n{name}:", flush=True)
    return subprocess.run([sys.executable, HERE / f"{name}.py", *arguments], check=False).returncode == 0


def together(quick):
    """Ask what is asked of the same systems; return the names of the questions that failed."""
    failed = []
    names = dict.fromkeys(name for question, _ in SHARED for name in question.SYSTEMS)
    with Stand(names) as stand:
        for question, rounds in SHARED:
            asked = options(question.__doc__, question.SYSTEMS, rounds=rounds, argv=["--quick"] if quick else [])
            try:
                ask(question.__name__, question.__doc__, asked, question.measure, stand=stand)
            except Exception:  # noqa: BLE001 - whatever one question meets, the next is asked
                traceback.print_exc()
                failed.append(question.__name__)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    kept = "what was answered before this question stays in benchmarks/results/"
    end_by_a_line("interrupted; nothing is kept" if given.quick else f"interrupted; nothing of it is kept, {kept}")
    began = time.monotonic()
    look = ("--quick",) if given.quick else ()
    failed = together(given.quick)
    failed += [name for name, arguments in ALONE if not alone(name, (*arguments, *look))]
    if not given.quick:
        failed += [name for name, arguments in PRINTED if not alone(name, arguments)]
    if given.full:
        failed += [name for name in FULL if (HERE / f"{name}.py").exists() and not alone(name, look)]
    if not given.quick:
        print()
        page.main([])
    minutes = f"after {(time.monotonic() - began) / 60:.1f} minutes"
    if given.quick:  # the goals go by what is kept, which is of another run
        print(f"\n{minutes}; nothing is kept, so nothing is said of the goals")
    else:
        results = read_all()
        print(f"\nGoals, by benchmarks/results/, {minutes}\n")
        print(table(goal_rows(results), ["goal", "bound", "measured", "met"]))
        print(f"\n{sum(goal.met(results) is True for goal in GOALS)} of {len(GOALS)} are met")
    for name in failed:
        print(f"{name} was not answered", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
