"""Strangers cannot fill the disk, and nothing they do is forgotten: it is counted."""

from guard.transports.throttle import Throttle


def test_a_burst_passes_then_a_trickle_and_the_rest_is_counted():
    now = 0.0
    throttle = Throttle(10, 3, lambda: now)
    assert [throttle.admit() for _ in range(5)] == [0, 0, 0, None, None]
    now = 0.1
    assert [throttle.admit() for _ in range(2)] == [2, None]
    now = 100.0
    assert [throttle.admit() for _ in range(4)] == [1, 0, 0, None]
