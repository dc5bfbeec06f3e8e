"""What do many gateways on one Redis ask of it, up to 100 gateways and 700 million users a month?

First a month of a smaller world is lived through, by the counting code itself: as many gateways as in the row, each
with its own counter, spool and connection, on one real Redis; users and what each gateway remembers (usage.seen) are
scaled down by the same number, which leaves every share as it is: how many of the sessions cost a write, and how many
do not. In the end the ledger has to have exactly the users that came. Then Redis is measured alone: CPU and bytes of a
write of so many users, and of reading the count. The rows put both together; nobody served 700 million users here.

Assumed: a fifth of the users come on 80 % of the days, three in ten on 30 %, half on 5 %; on such a day they have three
sessions of five requests (--requests), each on a connection that a balancer sends anywhere, or seven in ten to the same
gateway where it goes by source; and the peak is two and a half times the average (--peak).

    python benchmarks/scale.py [--people 20000] [--json FILE]
"""

import random
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import redis
from lab.question import amount, at_least_one, keep, more_than_nothing, options, table
from lab.results import Result
from lab.store import pseudonym, redis_server

from guard.usage.address import open_ledger
from guard.usage.counter import UsageCounter
from guard.usage.ledger import Scope
from guard.usage.period import Calendar
from guard.usage.spool import Spool

LICENSES = ("qwen-2024",)
BEGAN = 1_793_491_200.0  # 2026-11-01T00:00:00Z
DAYS = 30
DAY = 86_400.0
SESSIONS = 3
"""A day on which a user comes at all."""
KINDS = ((0.2, 0.8), (0.3, 0.3), (0.5, 0.05))
"""Shares of the users, and on what part of the days they come."""
EXACT_BYTES = 9.0
"""Of a user in Redis, as ledgers.py measures with 20 million of them."""
ESTIMATE_MB = 3.7
SLOT_BYTES = 32
"""Of usage.seen, for each user it may remember."""
FLUSHES = 20
"""A second at most, by a gateway that has something to write."""
SIZES = (1, 4, 16, 64, 256)
PRELOADED = 300_000


class World(NamedTuple):
    """One row."""

    users: int
    gateways: int
    seen: int
    sticky: bool = False
    """True if a user's sessions go to the same gateway, but for three in ten: balanced by the source's address."""


WORLDS = (
    World(1_000_000, 2, 1_000_000),
    World(10_000_000, 4, 1_000_000),
    World(100_000_000, 20, 1_000_000),
    World(700_000_000, 100, 1_000_000),
    World(700_000_000, 100, 10_000_000),
    World(700_000_000, 100, 1_000_000, sticky=True),
)


def sessions(people, dice):
    """Return who comes on a day, once for each session, in the order in which they come."""
    chances = []
    for share, chance in KINDS:
        chances += [chance] * round(share * people)
    came = [person for person, chance in enumerate(chances) if dice.random() < chance]
    order = came * SESSIONS
    dice.shuffle(order)
    return order


def live(world, people, folder):
    """Live through a month with ``people`` instead of ``world.users``; return sessions and writes by user, and hours.

    Raises AssertionError if the ledger does not have exactly the people who came.
    """
    dice, now = random.Random(8), [BEGAN]
    seen = max(2, round(world.seen * people / world.users))
    with redis_server(folder) as (url, _):
        ledgers = [open_ledger(url) for _ in range(world.gateways)]
        counters = [
            UsageCounter(
                ledger, Spool(folder / f"spool-{number}", lambda _month: "bench", keep=True), Calendar(),
                seen_capacity=seen, clock=lambda: now[0],
            )
            for number, ledger in enumerate(ledgers)
        ]  # fmt: skip
        came, visited, written, last = set(), 0, 0, 0
        for day in range(DAYS):
            order = sessions(people, dice)
            came.update(order)
            visited += len(order)
            last = written
            for number, person in enumerate(order):
                now[0] = BEGAN + day * DAY + number * DAY / len(order)
                away = not world.sticky or dice.random() < 0.3
                gateway = dice.randrange(world.gateways) if away else person % world.gateways
                written += counters[gateway].sight(LICENSES, pseudonym(person), now[0])
            for counter in counters:
                counter.flush()
        (total,) = ledgers[0].totals("2026-11").values()
        assert total.users == total.lower == total.upper == len(came), (total, len(came))
        for counter, ledger in zip(counters, ledgers, strict=True):
            counter.stop(5)
            ledger.close()
    return {
        "people": people,
        "remembered": seen,
        "sessions_by_user": visited / len(came),
        "writes_by_user": written / len(came),
        "writes_by_session": written / visited,
        "writes_by_session_last_day": (written - last) / len(order),
    }


def loads(folder):
    """Return what a write of so many users takes of Redis, and a reading of the count, by the server's own numbers."""
    found = {"writes": {}}
    with redis_server(folder) as (url, socket):
        server, number = redis.Redis(unix_socket_path=str(socket)), 0
        ledger, scope = open_ledger(url), Scope("2026-11", LICENSES[0])
        ledger.bind("UTC")

        def write(size):
            nonlocal number
            users = [pseudonym(each) for each in range(number, number + size)]
            number += size
            ledger.write({scope: users}, {}, owner="bench", day="2026-11-22")

        for _ in range(PRELOADED // 4096):
            write(4096)

        def measured(work, times):
            before, began = {**server.info("cpu"), **server.info("stats")}, time.perf_counter()
            for _ in range(times):
                work()
            wall = time.perf_counter() - began
            after = {**server.info("cpu"), **server.info("stats")}
            spent = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
            sent = sum(after[name] - before[name] for name in ("total_net_input_bytes", "total_net_output_bytes"))
            return {"redis_cpu_us": spent / times * 1e6, "bytes": sent / times, "wall_us": wall / times * 1e6}

        for size in SIZES:
            found["writes"][size] = measured(partial(write, size), max(100, 4000 // size))
        found["reading"] = measured(lambda: ledger.totals(scope.period), 500)
        ledger.close()
    return found


def line(points):
    """Return intercept and slope of the least squares line through ``points``."""
    slope, intercept = statistics.linear_regression(*zip(*points, strict=True))
    return intercept, slope


def sized(world, month, load, given):
    """Return the figures of a row at the average and at the peak."""
    by_second = world.users * month["sessions_by_user"] / (DAYS * DAY)
    row = {"sessions_s": by_second, "requests_s": by_second * given.requests}
    cpu, sent = (
        line([(int(size), each[what]) for size, each in load["writes"].items()]) for what in ("redis_cpu_us", "bytes")
    )
    for name, factor in (("average", 1.0), ("peak", given.peak)):
        # Whoever remembers little writes for every session: no more than that is ever written.
        writes = by_second * factor * month["writes_by_session"]
        each = writes / world.gateways
        flushes = FLUSHES * min(1.0, each / FLUSHES)
        size = each / flushes
        row[f"writes_s_{name}"] = writes
        row[f"redis_cores_{name}"] = world.gateways * 1e-6 * (
            flushes * max(0.0, cpu[0] + cpu[1] * size) + load["reading"]["redis_cpu_us"]
        )  # fmt: skip
        row[f"traffic_mb_s_{name}"] = world.gateways * 1e-6 * (
            flushes * max(0.0, sent[0] + sent[1] * size) + load["reading"]["bytes"]
        )  # fmt: skip
    row["requests_s_by_gateway_peak"] = row["requests_s"] * given.peak / world.gateways
    row["seen_mb_by_gateway"] = min(world.seen, world.users) * SLOT_BYTES / 1e6
    row["redis_gb_a_month"] = world.users * EXACT_BYTES / 1e9
    row["redis_mb_estimate"] = ESTIMATE_MB
    return row


def more(parser):
    """Add what is assumed."""
    parser.add_argument(
        "--people",
        type=at_least_one,
        default=20_000,
        help="users that are really counted, in every row (default 20000)",
    )
    parser.add_argument("--requests", type=more_than_nothing, default=5.0, help="by session (default 5)")
    parser.add_argument("--peak", type=more_than_nothing, default=2.5, help="of the average (default 2.5)")


def main():
    given = options(__doc__, rounds=1, more=more)
    people = min(given.people, 5_000) if given.quick else given.people
    result = Result("scale", __doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as folder:
        load = loads(Path(folder))
    rows = []
    for world in WORLDS:
        print(f"{world.users:,} users, {world.gateways} gateways ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            month = live(world, people, Path(folder))
        rows.append({**world._asdict(), **{f"lived_{name}": value for name, value in month.items()},
                     **sized(world, month, load, given)})  # fmt: skip
    result.content["settings"] = {
        "people": people, "requests": given.requests, "peak": given.peak, "sessions": SESSIONS, "kinds": KINDS,
    }  # fmt: skip
    result.content["figures"] = {"redis": load, "rows": rows}
    print(f"\n{result.content['question']}\n")
    print(table(
        [[f"{row['users']:,}", row["gateways"], f"{row['seen']:,}", "source" if row["sticky"] else "any",
          amount(row["requests_s"]), amount(row["lived_writes_by_session"]), amount(row["writes_s_average"]),
          amount(row["writes_s_peak"]), amount(row["redis_cores_peak"]), amount(row["traffic_mb_s_peak"]),
          amount(row["redis_gb_a_month"]), amount(row["seen_mb_by_gateway"])] for row in rows],
        ["users", "gateways", "seen", "balanced by", "requests/s", "writes/session", "writes/s", "at peak",
         "Redis cores", "MB/s", "Redis GB/month", "seen MB"],
    ))  # fmt: skip
    keep(result, given)


if __name__ == "__main__":
    main()
