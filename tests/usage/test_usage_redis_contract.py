"""The ledgers in Redis, exact and estimated, on one server and on a cluster, keep what every ledger promises."""

from itertools import count

import pytest
from ledger_contract import LedgerContract
from redis_world import *  # noqa: F403  (fixtures)
from redis_world import cluster_url

pytestmark = pytest.mark.slow
PREFIX = count()


class OverRedis(LedgerContract):
    own_clock = True
    forgetful = True
    plus = ""

    @pytest.fixture
    def address(self, shared_server):
        return shared_server.url(f"redis{self.plus}", f"prefix=t{next(PREFIX)}")

    @pytest.fixture
    def open_handle(self, address, opened):
        return lambda *, read_only=False: opened(address, read_only=read_only)


class OverCluster(OverRedis):
    @pytest.fixture
    def address(self, shared_cluster):
        return cluster_url(shared_cluster, f"redis+cluster{self.plus}", f"prefix=t{next(PREFIX)}")


class TestRedisLedger(OverRedis):
    pass


class TestRedisLedgerInACluster(OverCluster):
    pass


class TestRedisEstimate(OverRedis):
    exact, plus = False, "+hll"


class TestRedisEstimateInACluster(OverCluster):
    exact, plus = False, "+hll"
