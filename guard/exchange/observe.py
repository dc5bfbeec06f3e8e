"""Tell behavior over time of a finished request: its texts are handed over, and looked at behind the answer."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from guard.behavior.observation import Observation
from guard.exchange.exchange import Exchange
from guard.licensing.purpose import PLAIN
from guard.screening.findings import Finding
from guard.screening.segments import Direction, Source

if TYPE_CHECKING:
    from guard.exchange.record import ServedChoice

PROMPTS = 16
"""Prompts of one request that are observed: a list of them is as many requests."""
LISTED = frozenset({"completions", "batch"})
"""Surfaces on which every text of a user is a prompt of its own."""
LOGPROBS = frozenset({"logprobs", "prompt_logprobs", "logprob_token_ids"})
UNSCORED = 0.7
"""Score of a finding of D1 that has none of its own: that of the rules of this category, more or less."""


def observe(exchange: Exchange, served: "Sequence[ServedChoice]") -> None:
    """Hand the request over, if it was answered, its identity is known, and nobody granted what is looked for.

    A purpose that trains a model has been judged by ``entitle``: whoever has one makes training data in the open.
    """
    behavior, policy, identity = exchange.services.behavior, exchange.snapshot.behavior, exchange.identity
    if behavior is None or policy is None or identity.key is None or not exchange.answered:
        return
    if identity.purpose not in PLAIN:
        return
    inquiry = exchange.inquiry
    users = [segment for segment in exchange.texts if segment.source is Source.USER and not segment.again]
    said = [segment.text for segment in users if ".content" in segment.path] or [segment.text for segment in users]
    if not said:
        return
    prompts = said[-PROMPTS:] if inquiry.surface in LISTED else said[-1:]
    instructions = tuple(segment.text for segment in exchange.texts if segment.source is Source.SYSTEM)
    logprobs = any(use.capability in LOGPROBS for use in inquiry.uses)
    d1 = max((UNSCORED if each.score is None else each.score for each in _training_data(exchange)), default=0.0)
    tokens = sum(_tokens(choice) for choice in served) // len(prompts)
    now = exchange.services.now()
    for prompt in prompts:
        behavior.observe(
            Observation(identity.key, now, prompt, instructions, inquiry.document, d1, logprobs, tokens), policy
        )


def _training_data(exchange: Exchange) -> Iterator[Finding]:
    """Yield what any tier found of D1 in the prompt, whatever the policy does about it."""
    for direction, finding, _ in exchange.findings:
        if direction is Direction.PROMPT and finding.category == "D1":
            yield finding
    for direction, finding in exchange.unruled:
        if direction is Direction.PROMPT and finding.category == "D1":
            yield finding
    for finding in exchange.deferred:
        if finding.category == "D1" and not exchange.settled:
            yield finding


def _tokens(choice: "ServedChoice") -> int:
    """Output tokens; estimated at four characters each where the server does not tell."""
    if choice.completion_tokens is not None:
        return choice.completion_tokens
    return sum(map(len, choice.texts)) // 4
