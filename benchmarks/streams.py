"""What does a chunk cost, and how late is it, by the number of streams at once, from 1 to 1,000?

Streams of 64 tokens, one every 100 ms in each, so that 1,000 of them are 10,000 chunks a second. A proxy that is woken
for one chunk pays for the waking alone; at 1,000 streams several are read together.

    python benchmarks/streams.py [--rounds 3] [--systems NAME ...] [--json FILE]
"""

from lab.question import ask, options
from lab.sweep import sweep
from request_cost import PROMPT, USERS
from stream_cost import TOKENS

SYSTEMS = ("nginx", "vllm_router", "guard_rules", "guard_all")
AT_ONCE = (1, 10, 50, 100, 300, 1000)
PACE_US = 100_000


def measure(stand, given, result):
    """Ask with every number of streams. A stream takes 6.4 s."""
    bodies = stand.bodies(users=USERS, prompt=PROMPT, tokens=TOKENS, stream=True, paced=True)

    def asked(system, count):
        seconds = 0.1 if given.quick else 4.0  # streams begin in its first quarter, and are read to their end
        load = stand.load(system, "stream", bodies, seconds=seconds, connections=count)
        return load.cpu_us_per_chunk, load.chunk["p50"], load.first["p50"]

    result.content["settings"] = {"tokens": TOKENS, "pace_us": PACE_US}
    measures = {
        "cpu_us": "CPU us a chunk",
        "chunk_p50_us": "a chunk's way, p50 us",
        "first_p50_us": "first token, p50 us",
    }
    sweep(stand, given, result, AT_ONCE, asked, measures, "streams")


if __name__ == "__main__":
    given = options(__doc__, SYSTEMS, rounds=3)
    ask("streams", __doc__, given, measure, pace_us=PACE_US)
