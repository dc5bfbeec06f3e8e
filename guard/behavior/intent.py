"""What one request seems to be for: is an answer asked for, or material that a model is to learn from?

Nothing is refused for it. It is evidence about an identity, of which one request is little: evaluation, quizzes and
few-shot work look the same.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from guard.behavior.inner import Among


class Reason(StrEnum):
    """Why a request, or an identity, is worth a look. Labels of metrics and ids in the journal: the order is stored."""

    D1 = "d1"
    """The screening tiers hold it to be the making of training data."""
    SCHEMA_PAIRS = "schema_pairs"
    """A schema with an instruction and what it is answered with, or with conversations."""
    SCHEMA_PREFERENCE = "schema_preference"
    """A schema with a chosen and a rejected answer."""
    PAIRS = "pairs"
    """Instructions, prompts or questions with their answers are asked for by number or as lines of JSON."""
    SELF_INSTRUCT = "self_instruct"
    """New tasks are asked for that go on a list of tasks."""
    EVOLVE = "evolve"
    """A prompt is to be rewritten into a harder or rarer one."""
    PREFERENCE = "preference"
    """A better and a worse answer are asked for, or which of two is the better one."""
    SEED_SWEEP = "seed_sweep"
    """The same prompt again and again under other seeds."""
    REASONING = "reasoning"
    """The whole reasoning is asked for as a part of the answer."""
    LOGPROBS = "logprobs"
    """Log probabilities are asked for."""
    CROWD = "crowd"
    """The same form, with such an intent, under several identities within a day."""
    SWEEP = "sweep"
    """One form, ever new contents, over many subjects."""
    VOLUME = "volume"
    """Far more output a day than other identities have."""
    SHIFT = "shift"
    """Other subjects than the identity's own past, or than everybody's."""
    REGULAR = "regular"
    """Requests at a steady pace."""


REASONS = tuple(Reason)
SCORES: Mapping[Reason, float] = {
    Reason.SCHEMA_PAIRS: 0.8,
    Reason.SCHEMA_PREFERENCE: 0.9,
    Reason.PAIRS: 0.5,
    Reason.SELF_INSTRUCT: 0.9,
    Reason.EVOLVE: 0.8,
    Reason.PREFERENCE: 0.5,
    Reason.SEED_SWEEP: 0.25,
}
"""How much of a request of training data each reason is, 0..1. Reasons that are missing are figures, no evidence."""


class Intent(NamedTuple):
    """``score`` is 0..1: 1 - the product of (1 - score of each reason)."""

    score: float
    reasons: tuple[Reason, ...]


class _Sign(NamedTuple):
    """What a text says where one of each of ``needs`` is in it and the pattern matches; without them it cannot."""

    reason: Reason
    needs: tuple[int, ...]
    """Bits of what is looked for."""
    pattern: re.Pattern[str]


_N = (
    r"(?:\d{2,6}|\d{1,3},\d{3}|\d{1,3}k|ten|twenty|thirty|forty|fifty|several|many|as many as possible|a set of"
    r"|a batch of)"
)
_PAIR = (
    r"(?:instruction|prompt|task|query|question|problem|input)s?"
    r"(?: ?[/&,] ?| and (?:its |their )?| with (?:its |their )?|)"
    r" ?(?:response|answer|output|completion|solution)s?"
)
_VERBS = ("generate", "create", "produce", "write", "synthesi")
_ASKED = ("instruction", "prompt", "task", "query")
_ANSWERED = ("response", "answer", "output", "completion")
_WRITTEN: tuple[tuple[Reason, tuple[tuple[str, ...], ...], str], ...] = (
        (
            Reason.PAIRS, (_ASKED, (*_VERBS, "come up with"), _ANSWERED),
            (rf"\b(?:generate|create|produce|write|synthesi[sz]e|come up with) {_N}\b[^.\n]{{0,40}}"
            r"\b(?:instruction|prompt|task|query) ?[/,&]? ?(?:and |with (?:its |their )?)?"
            r"(?:response|answer|output|completion)"),
        ),
        (
            Reason.PAIRS, (_ASKED, ("instruction",), ("key",), ("output", "response")),
            r"\bkeys? \W{0,3}instruction\W{1,6}(?:and |input\W{1,6}(?:and )?)?\W{0,3}(?:output|response)\b",
        ),
        (
            Reason.SELF_INSTRUCT, (_ASKED, ("come up with",), ("task instruction", "new task", "new instruction")),
            (r"\bcome up with (?:a (?:set|series|list) of )?(?:\w+ ){0,3}"
            r"(?:task instructions|new (?:tasks|instructions))\b"),
        ),
        (
            Reason.SELF_INSTRUCT, (_ASKED, ("instruction",), ("do not repeat",)),
            r"\b(?:diverse|new|novel) (?:and \w+ )?(?:task )?instructions?\b[^\n]{0,200}\bdo not repeat\b",
        ),
        (
            Reason.SELF_INSTRUCT, (_ASKED, ("task pool", "seed task")),
            r"\btask pool\b|\bseed tasks?\b[^\n]{0,120}\b(?:generate|write|continue)\b",
        ),
        (
            Reason.EVOLVE, (_ASKED, ("prompt into", "prompts into", "instruction into", "instructions into")),
            (r"\b(?:rewrite|evolve|rework|turn) (?:the |this )?(?:given |original |following )?"
            r"(?:prompt|instruction)s? into\b[^\n]{0,80}"
            r"\b(?:more complex|harder|rarer|more difficult|longer tailed|brand new)"),
        ),
        (
            Reason.EVOLVE, (_ASKED, ("prompt#", "instruction#")),
            r"#(?:given|created|rewritten|evolved) ?(?:prompt|instruction)#",
        ),
        (
            Reason.EVOLVE, (_ASKED, ("of the prompt", "of the instruction")),
            r"\bincrease the (?:required )?(?:reasoning|depth)[^\n]{0,60}\bof the (?:prompt|instruction)\b",
        ),
        (
            Reason.EVOLVE, (("/requirement",),),
            r"\badd(?:ing)? one more constraints?/requirements?\b",
        ),
        (
            Reason.PAIRS, (("pair",), ("json", "per line"), _VERBS, _ANSWERED),
            (rf"\b(?:generate|create|produce|write|synthesi[sz]e) [^.\n]{{0,60}}{_PAIR} ?pairs?\b[^\n]{{0,120}}"
            r"\b(?:jsonl|json lines|one (?:json )?(?:object|record) per line)\b"),
        ),
        (
            Reason.PREFERENCE, (("rejected", "dispreferred"), ("chosen", "preferred")),
            r"\b(?:chosen|preferred)\b[^\n]{0,40}\b(?:and|,|/)\W{0,4}(?:the |a )?(?:rejected|dispreferred)\b",
        ),
        (
            Reason.PREFERENCE, ((" and one ", " and a "), ("bad", "worse", "flawed", "helpful", "wrong"), _ANSWERED),
            (r"\b(?:one|a) (?:good|better|helpful|correct)[^\n]{0,30}(?:answer|response|completion)s? and (?:one|a) "
            r"(?:bad|worse|flawed|unhelpful|wrong)"),
        ),
        (
            Reason.REASONING,
            (("reasoning", "thought", "rationale", "thinking"), ("all", "full", "complete", "entire", "whole", "step")),
            (r"\b(?:output|include|return|write|show|give|put|emit)\b[^\n]{0,40}"
            r"\b(?:all|full|complete|entire|whole|step by step)[^\n]{0,20}"
            r"\b(?:reasoning|thoughts?|chain of thought|rationale|thinking)"),
        ),
        (
            Reason.REASONING, (("think step by step",),),
            r"\bthink step by step\b[^\n]{0,80}\b(?:json|jsonl|<think>)",
        ),
)  # fmt: skip
_NEEDED = tuple(dict.fromkeys(word for _, needs, _ in _WRITTEN for words in needs for word in words))
_BITS = {word: 1 << place for place, word in enumerate(_NEEDED)}
_SIGNS = tuple(
    _Sign(reason, tuple(sum(_BITS[word] for word in words) for words in needs), re.compile(pattern))
    for reason, needs, pattern in _WRITTEN
)
_among = Among(_NEEDED)
_PAIRED = ({"instruction"}, {"prompt"}, {"query"}, {"task"})
_ANSWERS = {"output", "response", "completion", "answer", "target"}
_REASONED = {"reasoning", "rationale", "thinking", "chain_of_thought", "thoughts", "cot"}


def signs(folded: str) -> frozenset[Reason]:
    """Return what a text says of its purpose; it is folded (guard.screening.normalize)."""
    possible = _possible(_among.find(folded))
    if not possible:
        return _UNSAID
    found: set[Reason] = set()
    for reason, pattern in possible:
        if reason not in found and pattern.search(folded):
            found.add(reason)
    return frozenset(found)


@lru_cache(maxsize=4096)
def _possible(there: int) -> tuple[tuple[Reason, re.Pattern[str]], ...]:
    """Return what a text can say in which these are: few sets of them make up most texts."""
    return tuple((reason, pattern) for reason, needs, pattern in _SIGNS if all(there & words for words in needs))


_UNSAID = frozenset[Reason]()


def intent(
    said: frozenset[Reason], *, d1: float = 0.0, shape: frozenset[str] = frozenset(), logprobs: bool = False
) -> Intent:
    """Return what a request seems to be for.

    ``said`` are the signs of the texts of users and systems; ``d1`` is the score of the screening tiers, 0 where they
    found nothing; ``shape`` is what ``guard.behavior.shape`` says of the body.
    """
    if not (said or d1 or shape or logprobs):
        return _NOTHING
    reasons = set(said)
    if d1:
        reasons.add(Reason.D1)
    if logprobs:
        reasons.add(Reason.LOGPROBS)
    _of_shape(shape, reasons)
    if not reasons:
        return _NOTHING
    left = 1.0 - d1
    for reason in reasons:
        left *= 1.0 - SCORES.get(reason, 0.0)
    return Intent(1.0 - left, tuple(reason for reason in REASONS if reason in reasons))


_NOTHING = Intent(0.0, ())


def _of_shape(names: frozenset[str], reasons: set[Reason]) -> None:
    if not names:
        return
    if {"chosen", "rejected"} <= names:
        reasons.add(Reason.SCHEMA_PREFERENCE)
    if (names & _ANSWERS and any(each <= names for each in _PAIRED)) or {"conversations", "value"} <= names:
        reasons.add(Reason.SCHEMA_PAIRS)
    if names & _REASONED:
        reasons.add(Reason.REASONING)
