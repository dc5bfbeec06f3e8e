"""What does a streamed chunk cost, CPU of everything that the proxy runs, beside other proxies and gateways?

Streams of 64 tokens of 7 characters. Paced: 50 at once, a token every 10 ms in each, as a model writes (LiteLLM holds
4 of them, with its filter 1); as fast as it goes: 16 at once, where several tokens are read together. The cost of a
stream, its request and its end included, is divided by its chunks. Rounds and ratios as in request_cost.py.

    python benchmarks/stream_cost.py [--rounds 5] [--systems NAME ...] [--json FILE]
"""

from lab.figures import Figures
from lab.question import amount, ask, cell, label, options, table
from lab.stand import Failed
from request_cost import PROMPT, SYSTEMS, USERS, of_nginx, ratios

TOKENS = 64


def measure(stand, given, result):
    """Ask in rounds, and note figures and ratios in ``result``."""
    taking_part = stand.names_of(given.systems)
    paced = stand.bodies(users=USERS, prompt=PROMPT, tokens=TOKENS, stream=True, paced=True)
    fast = stand.bodies(users=USERS, prompt=PROMPT, tokens=TOKENS, stream=True)
    figures, seconds = Figures(taking_part), 0.7 if given.quick else 2.0
    for system in stand.turns(given.rounds, given.systems):
        figures.round = stand.round
        with stand.or_without(system, figures):
            few = min(system.streams, 16)
            stand.load(system, "stream", fast, seconds=0.2, connections=few)
            for measured, bodies, count, length in (
                ("paced_us", paced, system.streams, seconds),
                ("fast_us", fast, few, seconds / 2),
            ):
                load = stand.load(system, "stream", bodies, seconds=length, connections=count)
                if load.chunks != load.requests * TOKENS:
                    raise Failed(f"{system.name}: {load.chunks} chunks of {load.requests} streams: text is missing")
                figures.add(system.name, measured, load.cpu_us_per_chunk)
    result.content["settings"] = {"prompt_bytes": PROMPT, "tokens": TOKENS, "pace_us": stand.pace_us,
                                  "seconds": seconds,
                                  "streams": {name: stand.systems[name].streams for name in taking_part},
                                  "rounds": given.rounds}  # fmt: skip
    result.content["figures"] = figures.summary()
    result.content["ratios"] = ratios(figures, "paced_us")
    print(f"\n{result.content['question']}\n")
    rows = [
        [label(name), cell(found["paced_us"]), of_nginx(result.content, name), amount(found["fast_us"]["median"])]
        for name, found in result.content["figures"].items()
    ]
    print(table(rows, ["", "CPU us a paced chunk", "/ nginx", "us a fast chunk"]))


if __name__ == "__main__":
    ask("stream_cost", __doc__, options(__doc__, SYSTEMS, rounds=5), measure)
