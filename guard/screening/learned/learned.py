"""Tier 2 over complete texts: every segment is read in windows, and what is too risky becomes findings."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from guard.screening.fences import prose
from guard.screening.findings import Action, Finding
from guard.screening.learned.operating import OperatingPoints
from guard.screening.learned.peak import peak
from guard.screening.learned.reading import BLOCK, D1, Scale, sigmoid
from guard.screening.learned.running import STEP, RunningScore
from guard.screening.learned.scorer import Scorer, scorer
from guard.screening.learned.walk import Walk
from guard.screening.learned.weights import Weights, shipped
from guard.screening.normalize import Offsets, fold, folded
from guard.screening.plain import plain
from guard.screening.segments import Segment, Source


class Assessment(NamedTuple):
    """What the model says of a prompt: its risk, 0..1, and what is worth a ruling."""

    risk: float
    findings: list[Finding]


class Learned:
    """One model, with the compiled scorer where there is one or with ``inner``."""

    def __init__(self, weights: Weights, inner: Scorer | None = None) -> None:
        self._scorer = scorer(weights.table) if inner is None else inner
        self._scale = Scale(weights)
        self._points = OperatingPoints(weights)
        self._peak = peak(self._scorer, self._scale)
        self._peaks = {blocks: peak(self._scorer, self._scale, 1 if blocks else STEP) for blocks in (True, False)}
        """Those of growing texts, by whether they may be ended."""

    def read(self, text: str) -> Walk:
        """Return a walk through the whole of a folded text."""
        walk = Walk(self._scorer, self._scale, BLOCK)
        walk.read(text, 0)
        walk.finish()
        return walk

    def logits(self, text: str) -> list[float]:
        """Return the logits of a folded text, by head: those of its riskiest window, and D1 of its own."""
        walk = self.read(text)
        return [*self._scale.logits(walk.unsafe)[:D1], walk.highest_d1]

    def scan(self, segments: Iterable[Segment]) -> Assessment:
        """Return the risk of a prompt and its findings, as many as two a segment.

        Tool definitions are not read. The risk is that of the worst segment; system prompts have no part in it.
        """
        worst: float | None = None
        findings: list[Finding] = []
        for segment in segments:
            if segment.source is Source.TOOL_DEFINITION:
                continue
            logit = self._calm(segment)
            if logit is None:
                logit = self.assess(segment, findings).highest
            if segment.source is not Source.SYSTEM and (worst is None or logit > worst):
                worst = logit
        return Assessment(0.0 if worst is None else sigmoid(worst), findings)

    def open(self, source: Source, *, blocks: bool) -> RunningScore:
        """Return a fresh score of one growing text; ``blocks``: it ends the text at the block threshold."""
        return RunningScore(self._scorer, self._scale, self._points, source, blocks=blocks, peak=self._peaks[blocks])

    def _calm(self, segment: Segment) -> float | None:
        """Return the highest logit of a segment in which ``assess`` finds nothing; None: it has to be assessed."""
        if self._peak is None:
            return None
        text, points = segment.text, self._points
        spans = prose(text)
        code = segment.source is Source.SYSTEM
        unsafe, d1 = self._peak(_said(text, spans))
        if points.reached(unsafe, d1, code=code):
            return None
        fenced = _between(spans, len(text)) if spans != [(0, len(text))] else []
        if fenced and points.reached(*self._peak(_said(text, fenced)), code=True):
            return None
        said = plain(text)
        if said is not None:
            undisguised, undisguised_d1 = self._peak(said)
            if points.reached(undisguised, undisguised_d1, code=False):
                return None
            unsafe = max(unsafe, undisguised)
        return unsafe

    def assess(self, segment: Segment, findings: list[Finding]) -> Walk:
        """Add what is found in ``segment``; return the walk with its riskiest window, as written or undisguised.

        What is fenced as code and what stands in a system prompt is full of words that mean something else there: it
        takes the block threshold to be flagged, and is never blocked for. Of a text in disguise both forms are read.
        """
        text = segment.text
        spans = prose(text)
        walk = self._found(segment, spans, findings, code=segment.source is Source.SYSTEM)
        if sum(end - start for start, end in spans) < len(text):
            self._found(segment, _between(spans, len(text)), findings, code=True)
        said = plain(text)
        if said is not None:
            undisguised, whole = self.read(said), Offsets()
            whole.extend(said, len(said), 0, 0, after_space=False)
            found = []
            if undisguised.highest_d1 > walk.highest_d1:
                found.append(self._points.training_data(undisguised, whole, segment.source, segment.path))
            if undisguised.highest > walk.highest:
                walk = undisguised
                found.append(self._points.hazard(walk, whole, segment.source, segment.path))
            findings.extend(
                each._replace(start=0, end=len(text), transform="plain") for each in found if each is not None
            )
        return walk

    def _found(
        self, segment: Segment, spans: Sequence[tuple[int, int]], findings: list[Finding], *, code: bool
    ) -> Walk:
        """Read ``spans`` of a segment on end and add what is found in them."""
        text = segment.text
        walk = self.read(_said(text, spans))
        points = self._points
        for find, logit, thresholds in (
            (points.hazard, walk.highest, points.unsafe),
            (points.training_data, walk.highest_d1, points.d1),
        ):
            if logit >= (thresholds.block if code else thresholds.flag):
                found = find(walk, _places(text, spans), segment.source, segment.path)
                assert found is not None
                findings.append(found._replace(most=Action.FLAG) if code else found)
        return walk


def _said(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return ``spans`` of ``text`` on end, folded."""
    if spans == [(0, len(text))]:
        return folded(text)
    return fold("\n".join([text[start:end] for start, end in spans]))


def _places(text: str, spans: Sequence[tuple[int, int]]) -> Offsets:
    """Return where the characters of the folded ``spans`` of ``text``, a line break between them, stand in it."""
    places, read, after_space = Offsets(), 0, False
    for index, (start, end) in enumerate(spans, 1):
        part = text[start:end] + "\n" * (index < len(spans))
        said = fold(part, after_space=after_space)
        places.extend(part, len(said), read, start, after_space=after_space)
        read += len(said)
        after_space = said[-1:] == " " or (after_space and not said)
    return places


def _between(spans: Iterable[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Return what of ``length`` characters is not in ``spans``."""
    gaps, done = [], 0
    for start, end in (*spans, (length, length)):
        if start > done:
            gaps.append((done, start))
        done = end
    return gaps


@cache
def default() -> Learned:
    """Return the shipped model: one for the whole process."""
    return Learned(shipped())
