"""Identities that nobody comes back under are told from people, without a count being touched."""

import pytest

from guard.usage.churn import DAY, HOUR, LEAST, SAMPLE, Churn
from guard.usage.period import Calendar
from guard.usage.pseudonym import Pseudonymizer

KEY = Pseudonymizer(b"k" * 32)
START = 1_793_836_800.0  # 2026-11-05, midnight in UTC
NOVEMBER_ENDS = 1_796_083_200.0


class World:
    """One process that started at START, and the warnings it gave."""

    def __init__(self, start=START):
        self.warned = []
        self.churn = Churn(Calendar(), self.warned.append)
        self.now = start

    def hours(self, count, users, requests=2 * LEAST // 24 + 1, source="body"):
        """Let ``users(n)`` name the user of the n-th request, ``requests`` times an hour."""
        for _ in range(count):
            for n in range(requests):
                user = users(int(self.now // HOUR) * requests + n)
                self.churn.note(source, KEY.key("", str(user)), self.now + n * HOUR / requests)
            self.now += HOUR

    @property
    def ratios(self):
        return {measure.source: round(measure.ratio, 2) for measure in self.churn.measures(self.now)}


def session(number):
    return f"session-{number}"


def test_nothing_is_said_on_the_first_day_when_everybody_is_new():
    world = World()
    world.hours(24, session)
    assert (world.ratios, world.warned) == ({}, [])


def test_people_come_back_and_are_not_suspected_though_all_were_new_once():
    world = World()
    world.hours(72, lambda n: n % 500)
    assert (world.ratios, world.warned) == ({"body": 0.0}, [])


def test_session_ids_are_suspected_once_a_day_for_each_source():
    world = World()
    for _ in range(72):
        world.hours(1, session)
        world.now -= HOUR
        world.hours(1, lambda n: n % 500, source="jwt")
    assert world.ratios["body"] > 0.9  # an estimate: there were more than are remembered
    assert world.ratios["jwt"] == 0.0
    assert [(measure.source, measure.suspect) for measure in world.warned] == [("body", True), ("body", True)]
    assert world.warned[0].reason == (
        f"{world.warned[0].ratio:.0%} of {world.warned[0].requests} requests identified by body in the last day came from identities never "
        "seen before: these may be sessions rather than people"
    )


@pytest.mark.parametrize(("turns", "suspect"), [(1, True), (3, False)])
def test_what_is_measured_is_one_over_the_requests_per_identity(turns, suspect):
    world = World()
    world.hours(48, lambda n: session(n // turns))
    (measure,) = world.churn.measures(world.now)
    assert measure.ratio == pytest.approx(1 / turns, abs=0.02)
    assert measure.suspect is suspect


def test_a_few_requests_say_nothing():
    world = World()
    world.hours(48, session, requests=LEAST // 24)
    assert (world.ratios, world.warned) == ({}, [])


def test_the_window_is_a_day_and_what_is_older_is_forgotten():
    world = World()
    world.hours(48, session)
    world.hours(24, lambda n: n % 500)
    world.hours(24, lambda n: n % 500)
    assert world.ratios == {"body": 0.0}
    world.now += 3 * DAY
    assert world.ratios == {}


def test_a_new_month_is_a_new_memory_because_its_key_may_be_another():
    world = World(NOVEMBER_ENDS - 3 * DAY)
    world.hours(71, lambda n: n % 500)
    assert world.ratios == {"body": 0.0}
    world.hours(25, lambda n: n % 500)
    assert world.ratios == {}  # the first of the month, measured by nobody
    world.hours(24, lambda n: n % 500)
    assert (world.ratios, world.warned) == ({"body": 0.0}, [])


def test_a_process_that_slept_through_the_turn_of_a_month_counts_its_first_day_from_there():
    world = World(NOVEMBER_ENDS - DAY)
    world.hours(1, session)
    world.now = NOVEMBER_ENDS + DAY
    world.hours(23, session)
    assert world.ratios == {"body": 1.0}


def test_memory_is_bounded_and_the_estimate_holds_beyond_it():
    world = World()
    world.hours(30, session, requests=2 * SAMPLE)
    (source,) = world.churn._sources.values()
    assert len(source.known) <= SAMPLE
    (measure,) = world.churn.measures(world.now)
    assert measure.requests == 6 * 2 * SAMPLE
    assert measure.ratio == pytest.approx(1, abs=0.2)


def test_a_clock_that_steps_back_is_no_error_and_measures_nothing_twice():
    world = World()
    world.hours(48, session)
    before = world.churn.measures(world.now)
    world.now -= 5 * HOUR
    world.hours(1, session)
    (measure,) = world.churn.measures(world.now + 4 * HOUR)
    assert measure.requests - before[0].requests == 2 * LEAST // 24 + 1
