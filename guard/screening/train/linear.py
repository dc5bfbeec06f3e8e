"""Tier 2: its weights from the rows, what a teacher said of them, and the operating points."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from guard.screening.learned.learned import Learned
from guard.screening.learned.reading import D1, UNSAFE
from guard.screening.learned.weights import Thresholds, Weights
from guard.screening.normalize import fold
from guard.screening.train.corpus import HEADS, Row, digest, training
from guard.screening.train.features import matrix, windows, words
from guard.screening.train.fit import Array, Tell, fit, quantized, shortened
from guard.screening.train.points import NEAR, NEAR_D1, kept_apart, thresholds
from guard.screening.train.teach import Teacher

DECAY = 5e-6
POSITIVE = (1.3, *(2.0 for _ in HEADS[1:]))
TRUST = 0.3
"""What the teacher's word counts where an English row has labels too; of other languages it knows little."""
SPLICED = 0.2
"""What a text that nobody wrote counts beside one that somebody did."""


def train(rows: Sequence[Row], teacher: Teacher, tell: Tell | None = None) -> Weights:
    """Return the weights that ``rows`` and ``teacher`` give; the same input gives the same bytes.

    The order of ``rows`` matters in the last bits; ``corpus.read`` always gives the same.
    """
    texts: list[list[str]] = []
    targets: list[NDArray[np.float64]] = []
    for row in training(rows):
        target = np.array(row.targets)
        said = teacher.get(row.text)
        if said is not None and row.lang == "en":
            target = (1 - TRUST) * target + TRUST * np.array(said)
        # Which part of a long text is unsafe nobody said; of a harmless one every part is harmless.
        parts = windows(row.text) if not any(row.targets) else [words(row.text)[:64]]
        for part in parts:
            texts.append(part)
            targets.append(target if len(parts) == 1 else np.array(row.targets))
    shares = [1.0] * len(texts)
    labeled = {row.text for row in rows if row.labels}
    written = {row.text for row in rows}
    for text, said in teacher.items():
        if text not in labeled:
            texts.append(words(text)[:64])
            targets.append(np.array(said))
            shares.append(1.0 if text in written else SPLICED)
    table, biases = fit(matrix(texts), np.array(targets), np.array(shares), np.array(POSITIVE), DECAY, tell)
    octets, scales = quantized(table)
    unset = Thresholds(0.0, 0.0)
    weights = Weights(HEADS, scales, tuple(map(shortened, biases)), unset, unset, digest(rows, teacher), octets)
    return operating(weights, rows)


def operating(weights: Weights, rows: Sequence[Row]) -> Weights:
    """Return ``weights`` with the operating points that the harmless rows kept apart give."""
    far, near, near_d1 = (score(weights, [row.text for row in harmless]) for harmless in kept_apart(rows))
    return replace(
        weights,
        unsafe=thresholds(far[:, UNSAFE], near[:, UNSAFE], NEAR),
        d1=thresholds(far[:, D1], near_d1[:, D1], NEAR_D1),
    )


def score(weights: Weights, texts: Sequence[str]) -> Array:
    """Return the logits of ``texts``, texts by heads: of the riskiest window, and D1 of its own."""
    learned = Learned(weights)
    return (
        np.array([learned.logits(fold(text)) for text in texts]).reshape(len(texts), len(HEADS)).reshape(-1, len(HEADS))
    )
