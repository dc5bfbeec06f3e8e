"""How the signals become one risk: evidence from requests, made heavier by how the identity behaves.

    evidence   E = S / 8, where S sums, request by request, the score of its intent less an allowance of 0.05,
               never below 0 (Page, "Continuous inspection schemes", Biometrika 41, 1954), halved by a week of silence
    context    C = 0.3 sweep + 0.25 volume + 0.25 detail + 0.1 shift + 0.1 regular            each 0..1
    crowd      X = how many other identities had the same template with an intent within the day, 0..1
    risk       1 - 2 ^ -(E (1 + C + X) + 0.6 C)

Without evidence the risk stays at or below 0.34: an application with one template, however busy, looks just like an
extraction run to everything but what it asks for, so behavior alone never reaches the first step (0.5).
A crowd weighs no more than the evidence itself: many people share a popular wording.
"""

from math import exp2
from typing import NamedTuple

from guard.behavior.intent import Reason

ALLOWANCE = 0.05
"""Mean score of intent that an identity may have for good."""
UNIT = 8.0
CAP = 6 * UNIT
"""The most evidence that is kept, so that there is a way back."""
HALF_LIFE = 7 * 86400.0
"""Seconds in which evidence halves without any request."""
CROWD_FROM, CROWD_FULL = 2, 8
"""Identities under which one template is no crowd yet, and from which it is one in full."""


MOST_CONTEXT = 1.0
"""C where every part of it is 1."""


class Figures(NamedTuple):
    """What is known of an identity's behavior; shares and statistics are 0..1."""

    requests: int = 0
    evidence: float = 0.0
    """S, 0..48."""
    tokens_day: float = 0.0
    """Output tokens a day, over the last days."""
    requests_hour: float = 0.0
    template: float = 0.0
    """Share of recent prompts that have the form of the prompt after them."""
    distinct: float = 1.0
    """Different prompts by prompts."""
    coverage: float = 0.0
    reasoning: float = 0.0
    logprobs: float = 0.0
    schema: float = 0.0
    d1: float = 0.0
    """Shares of recent requests."""
    shift: float = 0.0
    volume: float = 0.0
    regular: float = 0.0
    crowd: float = 0.0

    @property
    def sweep(self) -> float:
        """One form, ever new contents, many subjects."""
        return self.template * self.distinct * self.coverage

    @property
    def detail(self) -> float:
        """What is asked for beyond the answer."""
        return max(self.reasoning, self.logprobs, self.schema)

    @property
    def context(self) -> float:
        """C."""
        return 0.3 * self.sweep + 0.25 * self.volume + 0.25 * self.detail + 0.1 * self.shift + 0.1 * self.regular

    @property
    def risk(self) -> float:
        """The risk, 0..1."""
        return risk(self.evidence, self.context, self.crowd)

    def reasons(self) -> tuple[Reason, ...]:
        """Return the reasons of behavior that weigh: those of requests are the profile's own."""
        weighed = (
            (Reason.CROWD, self.crowd),
            (Reason.SWEEP, self.sweep),
            (Reason.VOLUME, self.volume),
            (Reason.SHIFT, self.shift),
            (Reason.REGULAR, self.regular),
            (Reason.REASONING, self.reasoning),
            (Reason.LOGPROBS, self.logprobs),
        )
        return tuple(reason for reason, weight in weighed if weight >= 0.5)


def risk(evidence: float, context: float, crowd: float) -> float:
    """Return the risk, 0..1, of S, C and X; more of any of them never lowers it."""
    return 1.0 - exp2(-(evidence / UNIT * (1.0 + context + crowd) + 0.6 * context))


def crowd(identities: int) -> float:
    """Return X for a template that ``identities`` had within a day."""
    return min(1.0, max(0.0, (identities - CROWD_FROM) / (CROWD_FULL - CROWD_FROM)))
