"""Two gateways with different pseudonym keys on one ledger: the second counts nothing into it, and says why."""

import pytest
from fault_fleet import within
from fault_verdict import drain, named, users_of

from guard.cli.demo_scene.process import DidNotStart


@pytest.fixture
def other_key(tmp_path):
    path = tmp_path / "other.key"
    path.write_bytes(bytes(range(32)))
    return path


@pytest.mark.slow
def test_a_gateway_with_another_key_does_not_start(fleet, other_key):
    redis = fleet.start_redis(keeps=True)
    (first,) = fleet.add_gateways(1, redis.url)
    assert {first.ask(f"user-{number}") for number in range(20)} == {200}
    with pytest.raises(DidNotStart) as refused:
        fleet.add_gateways(1, redis.url, key=other_key)
    assert refused.value.code == 69
    assert "was counted under key" in str(refused.value)
    assert "refuses to mix" in str(refused.value)
    assert other_key.read_bytes().hex() not in str(refused.value)
    fleet.gateways.pop()
    drain(fleet, redis.url)
    assert users_of(redis.url) == set(named(fleet.key, range(20)).values())


@pytest.mark.slow
def test_a_gateway_that_learns_of_it_later_is_not_ready_and_keeps_what_it_counted(fleet, other_key):
    redis = fleet.start_redis(keeps=True)
    (first,) = fleet.add_gateways(1, redis.url)
    assert {first.ask(f"user-{number}") for number in range(20)} == {200}
    drain(fleet, redis.url)
    redis.kill()
    (second,) = fleet.add_gateways(1, redis.url, key=other_key)  # a ledger that is away keeps nobody from starting
    assert {second.ask(f"user-{number}") for number in range(10, 40)} == {200}
    redis.start()

    within(30, lambda: second.ready()[0] == 503, second.ready)
    assert "was counted under key" in second.ready()[1]["parts"]["ledger"]
    metrics = second.metrics()
    assert (metrics["guard_mau_ledger_up"], metrics["guard_mau_spool_records"]) == (0, 30)
    within(30, lambda: first.metrics()["guard_mau_ledger_up"] == 1, first.metrics)
    assert first.ready()[0] == 200
    assert users_of(redis.url) == set(named(fleet.key, range(20)).values())
