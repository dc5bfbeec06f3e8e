"""The ladder: what is done about an identity, one step at a time, each for as long as its condition has to hold."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class Step(IntEnum):
    """Each step includes those before it."""

    METRIC = 0
    """Nothing but figures."""
    ALERT = 1
    CLAMP = 2
    """Fewer samples, shorter answers, fewer requests a minute."""
    REQUIRE_PURPOSE = 3
    """Requests without a declared purpose are refused."""
    SUSPEND = 4
    """Every request is refused."""

    @property
    def word(self) -> str:
        """Its name in settings, metrics and the journal."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> "Step":
        """Return the step of that name; raises KeyError for any other."""
        return cls[word.upper()]


THRESHOLDS = (0.0, 0.5, 0.75, 0.9, 0.97)
"""Risk from which each step is due: calibrated by ``benchmarks/behavior_replay.py``."""
SLACK = 0.1
"""By how much the risk has to be below a step's threshold before the step counts as over."""
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Clamp:
    """What an identity on the step may ask for at most."""

    samples: int = 1
    length: int = 1024
    """Tokens of an answer."""
    requests_per_minute: int = 10


@dataclass(frozen=True, slots=True)
class BehaviorPolicy:
    """How far the ladder goes and how fast."""

    enforce: bool = False
    """False: steps are recorded and nothing is done (shadow)."""
    most: Step = Step.ALERT
    up: tuple[float, float, float, float, float] = (0.0, 0.0, 6 * HOUR, 24 * HOUR, 72 * HOUR)
    """Seconds for which the risk has to be at a step's threshold, by step, on top of those of the step before."""
    down: float = 24 * HOUR
    """Seconds for which it has to be below before one step is taken back."""
    clamp: Clamp = field(default_factory=Clamp)


class Standing(NamedTuple):
    """Where an identity stands; times are epoch seconds, 0 where nothing is pending."""

    step: Step = Step.METRIC
    held: bool = False
    """True: an operator put it there, and nothing but an operator moves it."""
    since: float = 0.0
    rising: float = 0.0
    """Since when the next step has been due."""
    falling: float = 0.0
    """Since when this step has been over."""


def advance(standing: Standing, risk: float, now: float, policy: BehaviorPolicy) -> Standing:
    """Return where an identity of that ``risk`` (0..1) stands at ``now``; at most one step away from where it stood."""
    if standing.held:
        return standing
    step = standing.step
    if step > policy.most:  # the policy was changed: what it does not allow is not kept for a dwell time
        return Standing(policy.most, since=now)
    if step < policy.most and risk >= THRESHOLDS[step + 1]:
        rising = standing.rising or now
        if now - rising >= policy.up[step + 1]:
            return Standing(Step(step + 1), since=now)
        return standing._replace(rising=rising, falling=0.0)
    if step > Step.METRIC and risk < THRESHOLDS[step] - SLACK:
        falling = standing.falling or now
        if now - falling >= policy.down:
            return Standing(Step(step - 1), since=now)
        return standing._replace(rising=0.0, falling=falling)
    return standing._replace(rising=0.0, falling=0.0) if standing.rising or standing.falling else standing
