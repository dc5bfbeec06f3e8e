"""Reading what a judge says: its first word, the probability of it, and the shape of the server's answer."""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from guard.screening.judge.question import Answer, Position, Unreadable

_AROUND = " \t\r\n\"'`*_.,:;!?()[]{}#>-"
"""What may stand around a word: white space, quotes, emphasis and punctuation."""
_FIRST = re.compile(rf"[{re.escape(_AROUND)}]*([^\W_]+)(?!_*[^\W_])")


def answer_of(document: Any, chat: bool) -> Answer:
    """Return the first choice of a (chat) completion. Raises Unreadable for any other document, and for a refusal."""
    try:
        choice = document["choices"][0]
        message = choice["message"] if chat else choice
        text = message["content"] if chat else message["text"]
        refused = chat and message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Unreadable("not a completion") from None
    if refused or not isinstance(text, str):
        raise Unreadable("no text")
    told = choice.get("logprobs")
    positions = tuple(_chat_positions(told) if chat else _positions(told)) if isinstance(told, dict) else ()
    return Answer(text, choice.get("finish_reason") == "length", positions)


def _chat_positions(told: Mapping[str, Any]) -> Iterator[Position]:
    for item in _list(told.get("content")):
        if not isinstance(item, dict) or not isinstance(item.get("token"), str):
            return
        listed = [(one.get("token"), one.get("logprob")) for one in _list(item.get("top_logprobs")) if _is_dict(one)]
        yield Position(item["token"], _alternatives([*listed, (item["token"], item.get("logprob"))]))


def _positions(told: Mapping[str, Any]) -> Iterator[Position]:
    tokens, own = _list(told.get("tokens")), _list(told.get("token_logprobs"))
    top = _list(told.get("top_logprobs"))
    for index, token in enumerate(tokens):
        if not isinstance(token, str):
            return
        listed = top[index] if index < len(top) and isinstance(top[index], dict) else {}
        yield Position(token, _alternatives([*listed.items(), (token, own[index] if index < len(own) else None)]))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _alternatives(pairs: Sequence[tuple[Any, Any]]) -> dict[str, float]:
    return {
        token: min(float(value), 0.0)
        for token, value in pairs
        if isinstance(token, str) and isinstance(value, (int, float)) and not math.isnan(value)
    }


def first_word(text: str) -> str:
    """Return the first word of ``text`` in lower case, without what stands around it; empty if there is none."""
    found = _FIRST.match(text)
    return found[1].casefold() if found else ""


def clean(token: str) -> str:
    """Return ``token`` in lower case without white space, quotes and punctuation around it, or a tokenizer's marks."""
    return token.strip(_AROUND + "\u2581\u0120\u010a").casefold()


def word_at(positions: Sequence[Position], words: Collection[str], *, last: bool = False) -> Position | None:
    """Return the first (or ``last``) position whose token is one of ``words``."""
    ordered = reversed(positions) if last else positions
    return next((position for position in ordered if clean(position.token) in words), None)


def first_of(positions: Sequence[Position]) -> Position | None:
    """Return the first position that is more than white space and punctuation."""
    return next((position for position in positions if clean(position.token)), None)


def probability(position: Position | None, unsafe: Collection[str], safe: Collection[str]) -> float | None:
    """Return the probability of the ``unsafe`` words against the ``safe`` ones at ``position``; None if neither is
    among the alternatives. A token that begins a word counts for it.
    """
    if position is None:
        return None
    for_unsafe, for_safe = _mass(position, unsafe), _mass(position, safe)
    return for_unsafe / (for_unsafe + for_safe) if for_unsafe + for_safe > 0 else None


def _mass(position: Position, words: Collection[str]) -> float:
    return sum(
        math.exp(value)
        for token, value in position.alternatives.items()
        if (begun := clean(token)) and any(word.startswith(begun) for word in words)
    )
