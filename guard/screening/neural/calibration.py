"""What the model's numbers mean: calibrated risks, and from which risk on something is done about it.

``neural.json``, beside the model:

    {"format": 1, "heads": ["unsafe", "S1", ..., "D1"], "max_tokens": 256, "digest": "SHA-256 of model.onnx",
     "mix": {"neural": 0.9, "learned": 0.4, "bias": -0.2, "heads": {"S7": {"neural": 1, "learned": 0, "bias": 0}}},
     "thresholds": {"flag": 0.5, "block": 0.9, "heads": {"S7": {"flag": 0.7, "block": 0.97}}}}

A risk is ``sigmoid(neural * n + learned * l + bias)`` of the two tiers' logits; what stands under ``heads`` holds for
that head in place of what stands above it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from guard.screening.categories import CATEGORIES, HAZARDS
from guard.screening.findings import Action

FORMAT = 1
UNSAFE = "unsafe"
HEADS = (UNSAFE, *CATEGORIES)
"""In the order of the model's output."""
NEAR = 0.5
"""A prompt that is unsafe as a whole is so in its likeliest category, and in those at least this fraction as likely."""
_EXTREME = 700.0


class Mix(NamedTuple):
    """Weights of the two tiers' logits for one head."""

    neural: float
    learned: float
    bias: float

    def risk(self, neural: float, learned: float) -> float:
        """Return the calibrated risk in 0..1."""
        logit = self.neural * neural + self.learned * learned + self.bias
        return 1.0 / (1.0 + math.exp(min(-logit, _EXTREME)))


class Levels(NamedTuple):
    """From which risk on a head's finding may flag, and from which on it may block."""

    flag: float
    block: float

    def most(self, risk: float) -> Action:
        """Return the most that may be done at ``risk``: OFF, FLAG or BLOCK."""
        if risk >= self.block:
            return Action.BLOCK
        return Action.FLAG if risk >= self.flag else Action.OFF


class Sign(NamedTuple):
    """One category that a text shows."""

    category: str
    most: Action
    risk: float


class Calibration(NamedTuple):
    """``neural.json``, checked."""

    max_tokens: int
    digest: str
    mixes: tuple[Mix, ...]
    """By head."""
    levels: tuple[Levels, ...]
    """By head."""

    @property
    def mixes_learned(self) -> bool:
        """True if some risk needs the learned tier's logits."""
        return any(mix.learned for mix in self.mixes)

    def risks(self, neural: Sequence[float], learned: Sequence[float] | None) -> list[float]:
        """Return the risk of every head; ``learned`` may be missing only where it has no weight."""
        other = learned if learned is not None else (0.0,) * len(HEADS)
        return [mix.risk(*logits) for mix, *logits in zip(self.mixes, neural, other, strict=True)]

    def signs(self, risks: Sequence[float]) -> list[Sign]:
        """Return the categories that ``risks`` of one text show, each once, by what may be done about them at most.

        A category shows by its own head; a hazard also where the text is unsafe as a whole and no other hazard is much
        likelier.
        """
        overall, likeliest = self.levels[0].most(risks[0]), max(risks[i] for i in _HAZARDS)
        found = []
        for index, category in enumerate(HEADS[1:], 1):
            risk, most = risks[index], self.levels[index].most(risks[index])
            if category in HAZARDS and overall > most and risk >= NEAR * likeliest:
                risk, most = risks[0], overall
            if most is not Action.OFF:
                found.append(Sign(category, most, risk))
        return found


_HAZARDS = tuple(index for index, head in enumerate(HEADS) if head in HAZARDS)


def read_calibration(path: Path) -> Calibration:
    """Return what ``path`` says. Raises OSError, and ValueError (with the path) for anything but the format above."""
    try:
        return _calibration(json.loads(path.read_bytes()))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: not in format {FORMAT}: {type(error).__name__}: {error}") from error


def _calibration(document: Mapping[str, Any]) -> Calibration:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}")
    if tuple(document["heads"]) != HEADS:
        raise ValueError(f"heads; allowed: {', '.join(HEADS)}")
    max_tokens = int(document["max_tokens"])
    if not 8 <= max_tokens <= 512:
        raise ValueError(f"max_tokens {max_tokens}; allowed: 8 to 512")
    mixes = tuple(Mix(*_numbers(document["mix"], head, Mix._fields)) for head in HEADS)
    levels = tuple(Levels(*_numbers(document["thresholds"], head, Levels._fields)) for head in HEADS)
    for head, level in zip(HEADS, levels, strict=True):
        if not 0 < level.flag <= level.block:
            raise ValueError(f"thresholds of {head}; allowed: 0 < flag <= block")
    return Calibration(max_tokens, str(document["digest"]), mixes, levels)


def _numbers(section: Mapping[str, Any], head: str, names: Sequence[str]) -> list[float]:
    own = section.get("heads", {}).get(head, section)
    numbers = [float(own[name]) for name in names]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"numbers of {head}; allowed: finite ones")
    return numbers
