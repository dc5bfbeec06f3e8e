"""A change of state is told once, and an estimate that trembles around a limit changes nothing."""

from hypothesis import given
from hypothesis import strategies as st
from usage_world import limit

from guard.usage.states import States
from guard.usage.thresholds import State

LIMIT = limit(1000)


def crossings(states):
    return [(each.before, each.after, each.users) for each in states.crossings()]


def test_every_change_is_told_once_with_the_users_that_made_it():
    states = States()
    assert [states.see(LIMIT, users) for users in (10, 799, 800, 900, 1000, 1001, 1500)] == [
        State.OK, State.OK, State.APPROACHING, State.APPROACHING, State.APPROACHING, State.OVER, State.OVER,
    ]  # fmt: skip
    assert crossings(states) == [(State.OK, State.APPROACHING, 800), (State.APPROACHING, State.OVER, 1001)]
    assert crossings(states) == []


def test_a_process_that_starts_past_a_limit_says_so_and_one_below_says_nothing():
    states = States()
    states.see(LIMIT, 1200)
    states.see(limit(1000, license="kimi"), 5)
    assert crossings(states) == [(None, State.OVER, 1200)]


def test_a_state_is_left_two_percent_below_where_it_begins():
    states = States()
    told = [states.see(LIMIT, users) for users in (1001, 990, 981, 980, 790, 785, 784)]
    assert told == [State.OVER] * 3 + [State.APPROACHING] * 3 + [State.OK]


def test_a_count_that_only_rises_is_taken_at_its_word():
    states = States()
    assert [states.see(LIMIT, users, jitters=False) for users in (1001, 999, 799)] == [
        State.OVER, State.APPROACHING, State.OK,
    ]  # fmt: skip


def test_the_month_turns_and_the_state_falls_back():
    states = States()
    states.see(LIMIT, 1001)
    assert states.see(LIMIT, 0) is State.OK


@given(st.integers(1, 10**9), st.floats(-0.0095, 0.0095))
def test_jitter_of_one_percent_never_makes_a_state_flap(value, jitter):
    bound, states = limit(value), States()
    over = value + 1
    assert states.see(bound, over) is State.OVER
    assert states.see(bound, max(value, round(over * (1 + jitter)))) is State.OVER


@given(st.lists(st.integers(0, 2000), max_size=30))
def test_the_state_never_understates_the_count(counts):
    states, order = States(), list(State)
    for users in counts:
        assert order.index(states.see(LIMIT, users)) >= order.index(LIMIT.state(users))
