"""Do two workers serve twice what one does?

``guard serve`` with one worker on one core, and with two on two, at saturation, interleaved; everything on. The load
and the stub take the second core's time from the second worker, so what is served tells less than what a request takes:
if its CPU, of all processes together, is the same with two workers as with one, nothing is shared that they wait for,
and two cores serve twice as much. Also how evenly the kernel dealt the connections out, by the workers' CPU.

    python benchmarks/workers.py [--rounds 6] [--json FILE]
"""

import os
from contextlib import suppress
from pathlib import Path

from lab.figures import Figures
from lab.question import amount, ask, options, table
from lab.systems import EVERYTHING_ON, Guard, merged
from lab.tree import cpu_ns

CONNECTIONS = 64
MEASURES = ("requests_s", "cpu_us", "evenness")


class Workers(Guard):
    """Guard with ``workers`` processes on as many cores."""

    def __init__(self, workers):
        super().__init__(f"workers_{workers}", f"{workers} workers", merged(EVERYTHING_ON, {"workers": workers}))
        self.workers = workers

    def wait(self, body, seconds=120.0):
        """Spread over the cores once all of it is there."""
        super().wait(body, seconds)
        for pid in self.pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(task.name), set(range(self.workers)))

    def serving(self):
        """Return the processes that serve: the supervisor does not."""
        return self.pids[1:] if self.workers > 1 else self.pids


def measure(stand, given, result):
    """Load each in turn."""
    figures, seconds = Figures(each.name for each in given.systems), 2 if given.quick else 6
    bodies = stand.bodies(users=500)
    for each in stand.turns(given.rounds):
        figures.round = stand.round
        before = [cpu_ns([pid]) for pid in each.serving()]
        load = stand.load(each, "closed", bodies, seconds=seconds, connections=CONNECTIONS)
        took = [cpu_ns([pid]) - was for pid, was in zip(each.serving(), before, strict=True)]
        figures.add(each.name, "requests_s", load.per_second)
        figures.add(each.name, "cpu_us", load.cpu_us_per_request)
        figures.add(each.name, "evenness", min(took) / max(took))
    result.content["settings"] = {"connections": CONNECTIONS, "seconds": seconds, "rounds": given.rounds}
    result.content["figures"] = found = figures.summary()
    one, two = (found[f"workers_{number}"]["cpu_us"]["median"] for number in (1, 2))
    result.content["ratios"] = {"two_by_one": 2 * one / two}


def main():
    given = options(__doc__)
    given.systems = [Workers(1), Workers(2)]
    found = ask("workers", __doc__, given, measure)
    print(f"\n{found['question']}\n")
    rows = [[name, *(amount(row[each]["median"]) for each in MEASURES)] for name, row in found["figures"].items()]
    print(table(rows, ["", "requests/s", "CPU us a request", "least by most busy"]))
    print(f"\ntwo cores by their CPU: {found['ratios']['two_by_one']:.2f} times one")


if __name__ == "__main__":
    main()
