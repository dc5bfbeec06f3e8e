"""What is told of one finished request: texts are hashed by the thread that takes it and live no longer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

LONGEST = 16_000
"""Characters of one text that are looked at; of a longer one half of them from either end."""


def ends(text: str) -> str:
    """Return what is looked at of a text: all of it up to ``LONGEST`` characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n{text[-LONGEST // 2 :]}"


class Observation(NamedTuple):
    """One answered request of an identity."""

    identity: int
    """The keyed pseudonym."""
    time: float
    """Epoch seconds."""
    prompt: str
    """The last thing a user said in it."""
    instructions: tuple[str, ...]
    """What else applications and users put in front of the model: system prompts."""
    document: Mapping[str, Any]
    """The typed body; only its schemas, its seed and its reasoning settings are looked at."""
    d1: float
    """The highest score of a finding of D1, 0 if there was none."""
    logprobs: bool
    """True if log probabilities were asked for, allowed or not."""
    tokens: int
    """Output tokens of all choices."""

    @property
    def size(self) -> int:
        """Characters that wait with it."""
        size = len(self.prompt)
        for text in self.instructions:
            size += len(text)
        return size


class Noted(NamedTuple):
    """One observation as the profile takes it: nothing of a text is left."""

    time: float
    score: float
    """Of the intent, 0..1."""
    reasons: tuple[int, ...]
    """Places in ``guard.behavior.intent.REASONS``."""
    seed: int
    """16 bits; 0 where none was given."""
    tokens: int
    d1: bool
    logprobs: bool
    reasoning: bool
    schema: bool


def plain(time: float, tokens: int, seed: int) -> Noted:
    """Return a request with nothing to it but a seed of 16 bits."""
    return Noted(time, 0.0, (), seed, tokens, False, False, False, False)
