"""Profiles in Redis, on one server and on a cluster."""

from itertools import count

import pytest
from behavior_world import NOON
from redis_world import *  # noqa: F403  (fixtures)
from redis_world import cluster_url, wait_for
from store_contract import NAME, StoreContract, change

from guard.behavior.ladder import Step
from guard.behavior.profile import Profile
from guard.behavior.store import StoreUnavailable
from guard.behavior.stores.redis import CROWD_MOST, KEPT, RedisStore
from guard.usage.address import parse_url

pytestmark = pytest.mark.slow
PREFIX = count()


class OverRedis(StoreContract):
    @pytest.fixture
    def address(self, shared_server):
        return shared_server.url(query=f"prefix=b{next(PREFIX)}")

    @pytest.fixture
    def open_store(self, address):
        opened = []

        def begin():
            opened.append(RedisStore(parse_url(address)))
            return opened[-1]

        yield begin
        for store in opened:
            store.close()


class TestRedis(OverRedis):
    def test_a_profile_is_kept_as_it_is_and_for_a_time(self, open_store, shared_server, address):
        store, data = open_store(), Profile().pack()
        store.write([change(NAME, 0, data)])
        assert store.read([NAME])[NAME].data == data
        prefix = address.rpartition("=")[2]
        key = f"{prefix}:behavior:state:{NAME}"
        assert KEPT - 60 <= shared_server.do("TTL", key) <= KEPT
        assert shared_server.do("STRLEN", key) <= 4096 + 8

    def test_the_identities_of_a_template_are_bounded(self, open_store):
        store = open_store()
        counts = store.saw("2026-11-22", [(1, f"{n:016x}") for n in range(CROWD_MOST + 20)])
        assert max(counts) == CROWD_MOST

    def test_a_step_without_a_profile_is_forgotten(self, open_store, shared_server, address):
        store = open_store()
        store.write([change(NAME, 0, step=Step.SUSPEND)])
        shared_server.do("DEL", f"{address.rpartition('=')[2]}:behavior:state:{NAME}")
        store.forget(NOON, "2026-11-22")
        assert store.standing() == {}


class TestCluster(OverRedis):
    @pytest.fixture
    def address(self, shared_cluster):
        return cluster_url(shared_cluster, query=f"prefix=b{next(PREFIX)}")


def test_a_server_that_is_gone_makes_behavior_unknown_and_comes_back(start):
    server = start()
    store = RedisStore(parse_url(server.url(query="timeout=0.5")))
    store.write([change(NAME, 0)])
    server.kill()
    with pytest.raises(StoreUnavailable, match=r"behavior: ledger redis://127\.0\.0\.1"):
        store.read([NAME])
    server.start()

    def answers():
        try:
            return store.read([NAME]) == {}
        except StoreUnavailable:
            return False

    wait_for(answers)
    store.close()
