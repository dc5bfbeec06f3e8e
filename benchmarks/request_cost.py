"""What does a request cost, CPU of everything that the proxy runs, beside other proxies and gateways?

A prompt of 1 KB, an answer of 0.7 KB in one piece, 64 connections that ask as fast as they are answered (closed loop),
500 users. Every round asks every system alone, in an order that is shuffled; LiteLLM and Portkey, which cost a hundred
times as much, take part in every second round. Shown are medians and the lowest and highest round; ratios are taken
within a round.

    python benchmarks/request_cost.py [--rounds 6] [--systems NAME ...] [--json FILE]
"""

from lab.figures import Figures
from lab.question import amount, ask, cell, label, options, table
from lab.systems import System

SYSTEMS = (
    "direct", "nginx", "haproxy", "vllm_router", "portkey", "litellm", "litellm_filter",
    "guard_rules", "guard_all", "guard_all_500", "guard_defaults",
)  # fmt: skip
PROMPT, TOKENS, USERS = 1024, 100, 500
CONNECTIONS = System.connections


def measure(stand, given, result):
    """Ask in rounds, and note figures and ratios in ``result``."""
    taking_part = stand.names_of(given.systems)
    bodies, figures = stand.bodies(users=USERS, prompt=PROMPT, tokens=TOKENS), Figures(taking_part)
    seconds = 0.4 if given.quick else 1.5
    for system in stand.turns(given.rounds, given.systems):
        figures.round = stand.round
        with stand.or_without(system, figures):
            stand.load(system, "closed", bodies, seconds=0.2 if given.quick else 0.4, connections=system.connections)
            load = stand.load(system, "closed", bodies, seconds=seconds, connections=system.connections)
            figures.add(system.name, "cpu_us", load.cpu_us_per_request)
            figures.add(system.name, "per_second", load.per_second)
            figures.add(system.name, "resident_mib", system.resident() / 2**20)
    result.content["settings"] = {"prompt_bytes": PROMPT, "answer_characters": TOKENS * 7, "users": USERS,
                                  "connections": {name: stand.systems[name].connections for name in taking_part},
                                  "seconds": seconds, "rounds": given.rounds}  # fmt: skip
    result.content["figures"] = figures.summary()
    result.content["ratios"] = ratios(figures, "cpu_us")
    print(f"\n{result.content['question']}\n")
    rows = [
        [label(name), cell(found["cpu_us"]), of_nginx(result.content, name), amount(found["per_second"]["median"]),
         amount(found["resident_mib"]["median"])]
        for name, found in result.content["figures"].items()
    ]  # fmt: skip
    print(table(rows, ["", "CPU us a request", "/ nginx", "requests/s", "MiB"]))


def ratios(figures, measured):
    """Return every ratio that is spoken of, by "system / other", each taken within the rounds of both."""
    guards = [name for name in figures.rounds if name.startswith("guard")]
    others = [name for name in figures.rounds if name not in guards and name != "direct"]
    wanted = [(name, "nginx") for name in figures.rounds if name not in ("direct", "nginx")]
    wanted += [(guard, "vllm_router") for guard in guards]
    wanted += [(other, guard) for guard in guards for other in others if other.startswith(("litellm", "portkey"))]
    return {
        f"{one} / {other}": figures.ratio(one, other, measured)
        for one, other in wanted
        if figures.pairs(one, other, measured)
    }


def of_nginx(content, name):
    """Return the ratio to nginx as a table shows it."""
    found = content["ratios"].get(f"{name} / nginx")
    return f"{amount(found['median'])}" if found else ""


if __name__ == "__main__":
    ask("request_cost", __doc__, options(__doc__, SYSTEMS), measure)
