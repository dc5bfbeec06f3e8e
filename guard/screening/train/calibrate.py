"""``neural.json``: how much the word of each tier counts, and the operating points of both together."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from guard.screening.learned.learned import Learned
from guard.screening.neural.calibration import FORMAT, HEADS
from guard.screening.neural.model import NeuralModel
from guard.screening.neural.windows import windows
from guard.screening.normalize import fold
from guard.screening.segments import Segment, Source
from guard.screening.train.corpus import Row
from guard.screening.train.fit import Array, sigmoid
from guard.screening.train.points import NEAR, NEAR_D1, kept_apart, thresholds

LEARNED = {"unsafe": 0.25, "D1": 0.5}
"""What a logit of the learned tier counts beside one of the neural tier, by what both together do on the dev rows."""
WINDOW = 256
"""Tokens that are read at a time."""
NEVER = {"flag": 1.01, "block": 1.01}
"""No risk is that high: a hazard shows where the prompt is unsafe as a whole, in its likeliest category."""
MOST_FAR = 1200
"""Long harmless prompts that are read: each takes a few windows."""
NOT_PROMPTS = ("HateCheck", "t-davidson tweets")
"""Sources that are no requests; there are so many of them that they would decide alone."""


def calibrate(
    rows: Sequence[Row], model: NeuralModel, learned: Learned, folder: Path, tell: Callable[[int, int], None]
) -> None:
    """Write ``neural.json`` beside the model in ``folder``; ``tell`` hears how many texts are read, of how many."""
    dev = [row for row in rows if row.split == "dev" and row.source not in NOT_PROMPTS]
    kept = kept_apart(rows)
    far = kept.far[:MOST_FAR]
    texts = list(dict.fromkeys(row.text for row in (*dev, *far, *kept.near, *kept.near_d1)))
    both = {}
    for done, text in enumerate(texts, 1):
        both[text] = _logits(text, model, learned)
        tell(done, len(texts))
    mixes: dict[str, dict[str, float]] = {}
    points: dict[str, dict[str, float]] = {}
    for index, head in enumerate(HEADS):
        share = LEARNED.get(head, LEARNED["unsafe"])

        def mixed(some: Sequence[Row], index: int = index, share: float = share) -> Array:
            return np.array([both[row.text][0][index] + share * both[row.text][1][index] for row in some])

        wanted = [row.targets[index] for row in dev]
        slope, bias = _logistic(mixed(dev), np.array(wanted))
        mixes[head] = {"neural": round(slope, 4), "learned": round(slope * share, 4), "bias": round(bias, 4)}
        points[head] = NEVER
        if head in LEARNED:
            near, shares = (kept.near_d1, NEAR_D1) if head == "D1" else (kept.near, NEAR)
            found = thresholds(slope * mixed(far) + bias, slope * mixed(near) + bias, shares)
            flag, block = sigmoid(np.array([found.flag, found.block]))
            points[head] = {"flag": round(float(flag), 4), "block": round(float(block), 4)}
    _write(folder, mixes, points)


def neutral(folder: Path) -> NeuralModel:
    """Return the model in ``folder`` with a ``neural.json`` that says nothing yet: it is written there."""
    heads = range(len(HEADS))
    _write(
        folder,
        {HEADS[index]: {"neural": 1.0, "learned": 0.0, "bias": 0.0} for index in heads},
        {HEADS[index]: NEVER for index in heads},
    )
    return NeuralModel.load(folder)


def _write(folder: Path, mixes: dict[str, dict[str, float]], points: dict[str, dict[str, float]]) -> None:
    document = {
        "format": FORMAT,
        "heads": HEADS,
        "max_tokens": WINDOW,
        "digest": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        "mix": {**mixes["unsafe"], "heads": {head: mixes[head] for head in HEADS[1:]}},
        "thresholds": {**points["unsafe"], "heads": {head: points[head] for head in HEADS[1:]}},
    }
    (folder / "neural.json").write_text(json.dumps(document, indent=1) + "\n")


def _logits(text: str, model: NeuralModel, learned: Learned) -> tuple[list[float], list[float]]:
    """Return both tiers' logits of the window of ``text`` that the neural tier finds riskiest."""
    chosen, _ = windows(
        [Segment(Source.USER, text)],
        model.tokens,
        WINDOW,
        lambda part: learned.logits(fold(part))[0],
    )
    read = [(model.logits(window.ids), window.text) for window in chosen] or [([-9.0] * len(HEADS), "")]
    logits, part = max(read, key=lambda each: each[0][0])
    return logits, learned.logits(fold(part))


def _logistic(scores: Array, wanted: Array) -> tuple[float, float]:
    """Return slope and bias of the likeliest logistic curve (Platt, 1999), by Newton's method."""
    slope, bias = 1.0, 0.0
    for _ in range(100):
        guess = sigmoid(slope * scores + bias)
        error, spread = guess - wanted, guess * (1 - guess) + 1e-9
        hessian = np.array(
            [[np.sum(spread * scores * scores), np.sum(spread * scores)], [np.sum(spread * scores), np.sum(spread)]]
        )
        move = np.linalg.solve(hessian + 1e-6 * np.eye(2), np.array([np.sum(error * scores), np.sum(error)]))
        slope, bias = float(slope - move[0]), float(bias - move[1])
        if np.abs(move).max() < 1e-9:
            break
    return slope, bias
