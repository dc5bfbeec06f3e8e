"""Does a worker's memory grow over twenty minutes of requests and streams with everything on?

Half a minute of 60 requests a second and half a minute of ten paced streams in turn, from 60,000 users, each prompt
its own. Resident bytes are read every five seconds. The growth is that of the second half: the mean of the last tenth
of the time over the mean of the tenth that follows the middle.

    python benchmarks/memory_soak.py [--minutes 20] [--systems guard_all guard_rules] [--json FILE]
"""

import statistics
import threading
import time

from lab.figures import Figures, spread
from lab.question import amount, ask, label, options, table

SYSTEMS = ("guard_all",)
USERS, RATE, STREAMS, TURN_S, EVERY_S = 60_000, 60, 10, 30.0, 5.0


class Watch:
    """Reads the resident MiB of a system in a thread of its own: (seconds since it began, MiB)."""

    def __init__(self, system):
        self.system, self.values, self.over = system, [], threading.Event()
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        """Read until it is over."""
        while not self.over.wait(EVERY_S):
            self.values.append((round(time.monotonic() - self.began, 1), round(self.system.resident() / 2**20, 2)))

    def end(self):
        """Stop reading, and return what was read."""
        self.over.set()
        self.thread.join()
        return self.values


def growth(values):
    """Return by how much, as a share, the last tenth of ``values`` lies above the tenth after the middle."""
    tenth, middle = max(len(values) // 10, 1), len(values) // 2
    first = statistics.mean(mib for _, mib in values[middle : middle + tenth])
    return statistics.mean(mib for _, mib in values[-tenth:]) / first - 1


def measure(stand, given, result):
    """Soak each system in turn; note its memory over time and the growth."""
    requests = stand.bodies(users=USERS, prompt=600, tokens=60)
    streams = stand.bodies(users=5000, prompt=600, tokens=64, stream=True, paced=True)
    seconds = 20.0 if given.quick else given.minutes * 60
    turn = min(TURN_S, seconds / 8)
    figures, content = Figures(), result.content
    content["series"] = {}
    for system in stand.systems.values():
        with stand.thawed(system):
            watch, answered = Watch(system), 0
            while time.monotonic() - watch.began < seconds:
                answered += stand.load(system, "open", requests, seconds=turn, connections=64, rate=RATE).requests
                answered += stand.load(system, "stream", streams, seconds=turn, connections=STREAMS).requests
            values = watch.end()
        content["series"][system.name] = values
        figures.add(system.name, "resident_mib", values[-1][1])
        figures.add(system.name, "growth_percent", growth(values) * 100)
        figures.add(system.name, "answered", answered)
    content["settings"] = {"seconds": seconds, "rate": RATE, "streams": STREAMS, "turn": turn, "users": USERS}
    content["figures"] = figures.summary()
    print(f"\n{content['question']}\n")
    rows = [
        [label(name), amount(spread([mib for _, mib in content["series"][name]])["low"]),
         amount(found["resident_mib"]["median"]), f"{found['growth_percent']['median']:+.2f} %",
         amount(found["answered"]["median"])]
        for name, found in content["figures"].items()
    ]  # fmt: skip
    print(table(rows, ["", "MiB, least", "MiB at the end", "growth, second half", "answered"]))


def more(parser):
    """Add what this question is asked about."""
    parser.add_argument("--minutes", type=float, default=20.0, help="default 20, for each system")


if __name__ == "__main__":
    ask("memory_soak", __doc__, options(__doc__, SYSTEMS, rounds=1, more=more), measure)
