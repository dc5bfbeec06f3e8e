"""Where a logit becomes a finding: two operating points for hazards, two for D1."""

from guard.screening.findings import Action, Finding
from guard.screening.learned.reading import Scale, Window, category, sigmoid
from guard.screening.learned.walk import Walk
from guard.screening.learned.weights import Thresholds, Weights
from guard.screening.normalize import Offsets
from guard.screening.segments import Source

PREFIX = "learned."
"""Rule ids of this tier are this and a category's code."""


class OperatingPoints:
    """The thresholds of one model."""

    def __init__(self, weights: Weights) -> None:
        self.unsafe = weights.unsafe
        self.d1 = weights.d1
        self._scale = Scale(weights)

    def reached(self, unsafe: float, d1: float, *, code: bool) -> bool:
        """Return whether either logit is worth a finding; in ``code`` it takes more."""
        if code:
            return unsafe >= self.unsafe.block or d1 >= self.d1.block
        return unsafe >= self.unsafe.flag or d1 >= self.d1.flag

    def hazard(self, walk: Walk, places: Offsets, source: Source, path: str = "") -> Finding | None:
        """Return what the riskiest window is evidence of, None below the flag threshold."""
        if walk.highest < self.unsafe.flag:
            return None
        code = category(self._scale.logits(walk.unsafe))
        return _finding(code, walk.highest, self.unsafe, walk.unsafe, places, source, path)

    def training_data(self, walk: Walk, places: Offsets, source: Source, path: str = "") -> Finding | None:
        """Return the finding of D1, None below its flag threshold."""
        if walk.highest_d1 < self.d1.flag:
            return None
        return _finding("D1", walk.highest_d1, self.d1, walk.d1, places, source, path)


def _finding(
    code: str, logit: float, thresholds: Thresholds, window: Window, places: Offsets, source: Source, path: str
) -> Finding:
    most = Action.BLOCK if logit >= thresholds.block else Action.FLAG
    start = places.original(window.start)
    end = places.original(window.end - 1) + 1 if window.end else start
    return Finding(PREFIX + code, code, start, end, source, path, None, most, sigmoid(logit))
