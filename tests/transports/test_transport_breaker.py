"""The circuit breaker: closed, open, and one probe that decides."""

from guard.transports.breaker import Breaker, Turn


def breaker(failures=3, rate=0.5, window=10, rest=5.0):
    return Breaker(failures=failures, rate=rate, window=window, rest=rest)


def opened(now=0.0):
    one = breaker(failures=1)
    one.failed(one.admit(now), now)
    assert one.open
    return one


def test_it_opens_after_so_many_failures_in_a_row():
    one = breaker()
    for _ in range(2):
        one.failed(one.admit(0), 0)
    one.succeeded(one.admit(0))
    for _ in range(2):
        one.failed(one.admit(0), 0)
    assert not one.open
    one.failed(one.admit(0), 0)
    assert one.open
    assert one.admit(4.9) is None


def test_it_opens_at_a_rate_of_failures_of_a_full_window():
    one = breaker(failures=100, rate=0.4, window=5)
    for ok in (True, False, True, False):
        one.succeeded(one.admit(0)) if ok else one.failed(one.admit(0), 0)
    assert not one.open, "a window that is not full says nothing"
    one.succeeded(one.admit(0))
    one.failed(one.admit(0), 0)
    assert one.open


def test_one_probe_decides():
    one = opened()
    assert one.admit(4.9) is None
    assert one.admit(5.0) is Turn.PROBE
    assert one.admit(5.0) is None, "one at a time"
    one.failed(Turn.PROBE, 6.0)
    assert one.admit(10.9) is None
    assert one.admit(11.0) is Turn.PROBE
    one.succeeded(Turn.PROBE)
    assert not one.open
    assert one.admit(11.0) is Turn.ATTEMPT


def test_a_probe_that_is_given_up_makes_room_for_another():
    one = opened()
    one.gave_up(one.admit(5.0))
    assert one.open
    assert one.admit(5.0) is Turn.PROBE


def test_attempts_of_before_it_opened_change_nothing():
    one = breaker(failures=1)
    early, late = one.admit(0), one.admit(0)
    one.failed(early, 0)
    assert one.admit(5.0) is Turn.PROBE
    one.succeeded(late)
    one.gave_up(late)
    one.failed(early, 5.0)
    assert one.open
    assert one.admit(5.0) is None, "the probe is still out"
