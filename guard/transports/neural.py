"""The neural tier as a check beside the upstream call: its queue, asked from the event loop."""

import asyncio
import time
from collections.abc import Callable, Sequence

from guard.exchange.assess import Unassessed
from guard.exchange.exchange import Exchange
from guard.screening.findings import Finding
from guard.screening.neural.policy import NeuralPolicy
from guard.screening.neural.queue import Expired, Job, NeuralQueue, Overloaded
from guard.screening.neural.screen import Abandoned
from guard.screening.segments import Segment
from guard.transports.breaker import Breaker

REST = 5.0
"""Seconds for which the model is left alone after failures in a row; then one prompt tries."""


class NeuralAssessor:
    """Asks ``queue`` about the prompts that ``policy`` of the exchange's snapshot wants assessed."""

    holds = settles = True

    def __init__(
        self,
        queue: NeuralQueue,
        policy: NeuralPolicy,
        on_failure: Callable[[str, BaseException], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.required = policy.refuses
        self._queue = queue
        self._deadline = policy.deadline
        self._on_failure = on_failure
        self._clock = clock
        self._breaker = Breaker(failures=8, rate=0.5, window=64, rest=REST)

    def wanted(self, exchange: Exchange) -> bool:
        """Return whether the prompt's learned risk is in the band, under a model about which anything is ruled."""
        policy, model = exchange.snapshot.neural, exchange.model
        return policy is not None and model is not None and bool(model.rulings) and policy.wants(exchange.risk)

    async def assess(self, segments: Sequence[Segment]) -> list[Finding]:
        """Return what the model finds.

        Raises Unassessed: ``neural_overload`` where the queue is full or the breaker open, ``neural_timeout`` after the
        deadline, ``neural_error`` where the model failed.
        """
        turn = self._breaker.admit(self._clock())
        if turn is None:
            raise Unassessed("neural_overload")
        job: Job | None = None
        try:
            job = self._queue.submit(segments, self._deadline)
            async with asyncio.timeout(self._deadline):
                findings = await asyncio.wrap_future(job.answer)
        except (Overloaded, Abandoned) as error:
            self._breaker.failed(turn, self._clock())
            raise Unassessed("neural_overload") from error
        except (TimeoutError, Expired) as error:
            self._breaker.failed(turn, self._clock())
            raise Unassessed("neural_timeout") from error
        except asyncio.CancelledError:
            self._breaker.gave_up(turn)
            raise
        except Exception as error:
            self._breaker.failed(turn, self._clock())
            self._on_failure("screening.neural", error)
            raise Unassessed("neural_error") from error
        finally:
            if job is not None:
                job.abandon()
        self._breaker.succeeded(turn)
        return findings
