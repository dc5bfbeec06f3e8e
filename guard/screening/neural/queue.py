"""Prompts that wait for the model, in threads of their own: bounded, and each with its deadline.

Windows run one at a time and not in batches: on one core, sorted by length, a window in a batch of 4 takes 0.9 to 1.2
times, and in one of 8 takes 1.2 to 1.6 times, as long as alone (``benchmarks/neural_added_latency.py --batches``). More
threads are what makes use of more cores.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread

from guard.screening.findings import Finding
from guard.screening.neural.screen import Abandoned
from guard.screening.segments import Segment

Scan = Callable[[Sequence[Segment], Callable[[], bool]], list[Finding]]


class Overloaded(Exception):
    """The queue takes nothing now: it is full or closed."""


class Expired(Exception):
    """The deadline passed before there was an answer."""


class Job:
    """One prompt in the queue. ``answer`` gets findings, or Expired, Abandoned, or what the model raised."""

    __slots__ = ("answer", "deadline", "segments", "wanted")

    def __init__(self, segments: Sequence[Segment], deadline: float) -> None:
        self.segments = segments
        self.deadline = deadline
        self.answer: Future[list[Finding]] = Future()
        self.wanted = True

    def abandon(self) -> None:
        """Say that nobody waits for the answer: it is not begun, or ends at the next window."""
        self.wanted = False


class NeuralQueue:
    """``threads`` threads that ``scan``, and at most ``most_waiting`` prompts that wait for them.

    Threads start with the first prompt. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        scan: Scan,
        *,
        threads: int,
        most_waiting: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scan = scan
        self._most_threads = threads
        self._most_waiting = most_waiting
        self._clock = clock
        self._ready = Condition()
        self._waiting: deque[Job] = deque()
        self._threads: list[Thread] = []
        self._closed = False

    def submit(self, segments: Sequence[Segment], deadline: float) -> Job:
        """Queue a prompt that is worth an answer for ``deadline`` more seconds. Raises Overloaded; never waits."""
        with self._ready:
            self._drop_stale()
            if self._closed or len(self._waiting) >= self._most_waiting:
                raise Overloaded
            job = Job(segments, self._clock() + deadline)
            self._waiting.append(job)
            if len(self._threads) < self._most_threads:
                thread = Thread(target=self._work, name=f"guard-neural-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._ready.notify()
        return job

    def close(self, patience: float = 5.0) -> None:
        """Answer what waits with Abandoned, end what runs at its next window, and join the threads; idempotent."""
        with self._ready:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._ready.notify_all()
        for job in left:
            _fail(job, Abandoned())
        for thread in self._threads:
            thread.join(patience)

    def _drop_stale(self) -> None:
        """Make room: what nobody waits for any more takes no place from what somebody does."""
        now = self._clock()
        for job in [job for job in self._waiting if not job.wanted or job.deadline <= now]:
            self._waiting.remove(job)
            _fail(job, Expired() if job.wanted else Abandoned())

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._waiting and not self._closed:
                    self._ready.wait()
                if self._closed:
                    return
                job = self._waiting.popleft()
            self._answer(job)
            del job

    def _answer(self, job: Job) -> None:
        if not job.answer.set_running_or_notify_cancel():
            return
        try:
            findings = self._scan(job.segments, lambda: self._goes_on(job))
            if self._clock() > job.deadline:
                raise Expired
        except Abandoned:
            job.answer.set_exception(Expired() if job.wanted and not self._closed else Abandoned())
        except Exception as error:  # noqa: BLE001 - whatever the model raised: whoever waits must learn of it
            job.answer.set_exception(error)
        else:
            job.answer.set_result(findings)

    def _goes_on(self, job: Job) -> bool:
        return job.wanted and not self._closed and self._clock() <= job.deadline


def _fail(job: Job, error: Exception) -> None:
    """Answer a job that was not begun."""
    if job.answer.set_running_or_notify_cancel():
        job.answer.set_exception(error)
