"""Which part of the road costs what: event loop and threads, and by room of the tree?

Added microseconds per request (or per stream of 64 chunks) on the event loop's thread, the lowest and the median of
seven rounds beside the app alone; what every other thread used per request, by the scheduler's clock; and own time by
module and function, by cProfile, as shares: a profiler weighs small calls too heavily, so trust the order and not the
digits. For whoever changes the road; nothing is kept.

    python benchmarks/road.py [rules|all] [request|stream] [--functions 25] [--tree DIR]
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import statistics
import sys
import time
from collections import Counter
from pathlib import Path


async def ask(kind, streamed, shown):
    """Measure one configuration and print what it costs where."""
    # Guard is imported once it is known of which tree.
    from in_process import CONFIGURATIONS  # noqa: PLC0415
    from lab.calls import CHUNKS, call, guarded  # noqa: PLC0415
    from lab.tree import threads_ns  # noqa: PLC0415

    called, settings = CONFIGURATIONS[kind]
    count = 40 if streamed else 400
    async with guarded(settings) as (bare, wrapped):
        rounds = [
            await call(wrapped, count, streamed=streamed, clock=time.thread_time)
            - await call(bare, count, streamed=streamed, clock=time.thread_time)
            for _ in range(7)
        ]
        low, middle = min(rounds), statistics.median(rounds)
        each = f", {low / CHUNKS:.2f} a chunk" if streamed else ""
        print(f"{called}: the event loop's thread adds {low:.1f} us (lowest of 7; median {middle:.1f}){each}")
        await asyncio.sleep(1)
        before = threads_ns(os.getpid())
        await call(wrapped, count * 3, streamed=streamed)
        await asyncio.sleep(2.5)
        for (thread, name), spent in sorted(threads_ns(os.getpid()).items()):
            used = (spent - before.get((thread, name), 0)) / (count * 3) / 1000
            if used >= 0.2 and thread != os.getpid():
                print(f"  thread {name} ({thread}): {used:.1f} us")
        profile = cProfile.Profile()
        profile.enable()
        await call(wrapped, count * 2, streamed=streamed)
        profile.disable()
    show(pstats.Stats(profile), shown)


def show(stats, shown):
    """Print own time by module and by function."""
    modules, functions, total = Counter(), Counter(), 0.0
    for (path, line, name), (_, _, own, _, _) in stats.stats.items():
        parts = Path(path).parts
        module = "built in or compiled" if path == "~" else Path(path).name
        if "guard" in parts:
            module = "/".join(parts[parts.index("guard") :])
        modules[module] += own
        functions[f"{module}:{line} {name}"] = own
        total += own
    for title, found in (("module", modules), ("function", functions)):
        print(f"\nown time by {title}, %")
        for name, own in found.most_common(shown):
            print(f"  {own / total * 100:5.1f}  {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", default="rules", choices=("rules", "all"))
    parser.add_argument("what", nargs="?", default="request", choices=("request", "stream"))
    parser.add_argument("--functions", type=int, default=25, help="lines of each table")
    parser.add_argument("--tree", type=Path, help="a checkout whose Guard is measured instead of this one's")
    given = parser.parse_args()
    if given.tree:
        sys.path.insert(0, str(given.tree.resolve()))
    asyncio.run(ask(given.kind, given.what == "stream", given.functions))


if __name__ == "__main__":
    main()
