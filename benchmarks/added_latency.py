"""How much longer does a client wait, for an answer and for the first token, beside what nginx adds?

Requests at 200 a second (LiteLLM 25), each timed from the moment it was to be sent, whether or not the last was
answered (no coordinated omission); and 50 streams at once of which each brings a token every 10 ms (LiteLLM 4): time to
the first character, and the way of a chunk from the model's send to the client. What a system adds is its percentile
less that of no proxy in the same round; on a machine where others work the 99th percentile is theirs.

    python benchmarks/added_latency.py [--rounds 5] [--systems NAME ...] [--json FILE]
"""

from lab.figures import Figures
from lab.question import amount, ask, cell, label, options, table
from request_cost import PROMPT, USERS
from request_cost import TOKENS as WHOLE
from stream_cost import TOKENS

SYSTEMS = ("direct", "nginx", "haproxy", "vllm_router", "litellm", "guard_rules", "guard_all")
MEASURES = ("latency_p50_us", "latency_p99_us", "first_p50_us", "first_p99_us", "chunk_p50_us", "chunk_p99_us")


def measure(stand, given, result):
    """Ask in rounds; note percentiles, and what is added to no proxy and to nginx, in ``result``."""
    taking_part = stand.names_of(given.systems)
    bodies = stand.bodies(users=USERS, prompt=PROMPT, tokens=WHOLE)
    streams = stand.bodies(users=USERS, prompt=PROMPT, tokens=TOKENS, stream=True, paced=True)
    figures, seconds = Figures(taking_part), 0.7 if given.quick else 2.5
    for system in stand.turns(given.rounds, given.systems):
        figures.round = stand.round
        with stand.or_without(system, figures):
            stand.load(system, "open", bodies, seconds=0.3, connections=16, rate=system.rate)
            load = stand.load(system, "open", bodies, seconds=seconds, connections=64, rate=system.rate)
            figures.add(system.name, "latency_p50_us", load.latency["p50"])
            figures.add(system.name, "latency_p99_us", load.latency["p99"])
            figures.add(system.name, "cpu_us", load.cpu_us_per_request)
            load = stand.load(system, "stream", streams, seconds=seconds, connections=system.streams)
            for what, found in (("first", load.first), ("chunk", load.chunk)):
                figures.add(system.name, f"{what}_p50_us", found["p50"])
                figures.add(system.name, f"{what}_p99_us", found["p99"])
    content = result.content
    content["settings"] = {"prompt_bytes": PROMPT, "tokens": TOKENS, "pace_us": stand.pace_us, "seconds": seconds,
                           "rate": {name: stand.systems[name].rate for name in taking_part},
                           "streams": {name: stand.systems[name].streams for name in taking_part},
                           "rounds": given.rounds}  # fmt: skip
    content["figures"] = figures.summary()
    content["added"] = {
        f"{name} - {base}": {what: figures.difference(name, base, what) for what in MEASURES}
        for base in ("direct", "nginx")
        for name in figures.rounds
        if name not in ("direct", base) and figures.pairs(name, base, MEASURES[0])
    }
    print(f"\n{content['question']}\n")
    rows = []
    for name in figures.rounds:
        added = content["added"].get(f"{name} - direct")
        if added:
            rest = [amount(added[what]["median"]) for what in MEASURES[1:]]
            rows.append([label(name), cell(added[MEASURES[0]]), *rest])
    head = ["added to no proxy, us", "answer p50", "p99", "first token p50", "p99", "chunk p50", "p99"]
    print(table(rows, head))


if __name__ == "__main__":
    ask("added_latency", __doc__, options(__doc__, SYSTEMS, rounds=5), measure)
