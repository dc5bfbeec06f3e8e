"""Operating points: how much harmless text a score may flag, and how much it may block.

Long real prompts decide how often users are bothered at all. But most of them look nothing like a hazard, so a second
measure holds too: harmless prompts that share most of their words with harmful ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from guard.screening.learned.weights import Thresholds
from guard.screening.train.corpus import BENIGN, Row
from guard.screening.train.fit import Array

FAR = 0.01, 0.001
"""Shares of long harmless prompts that are flagged and blocked, at most."""
NEAR = 0.08, 0.02
"""Shares of the harmless halves of contrast pairs."""
NEAR_D1 = 0.05, 0.01
"""Shares of harmless prompts that look like the making of training data."""


class KeptApart(NamedTuple):
    """Harmless rows that nothing was trained on."""

    far: list[Row]
    """Long real prompts."""
    near: list[Row]
    """English prompts that differ in a few words from harmful ones."""
    near_d1: list[Row]


def kept_apart(rows: Sequence[Row]) -> KeptApart:
    """Return the harmless rows that decide the operating points."""
    dev = [row for row in rows if row.split == "dev" and row.labels == (BENIGN,) and row.role == "prompt"]
    return KeptApart(
        [row for row in rows if row.split == "calibration"],
        [row for row in dev if "pairs" in row.source],
        [row for row in dev if "authored-d1" in row.source],
    )


def thresholds(far: Array, near: Array, shares: tuple[float, float]) -> Thresholds:
    """Return the lowest logits of one head at which neither FAR nor ``shares`` of ``near`` are exceeded."""
    flag, block = (
        max(_share(far, most_far), _share(near, most_near)) for most_far, most_near in zip(FAR, shares, strict=True)
    )
    return Thresholds(round(flag, 4), round(max(flag, block), 4))


def _share(logits: Array, most: float) -> float:
    return float(np.quantile(logits, 1 - most)) if len(logits) else float("-inf")
