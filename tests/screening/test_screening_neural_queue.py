"""The queue before the model: bounded, in order, and it wastes no time on what nobody waits for."""

import threading
import time
from concurrent.futures import wait

import pytest

from guard.screening.findings import Finding
from guard.screening.neural.queue import Expired, NeuralQueue, Overloaded
from guard.screening.neural.screen import Abandoned
from guard.screening.segments import Segment, Source

LONG = 30.0
FOUND = [Finding("neural.S1", "S1", 0, 1, Source.USER)]


class Gate:
    """A model that answers when it is let; ``begun`` are the texts that it was asked about."""

    def __init__(self, answer=FOUND):
        self.answer, self.begun, self.open, self.started = answer, [], threading.Event(), threading.Semaphore(0)

    def __call__(self, segments, wanted):
        self.begun.append(segments[0].text)
        self.started.release()
        assert self.open.wait(LONG)
        if not wanted():
            raise Abandoned
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def text(words):
    return [Segment(Source.USER, words)]


@pytest.fixture
def queued():
    made = []

    def make(scan, **given):
        queue = NeuralQueue(scan, **{"threads": 1, "most_waiting": 2, **given})
        made.append((queue, scan))
        return queue

    yield make
    for queue, scan in made:
        scan.open.set()
        queue.close()


def test_findings_come_back_in_order(queued):
    gate = Gate()
    queue = queued(gate)
    gate.open.set()
    assert queue.submit(text("a"), LONG).answer.result(LONG) == FOUND


def test_a_full_queue_takes_nothing_and_does_not_wait(queued):
    gate = Gate()
    queue = queued(gate)
    running = queue.submit(text("a"), LONG)
    assert gate.started.acquire(timeout=LONG)
    waiting = [queue.submit(text(name), LONG) for name in "bc"]
    with pytest.raises(Overloaded):
        queue.submit(text("d"), LONG)
    gate.open.set()
    assert [job.answer.result(LONG) for job in (running, *waiting)] == [FOUND] * 3
    assert gate.begun == ["a", "b", "c"]


def test_what_was_abandoned_makes_room_and_is_never_begun(queued):
    gate = Gate()
    queue = queued(gate)
    queue.submit(text("a"), LONG)
    assert gate.started.acquire(timeout=LONG)
    given_up = [queue.submit(text(name), LONG) for name in "bc"]
    for job in given_up:
        job.abandon()
    kept = queue.submit(text("d"), LONG)
    gate.open.set()
    assert kept.answer.result(LONG) == FOUND
    assert gate.begun == ["a", "d"]
    assert all(isinstance(job.answer.exception(LONG), Abandoned) for job in given_up)


def test_what_runs_ends_when_nobody_waits_for_it_any_more(queued):
    gate = Gate()
    queue = queued(gate)
    job = queue.submit(text("a"), LONG)
    assert gate.started.acquire(timeout=LONG)
    job.abandon()
    gate.open.set()
    assert isinstance(job.answer.exception(LONG), Abandoned)


def test_after_the_deadline_there_is_no_answer_however_good(queued):
    gate, now = Gate(), [100.0]
    queue = queued(gate, clock=lambda: now[0])
    late, waiting = queue.submit(text("a"), 2.0), queue.submit(text("b"), 2.0)
    assert gate.started.acquire(timeout=LONG)
    now[0] += 2.5
    gate.open.set()
    assert isinstance(late.answer.exception(LONG), Expired)
    assert isinstance(waiting.answer.exception(LONG), Expired)


def test_the_models_failure_is_the_answer_and_the_next_prompt_is_read(queued):
    gate = Gate(MemoryError("no"))
    queue = queued(gate)
    gate.open.set()
    assert isinstance(queue.submit(text("a"), LONG).answer.exception(LONG), MemoryError)
    gate.answer = FOUND
    assert queue.submit(text("b"), LONG).answer.result(LONG) == FOUND


def test_a_job_canceled_before_its_turn_breaks_nothing(queued):
    gate = Gate()
    queue = queued(gate)
    queue.submit(text("a"), LONG)
    assert gate.started.acquire(timeout=LONG)
    canceled, kept = queue.submit(text("b"), LONG), queue.submit(text("c"), LONG)
    assert canceled.answer.cancel()
    gate.open.set()
    assert kept.answer.result(LONG) == FOUND
    assert gate.begun == ["a", "c"]


def test_two_threads_read_two_prompts_at_a_time(queued):
    gate = Gate()
    queue = queued(gate, threads=2)
    jobs = [queue.submit(text(name), LONG) for name in "ab"]
    assert gate.started.acquire(timeout=LONG)
    assert gate.started.acquire(timeout=LONG)
    gate.open.set()
    wait([job.answer for job in jobs], LONG)
    assert sorted(gate.begun) == ["a", "b"]


def test_closing_answers_everybody_and_leaves_no_thread(queued):
    gate = Gate()
    queue = queued(gate)
    jobs = [queue.submit(text("a"), LONG)]
    assert gate.started.acquire(timeout=LONG)
    jobs += [queue.submit(text(name), LONG) for name in "bc"]
    closing = threading.Thread(target=queue.close)
    closing.start()
    assert isinstance(jobs[2].answer.exception(LONG), Abandoned)
    gate.open.set()
    closing.join(LONG)
    assert isinstance(jobs[0].answer.exception(LONG), Abandoned)
    until = time.monotonic() + LONG
    while any(thread.name.startswith("guard-neural") for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
    with pytest.raises(Overloaded):
        queue.submit(text("d"), LONG)
