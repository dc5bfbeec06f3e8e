"""How much room do users take in a ledger, and how far off is an estimate? Fed for real, by the ledger's own writes.

Distinct pseudonyms (splitmix64 of a counter: a bijection, so distinct by construction) go into one month of one license
by ``Ledger.write``, 4,096 at a time, from several processes. Exact: bytes a user, in Redis by INFO memory before and
after, in SQLite by the size of the file. Estimated: the error beside the bounds that the ledger states, and the memory,
at every power of ten.

    python benchmarks/ledgers.py [redis] [--users 20000000]
    python benchmarks/ledgers.py sqlite [--users 2000000]
    python benchmarks/ledgers.py estimate [--users 100000000] [--shards 256]
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import redis
from lab.store import redis_server

from guard.usage.address import open_ledger, sqlite_url
from guard.usage.ledger import Scope

SCOPE = Scope("2026-11", "qwen-2024")
BATCH = 4096
FEEDERS = 2
_MASK = (1 << 64) - 1


def pseudonym(number):
    """Return splitmix64 of ``number`` as a signed 64-bit integer."""
    mixed = (number + 1) * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    mixed ^= mixed >> 31
    return mixed - (1 << 64) if mixed >> 63 else mixed


def feed(url, first, last):
    """Write the pseudonyms of ``first`` to ``last`` into the ledger."""
    ledger = open_ledger(url)
    for start in range(first, last, BATCH):
        users = [pseudonym(number) for number in range(start, min(start + BATCH, last))]
        ledger.write({SCOPE: users}, {}, owner="bench", day="2026-11-22")
    ledger.close()


def fed(url, first, last):
    """Feed from ``FEEDERS`` processes at once; return the seconds it took."""
    began, step = time.perf_counter(), -(-(last - first) // FEEDERS)
    feeders = [
        multiprocessing.Process(target=feed, args=(url, start, min(start + step, last)))
        for start in range(first, last, step)
    ]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join()
    assert not any(feeder.exitcode for feeder in feeders)
    return time.perf_counter() - began


def exact(socket, url, users):
    """Return bytes a user, and the time of reading the count."""
    url = url.replace("?users=1000000", f"?users={users}")
    ledger, server = open_ledger(url), redis.Redis(unix_socket_path=socket)
    ledger.bind("UTC")
    before = server.info("memory")["used_memory"]
    seconds = fed(url, 0, users)
    after = server.info("memory")["used_memory"]
    began = time.perf_counter()
    total = ledger.totals(SCOPE.period)[SCOPE.license]
    read = time.perf_counter() - began
    assert total.users == total.lower == total.upper == users
    ledger.close()
    return {
        "users": users,
        "bytes a user": (after - before) / users,
        "users a second": users / seconds,
        "seconds to read the count": read,
    }


def sqlite(folder, users):
    """Return bytes a user of the file that the embedded ledger is, once its log is folded into it."""
    path = folder / "ledger.db"
    url = sqlite_url(path)
    open_ledger(url).close()
    seconds = fed(url, 0, users)
    ledger = open_ledger(url)
    assert ledger.users(SCOPE) == users
    ledger.close()
    return {"users": users, "bytes a user": path.stat().st_size / users, "users a second": users / seconds}


def estimate(socket, url, users, shards):
    """Return the estimate, its error, the stated bounds and bytes, at every power of ten up to ``users``."""
    url = url.replace("redis+unix", "redis+unix+hll").replace("?users=1000000", f"?shards={shards}")
    ledger, done, rows, server = open_ledger(url), 0, [], redis.Redis(unix_socket_path=socket)
    ledger.bind("UTC")
    empty = server.info("memory")["used_memory"]
    sizes = [10**power for power in range(4, 10) if 10**power < users] + [users]
    for size in sizes:
        seconds = fed(url, done, size)
        total = ledger.totals(SCOPE.period)[SCOPE.license]
        rows.append(
            {
                "users": size,
                "estimate": total.users,
                "error": total.users / size - 1,
                "bounds": [total.lower / size - 1, total.upper / size - 1],
                "within": total.lower <= size <= total.upper,
                "users a second": (size - done) / seconds,
                "bytes": server.info("memory")["used_memory"] - empty,
            }
        )
        done = size
        low, high = rows[-1]["bounds"]
        print(
            f"{size:12,} users: {rows[-1]['error']:+.4%}, stated {low:+.4%} to {high:+.4%}, "
            f"{rows[-1]['bytes'] / 1e6:.1f} MB",
            flush=True,
            file=sys.stderr,
        )
    ledger.close()
    return {"shards": shards, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", nargs="?", default="redis", choices=["redis", "sqlite", "estimate"])
    parser.add_argument("--users", type=int)
    parser.add_argument("--shards", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as (url, _):
        if options.kind == "sqlite":
            found = sqlite(Path(name), options.users or 2_000_000)
        elif options.kind == "redis":
            found = exact(f"{name}/redis.sock", url, options.users or 20_000_000)
        else:
            found = estimate(f"{name}/redis.sock", url, options.users or 100_000_000, options.shards)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
