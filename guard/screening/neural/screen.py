"""Prompts in, findings out: the model over the windows of a prompt, calibrated together with the learned tier."""

from collections.abc import Callable, Sequence

from guard.screening.findings import Action, Finding
from guard.screening.neural.calibration import Sign
from guard.screening.neural.model import NeuralModel, NeuralUnavailable
from guard.screening.neural.windows import Window, windows
from guard.screening.segments import Segment

RULE = "neural."
"""Before the category: the id of what a finding comes from (``neural.S1``)."""

LearnedLogits = Callable[[str], Sequence[float]]
"""The learned tier's logits of a text, in the order of ``HEADS``; called in a thread of the neural tier's own."""


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class NeuralScreen:
    """The model and what its risks mean. ``scan`` takes milliseconds and may run in several threads at once."""

    def __init__(self, model: NeuralModel, learned: LearnedLogits | None = None) -> None:
        """Raises NeuralUnavailable if the calibration mixes in the learned tier and ``learned`` is None."""
        if learned is None and model.calibration.mixes_learned:
            raise NeuralUnavailable("neural.json mixes in the learned tier, which is not there", "both tiers")
        self._model = model
        self._learned = learned

    def scan(self, segments: Sequence[Segment], wanted: Callable[[], bool] = lambda: True) -> list[Finding]:
        """Return what ``segments`` show, the worst first: every category at most once a segment, at its worst window.

        ``Finding.most`` is FLAG or BLOCK by the thresholds and ``Finding.score`` the risk. Raises Abandoned as soon as
        ``wanted`` returns False; it is asked before every window.
        """
        worst: dict[tuple[int, str], tuple[Sign, Window]] = {}
        learned = self._learned
        unsafe = None if learned is None else lambda text: learned(text)[0]
        chosen, _ = windows(segments, self._model.tokens, self._model.calibration.max_tokens, unsafe)
        for window in chosen:
            if not wanted():
                raise Abandoned
            for sign in self._model.calibration.signs(self.risks(window)):
                known = worst.get((window.segment, sign.category))
                if known is None or (sign.most, sign.risk) > (known[0].most, known[0].risk):
                    worst[window.segment, sign.category] = sign, window
        found = [_finding(sign, window, segments[window.segment]) for sign, window in worst.values()]
        return sorted(found, key=lambda finding: (-finding.most, -(finding.score or 0.0), finding.rule))

    def risks(self, window: Window) -> list[float]:
        """Return the calibrated risk of every head for one window."""
        mixed = self._learned is not None and self._model.calibration.mixes_learned
        other = self._learned(window.text) if mixed and self._learned is not None else None
        return self._model.calibration.risks(self._model.logits(window.ids), other)


def _finding(sign: Sign, window: Window, segment: Segment) -> Finding:
    return Finding(
        RULE + sign.category,
        sign.category,
        window.start,
        window.end,
        segment.source,
        segment.path,
        window.transform,
        Action(sign.most),
        sign.risk,
    )
