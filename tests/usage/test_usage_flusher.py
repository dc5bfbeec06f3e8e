"""The flusher works when there is something to bring, and looks around once a second when there is not."""

from queue import Queue

import pytest

from guard.usage import flusher
from guard.usage.flusher import Flusher

PATIENCE = 20.0
"""Seconds that a test waits for what is to happen at once."""


@pytest.fixture
def rounds():
    made = Queue()

    def work(*, refresh, adopt):
        made.put((refresh, adopt))

    working = Flusher(work, interval=0.01)
    working.start()
    yield working, made
    assert working.stop(PATIENCE)


def test_while_nothing_is_to_be_brought_every_round_is_one_that_looks_around(rounds):
    _, made = rounds
    assert made.get(timeout=PATIENCE)[0]
    assert made.get(timeout=PATIENCE)[0]


def test_what_is_due_is_brought_without_waiting_for_the_next_look(rounds, monkeypatch):
    monkeypatch.setattr(flusher, "REFRESH", 1e6)
    working, made = rounds
    made.get(timeout=PATIENCE)  # the loop that began before the patch has looked once
    for _ in range(3):
        working.due()
        assert made.get(timeout=PATIENCE) == (False, False)


def test_a_nudge_does_not_wait_for_the_end_of_the_interval(monkeypatch):
    made = Queue()
    monkeypatch.setattr(flusher, "REFRESH", 1e6)
    working = Flusher(lambda *, refresh, adopt: made.put((refresh, adopt)), interval=1e6)
    working.start()
    working.nudge()
    assert made.get(timeout=PATIENCE) == (False, False)
    working.due()
    working.nudge()
    assert made.get(timeout=PATIENCE) == (False, False)
    assert working.stop(PATIENCE)


def test_a_flusher_that_waits_for_nothing_ends_at_once(monkeypatch):
    monkeypatch.setattr(flusher, "REFRESH", 1e6)
    working = Flusher(lambda *, refresh, adopt: None)
    working.start()
    assert working.stop(PATIENCE)
    assert working.healthy
