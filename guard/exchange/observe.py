"""Tell behavior over time of a finished request: its texts are handed over, and looked at behind the answer."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from guard.behavior.observation import Observation, ends
from guard.behavior.shape import ROOTS
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
_LOOKED_AT = frozenset({*ROOTS, "seed", "reasoning", "include_reasoning"})
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_USER, _SYSTEM = Source.USER, Source.SYSTEM


def observe(exchange: Exchange, served: "Sequence[ServedChoice]") -> None:
    """Hand the request over, if it was answered, its identity is known, and nobody granted what is looked for.

    A purpose that trains a model has been judged by ``entitle``: whoever has one makes training data in the open.
    Runs on the event loop, so it only gathers: of a conversation the last prompt, of a long text its ends.
    """
    behavior, policy, identity = exchange.services.behavior, exchange.snapshot.behavior, exchange.identity
    if behavior is None or policy is None or identity.key is None or not exchange.answered:
        return
    if identity.purpose not in PLAIN:
        return
    inquiry = exchange.inquiry
    prompts, instructions = _said(exchange, PROMPTS if inquiry.surface in LISTED else 1)
    if not prompts:
        return
    logprobs, d1, tokens = False, 0.0, 0
    for use in inquiry.uses:
        logprobs = logprobs or use.capability in LOGPROBS
    if exchange.findings or exchange.unruled or exchange.deferred:
        d1 = max((UNSCORED if each.score is None else each.score for each in _training_data(exchange)), default=0.0)
    for choice in served:
        tokens += _tokens(choice)
    now, document, tokens = exchange.services.now(), _looked_at(inquiry.document), tokens // len(prompts)
    for prompt in prompts:
        behavior.observe(Observation(identity.key, now, prompt, instructions, document, d1, logprobs, tokens), policy)


def _said(exchange: Exchange, most: int) -> tuple[list[str], tuple[str, ...]]:
    """Return the last prompts of users, no more than ``most``, and all instructions."""
    texts = exchange.texts
    if len(texts) == 1 and texts[0].source is _USER and not texts[0].again:  # one message: nothing to choose from
        return [ends(texts[0].text)], ()
    content: list[str] = []
    other: list[str] = []
    instructions: list[str] = []
    for source, text, path, again in texts:
        if source is _USER:
            if not again:
                (content if ".content" in path else other).append(text)
        elif source is _SYSTEM:
            instructions.append(ends(text))
    return list(map(ends, (content or other)[-most:])), tuple(instructions)


def _looked_at(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is looked at of a body: the conversation in it does not wait with an observation."""
    if _LOOKED_AT.isdisjoint(document):
        return _NOTHING
    return {name: document[name] for name in _LOOKED_AT if name in document}


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
