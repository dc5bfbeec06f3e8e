"""Who is on the ladder, in memory: all that a request asks is one look-up in a dict that is mostly empty."""

from collections import Counter
from collections.abc import Mapping

from guard.behavior.ladder import Step
from guard.behavior.store import identity_of


class Table:
    """The steps as the store last told them. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._steps: dict[int, Step] = {}
        self._rates: dict[int, tuple[float, float]] = {}

    def step(self, identity: int) -> Step:
        """Return the step of an identity; METRIC for whom nothing is known of."""
        return self._steps.get(identity, Step.METRIC)

    def admit(self, identity: int, per_minute: int, now: float) -> bool:
        """Return False if an identity has had more than ``per_minute`` requests from this process; count this one."""
        left, at = self._rates.get(identity, (float(per_minute), now))
        left = min(float(per_minute), left + max(0.0, now - at) * per_minute / 60.0)
        admitted = left >= 1.0
        self._rates[identity] = (left - admitted, now)
        return admitted

    def refresh(self, standing: Mapping[str, Step]) -> None:
        """Take over what the store says of everybody."""
        self._steps = {identity_of(name): step for name, step in standing.items()}
        self._rates = {identity: rate for identity, rate in self._rates.items() if identity in self._steps}

    def put(self, identity: int, step: Step) -> None:
        """Take over what is known of one identity."""
        if step:
            self._steps[identity] = step
        elif identity in self._steps:
            del self._steps[identity]

    def identities(self) -> Mapping[str, int]:
        """Return the number of identities by step, those without any left out."""
        counts = Counter(self._steps.copy().values())
        return {step.word: counts[step] for step in Step if step}

    def standing(self) -> list[tuple[int, Step]]:
        """Return everybody on the ladder."""
        return list(self._steps.copy().items())
