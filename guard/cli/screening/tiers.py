"""The tiers over one text, in the order of a gateway: rules, then the learned tier, then the neural one where asked."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from guard.exchange.snapshot import Snapshot
from guard.screening.automaton import TooManyMatches
from guard.screening.categories import HAZARDS
from guard.screening.findings import Action, Finding
from guard.screening.learned.reading import CODES, D1, Scale, sigmoid
from guard.screening.learned.walk import Walk
from guard.screening.learned.weights import shipped
from guard.screening.neural.calibration import HEADS, UNSAFE, Levels
from guard.screening.neural.screen import NeuralScreen
from guard.screening.neural.settling import acquitted, divided, reads
from guard.screening.neural.windows import Window
from guard.screening.normalize import fold
from guard.screening.segments import Segment, Source

SHOWN = 0.05
"""A category that is less likely is not told, unless something was found in it."""
_SHOWN_LOGIT = -2.9444389791664403
_CODES = (*CODES, "D1")


class Reading(NamedTuple):
    """What the tiers say of one text."""

    risk: float
    """That it is unsafe, 0..1: what the tiers say, or a rule that stands for more."""
    categories: Mapping[str, float]
    """Probabilities by code: those from SHOWN on, and those of what was found."""
    findings: Sequence[Finding]
    """Those of the rules, then those of the neural tier where it was asked, else those of the learned one."""
    walk: Walk | None
    """The learned tier's, with the riskiest window; None: it is off."""
    mixed: float | None = None
    """The risk by the learned and the neural tier together; None: the neural tier did not read the text."""
    not_evaluated: str | None = None
    """Why the rules could not be asked."""


class NeuralTier(NeuralScreen):
    """The neural tier, which also remembers what it made of the windows that it did not report."""

    _highest: Sequence[float] = ()

    @property
    def unsafe_levels(self) -> Levels:
        """From which risk on the whole text may be flagged and blocked."""
        return self._model.calibration.levels[0]

    def risks(self, window: Window) -> list[float]:
        """Return the calibrated risk of every head for one window."""
        found = super().risks(window)
        self._highest = tuple(map(max, self._highest, found)) if self._highest else tuple(found)
        return found

    def take(self) -> Mapping[str, float]:
        """Return the highest risks by head since the last call; empty if no window was read."""
        highest, self._highest = self._highest, ()
        return dict(zip(HEADS, highest, strict=True)) if highest else {}


class Tiers:
    """What a snapshot screens with, for one thread. Without ``neural`` its neural policy is as if it were off."""

    def __init__(self, snapshot: Snapshot, neural: NeuralTier | None = None) -> None:
        self._rules = snapshot.rules
        self._scores = {rule.id: rule.score for rule in snapshot.rules.rules}
        self._masks = frozenset(rule.id for rule in snapshot.rules.rules if rule.action is Action.MASK)
        self._learned = snapshot.learned
        self._policy = snapshot.neural
        self._neural = neural
        self._scale = Scale(shipped()) if snapshot.learned is not None else None

    def read(self, text: str, source: Source) -> Reading:
        """Return what they say of ``text``: of an answer where ``source`` is OUTPUT, else of a prompt."""
        if source is Source.OUTPUT:
            return self._answer(text)
        segment = Segment(source, text)
        learned, doubt, found, walk = self._learned, None, list[Finding](), None
        try:
            ruled = self._rules.scan([segment])
            if learned is not None and learned.prompts is not Action.OFF:
                walk = learned.model.assess(segment, found)
        except TooManyMatches:
            return self._without_neural([], [], None, "too_many_matches")
        if learned is not None and walk is not None:
            found = [finding._replace(most=min(finding.most, learned.prompts)) for finding in found]
            doubt = 0.0 if source is Source.SYSTEM else sigmoid(walk.highest)  # as of a prompt that is nothing else
        if self._neural is not None and self._policy is not None and self._policy.wants(doubt):
            by_both = self._neural.scan([segment])
            risks = self._neural.take()
            if risks:
                shown = {finding.category for finding in by_both}
                likely = {head: round(risk, 4) for head, risk in risks.items() if risk >= SHOWN or head in shown}
                likely.pop(UNSAFE, None)
                deferred, standing = divided(found, [segment])
                by_both += acquitted(deferred) + standing
                risk = risks[UNSAFE] if reads(text) else max(risks[UNSAFE], doubt or 0.0)
                return self._reading(ruled, by_both, risk, likely, walk, risks[UNSAFE], None)
        return self._without_neural(ruled, found, walk, None)

    def _answer(self, text: str) -> Reading:
        learned, walk, score, most = self._learned, None, None, Action.OFF
        if learned is not None and learned.outputs is not Action.OFF:
            most = learned.outputs
            score = learned.model.open(Source.OUTPUT, blocks=False)
            walk = learned.model.read(fold(text))
        # Nothing blocks: every rule is to say what it finds.
        channel = self._rules.open(Source.OUTPUT, frozenset(), score, most)
        channel.feed(text)
        channel.finish()
        findings = channel.findings
        rules = len(findings) - (len(score.findings) if score is not None else 0)
        return self._without_neural(findings[:rules], findings[rules:], walk, None)

    def _without_neural(
        self, ruled: Sequence[Finding], found: Sequence[Finding], walk: Walk | None, not_evaluated: str | None
    ) -> Reading:
        if walk is None or self._scale is None:
            return self._reading(ruled, found, 0.0, {}, None, None, not_evaluated)
        likely = _likely(self._scale, walk, {finding.category for finding in found})
        # What was found in code, or in an answer as it grew, may be riskier than the window of the walk.
        risks = [finding.score or 0.0 for finding in found if finding.category in HAZARDS]
        return self._reading(ruled, found, max(sigmoid(walk.highest), *risks, 0.0), likely, walk, None, not_evaluated)

    def _reading(
        self,
        ruled: Sequence[Finding],
        found: Sequence[Finding],
        risk: float,
        likely: dict[str, float],
        walk: Walk | None,
        mixed: float | None,
        not_evaluated: str | None,
    ) -> Reading:
        """Return the reading, with what the rules found in it."""
        for finding in ruled:
            score, code = self._scores[finding.rule], finding.category
            if finding.rule in self._masks:
                continue  # it is put right before it is sent, and says nothing of the rest
            likely[code] = max(likely.get(code, 0.0), score)
            if code in HAZARDS:
                risk = max(risk, score)
        return Reading(risk, likely, [*ruled, *found], walk, mixed, not_evaluated)


def _likely(scale: Scale, walk: Walk, found: Collection[str]) -> dict[str, float]:
    """Return the probabilities of the categories: those of the riskiest window, and D1 of its own."""
    logits = (*scale.logits(walk.unsafe)[1:D1], walk.highest_d1)
    return {
        code: round(sigmoid(logit), 4)
        for code, logit in zip(_CODES, logits, strict=True)
        if logit >= _SHOWN_LOGIT or code in found
    }
