"""What does a request cost by the size of its prompt, from 1 to 64 KB?

CPU microseconds a request as in request_cost.py, with 16 connections. nginx reads and passes a prompt, Guard reads it.

    python benchmarks/prompt_size.py [--rounds 3] [--systems NAME ...] [--json FILE]
"""

from lab.question import ask, options
from lab.sweep import sweep
from request_cost import TOKENS, USERS

SYSTEMS = ("nginx", "vllm_router", "guard_rules", "guard_all")
KILOBYTES = (1, 2, 4, 8, 16, 32, 64)


def measure(stand, given, result):
    """Ask at every size."""
    seconds = 0.3 if given.quick else 0.8

    def asked(system, size):
        bodies = stand.bodies(users=USERS, prompt=size * 1024, tokens=TOKENS)
        stand.load(system, "closed", bodies, seconds=0.2, connections=16)
        return (stand.load(system, "closed", bodies, seconds=seconds, connections=16).cpu_us_per_request,)

    result.content["settings"] = {"connections": 16, "seconds": seconds}
    figures = sweep(stand, given, result, KILOBYTES, asked, {"cpu_us": "CPU us a request"}, "KB")
    first, last = KILOBYTES[0], KILOBYTES[-1]
    for name in stand.systems:
        low, high = (figures.median(f"{name} at {size}", "cpu_us") for size in (first, last))
        result.content["ratios"][f"{name}: us a further KB"] = (high - low) / (last - first)


if __name__ == "__main__":
    ask("prompt_size", __doc__, options(__doc__, SYSTEMS, rounds=3), measure)
