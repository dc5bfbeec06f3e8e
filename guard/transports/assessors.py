"""The checks of one process that run beside the call to the model: what they need is opened once and kept."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

from prometheus_client import CollectorRegistry

from guard.exchange.assess import AnswerAssessor, Assessor
from guard.exchange.snapshot import Snapshot
from guard.policy.config import Config
from guard.screening.findings import Finding
from guard.screening.learned.learned import Learned
from guard.screening.learned.weights import shipped
from guard.screening.neural.model import NeuralUnavailable, loaded
from guard.screening.neural.queue import NeuralQueue, Scan
from guard.screening.neural.screen import NeuralScreen
from guard.screening.segments import Segment
from guard.transports.judge import Judge, judge_from
from guard.transports.neural import NeuralAssessor

log = logging.getLogger("guard")


class Assessors:
    """Opens the judge of ``config`` at once and the neural model when a policy first wants it. For one thread."""

    def __init__(
        self, config: Config, registry: CollectorRegistry, on_failure: Callable[[str, BaseException], None]
    ) -> None:
        """Raises what ``judge_from`` raises."""
        self._settings = config.screening.neural
        self._on_failure = on_failure
        self._queue: NeuralQueue | None = None
        self._judge: Judge | None = (
            judge_from(config.screening.judge, registry) if config.screening.judge is not None else None
        )

    @property
    def of_answers(self) -> Sequence[AnswerAssessor]:
        """The checks of finished answers."""
        return self._judge.answer_assessors if self._judge is not None else ()

    @property
    def judge_resting(self) -> bool | None:
        """True while the judge is left alone after failures; None where there is none."""
        return self._judge.client.resting if self._judge is not None else None

    def of_prompts(self, snapshot: Snapshot, *, starting: bool = False) -> Sequence[Assessor]:
        """Return the checks of prompts under ``snapshot``; takes a while where the model is to be loaded.

        ``starting``: raises NeuralUnavailable if it cannot be. Otherwise nothing is in the model's place but errors:
        what it was to assess is not evaluated.
        """
        found: list[Assessor] = []
        if snapshot.neural is not None:
            if self._queue is None:
                self._queue = self._open(self._settings.folder, starting=starting)
                log.info("the neural tier is active: learned risks %.2f to %.2f", *snapshot.neural[:2])
            found.append(NeuralAssessor(self._queue, snapshot.neural, self._on_failure))
        if self._judge is not None:
            found += self._judge.assessors
        return found

    def close(self) -> None:
        """Close what was opened; idempotent."""
        if self._queue is not None:
            self._queue.close()
        if self._judge is not None:
            self._judge.close()

    def _open(self, folder: Path, *, starting: bool) -> NeuralQueue:
        settings = self._settings
        scan: Scan
        try:
            scan = NeuralScreen(loaded(folder), _TakingTurns(Learned(shipped())).logits).scan
        except NeuralUnavailable as error:
            if starting:
                raise
            log.critical("the neural tier cannot be used: %s", error)
            scan = partial(_fail, error)
        return NeuralQueue(scan, threads=settings.threads, most_waiting=settings.queue)


class _TakingTurns:
    """A learned model for several threads: its scorer without a compiler is for one at a time."""

    def __init__(self, model: Learned) -> None:
        self._model = model
        self._turn = Lock()

    def logits(self, folded: str) -> list[float]:
        """Return the learned tier's logits of a folded text, by head."""
        with self._turn:
            return self._model.logits(folded)


def _fail(error: Exception, _segments: Sequence[Segment], _wanted: Callable[[], bool]) -> list[Finding]:
    raise error
