"""The estimating ledger in Redis: near the truth, inside the bounds it states, and of a size that does not grow."""

import random

import pytest
from redis_world import *  # noqa: F403  (fixtures)
from redis_world import cluster_url

from guard.usage.ledger import Growth, LedgerError, Scope

pytestmark = pytest.mark.slow
SCOPE = Scope("2026-11", "qwen")
DAY = "2026-11-22"


def put(ledger, users, *, scope=SCOPE, day=None):
    return ledger.write({scope: users}, {}, owner="gateway-1", day=day)[scope]


def random_users(count, seed=0):
    rng = random.Random(seed)
    return [rng.getrandbits(64) - 2**63 for _ in range(count)]


@pytest.mark.parametrize("shards", [16, 256, 1024])
def test_two_hundred_thousand_users_are_inside_the_bounds(shards, shared_server, opened):
    ledger = opened(shared_server.url("redis+hll", f"prefix=n{shards}&shards={shards}"))
    users = random_users(200_000, seed=shards)
    for size in (1, 2, 10, 100, 1000, 10_000, 50_000, 200_000):
        totals = put(ledger, users[:size]).totals
        assert totals.lower <= size <= totals.upper, size
        assert ledger.users(SCOPE) == totals.upper == ledger.totals(SCOPE.period)[SCOPE.license].upper
    bound = 3 * 1.04 / 128 / shards**0.5
    assert totals.upper / totals.users - 1 == pytest.approx(bound, rel=0.1, abs=0.5 * shards / size + 2 / size)
    assert put(ledger, random.Random(0).sample(users, 50_000)).totals == totals


def test_the_total_is_the_sum_over_the_sketches_and_never_their_union(shared_server, opened):
    ledger = opened(shared_server.url("redis+hll", "prefix=sum&shards=256"))
    put(ledger, random_users(50_000))
    client = shared_server.client()
    keys = [f"sum:{{{group}}}:2026-11:h{number}:qwen" for group in range(64) for number in range(4)]
    estimates = [client.pfcount(key) for key in keys]
    assert sum(estimates) == ledger.totals("2026-11")["qwen"].users
    assert min(estimates) > 0
    assert client.pfcount(*keys) != sum(estimates)


def test_its_size_is_bounded(start, opened):
    server = start()
    ledger = opened(server.url("redis+hll", "shards=16"))
    before = server.client().info("memory")["used_memory"]
    for seed in range(8):
        put(ledger, random_users(50_000, seed=seed))
    assert server.client().info("memory")["used_memory"] - before < 16 * 16_000 + 200_000


def test_days_merge_into_a_window(shared_cluster, opened):
    ledger = opened(cluster_url(shared_cluster, "redis+cluster+hll", "prefix=w&shards=64"))
    days = [Scope(f"2026-11-{day}", "qwen") for day in (20, 21, 22)]
    users = random_users(30_000)
    for number, day in enumerate(days):
        put(ledger, users[number * 8000 : number * 8000 + 14_000], scope=day)
    window = Scope("2026-11-22/30d", "qwen")
    for _ in range(2):
        ledger.merge(window, days)
        totals = ledger.totals(window.period)["qwen"]
        assert totals.lower <= 30_000 <= totals.upper
    assert totals == put(ledger, users, scope=window).totals


def test_growth_is_the_growth_of_the_estimate(shared_server, opened):
    ledger = opened(shared_server.url("redis+hll", "prefix=g"))
    users = random_users(3000)
    put(ledger, users[:1000], day="2026-11-01")
    first = ledger.totals("2026-11")["qwen"].users
    put(ledger, users, day="2026-11-02")
    put(ledger, users, day="2026-11-03")
    total = ledger.totals("2026-11")["qwen"].users
    assert ledger.growth("qwen", "2026-11") == [
        Growth("2026-11-01", first, None),
        Growth("2026-11-02", total - first, None),
    ]


def test_who_is_in_it_is_no_question_for_it(shared_server, opened):
    ledger = opened(shared_server.url("redis+hll", "prefix=q"))
    for call in (lambda: ledger.contains(SCOPE, 1), lambda: ledger.pseudonyms(SCOPE)):
        with pytest.raises(LedgerError, match="allowed: an exact ledger"):
            call()
