"""Does a token cost the same at the end of a long answer as at its beginning, from 16 to 4,096 tokens?

Eight streams at once, a token every 2 ms in each, so that every chunk arrives alone. CPU microseconds a chunk at each
length, and of a further chunk: what the chunks cost by which one length exceeds the one before, without the request.

    python benchmarks/tokens.py [--rounds 3] [--systems NAME ...] [--json FILE]
"""

from lab.question import amount, ask, label, options, table
from lab.sweep import sweep
from request_cost import PROMPT, USERS

SYSTEMS = ("nginx", "guard_rules", "guard_all")
LENGTHS = (16, 64, 256, 1024, 4096)
PACE_US, AT_ONCE = 2_000, 8


def measure(stand, given, result):
    """Ask at every length."""

    def asked(system, length):
        bodies = stand.bodies(users=USERS, prompt=PROMPT, tokens=length, stream=True, paced=True)
        seconds = 0.1 if given.quick or length > 1000 else 1.0  # the streams that begin in it are read to their end
        load = stand.load(system, "stream", bodies, seconds=seconds, connections=AT_ONCE)
        return load.cpu_us_per_chunk, load.cpu_us_per_request

    result.content["settings"] = {"streams": AT_ONCE, "pace_us": PACE_US}
    measures = {"cpu_us": "CPU us a chunk", "stream_us": "CPU us a stream"}
    figures = sweep(stand, given, result, LENGTHS, asked, measures, "tokens")
    rows = []
    for name in stand.systems:
        costs = [figures.median(f"{name} at {length}", "stream_us") for length in LENGTHS]
        further = [(costs[at + 1] - costs[at]) / (LENGTHS[at + 1] - LENGTHS[at]) for at in range(len(LENGTHS) - 1)]
        for at, value in enumerate(further):
            result.content["ratios"][f"{name}: a further chunk, {LENGTHS[at]} to {LENGTHS[at + 1]}"] = value
        result.content["ratios"][f"{name}: the last / the first"] = further[-1] / further[0]
        rows.append([label(name), *map(amount, further)])
    head = [f"to {length:,}" for length in LENGTHS[1:]]
    print(table(rows, ["CPU us a further chunk", *head]))


if __name__ == "__main__":
    given = options(__doc__, SYSTEMS, rounds=3)
    ask("tokens", __doc__, given, measure, pace_us=PACE_US)
