"""Token text in logprobs: the sampled tokens spell the answer once more, and may run ahead of it."""

from typing import Any, NamedTuple

from guard.wire.answers.budget import Budget
from guard.wire.answers.hold import Lane
from guard.wire.answers.known import shape, strip
from guard.wire.dialect import GarbledAnswer

_ENTRY = shape("token logprob bytes", top_logprobs=shape("token logprob bytes"))
LOGPROBS = "logprobs"
"""Name of the text that the sampled tokens spell; ``logprobs.0`` is that of the first alternatives."""
_PLACEHOLDER = "token_id:"
"""vLLM writes ``token_id:17`` for a token when asked for ``return_tokens_as_token_ids``."""


class TokenText(NamedTuple):
    """What the sampled tokens of one event spell."""

    text: str
    changed: bool
    """Something in the entries was taken out, so they must be written anew."""
    opaque: bool
    """Some tokens are ids whose text nothing tells."""
    ranks: tuple[str, ...] = ()
    """What the alternatives of each rank spell: a model that is steered can say in them what it does not sample."""


def bring(lane: Lane, tokens: TokenText) -> None:
    """Tell ``lane`` what ``tokens`` spell, sampled and not; each rank is a text of its own."""
    if tokens.text:
        lane.beside(LOGPROBS, tokens.text)
    for rank, text in enumerate(tokens.ranks):
        if text:
            lane.beside(f"{LOGPROBS}.{rank}", text)


def read(entries: Any) -> TokenText:
    """Read a list of OpenAI logprob entries, and take unknown keys and ``bytes`` that are not the token's out of it.

    Alternatives (``top_logprobs``) are cleaned too, and spell ``ranks``.
    """
    if not isinstance(entries, list):
        raise GarbledAnswer("logprobs that are not a list")
    changed = strip(entries, _ENTRY)
    opaque = False
    texts: list[str] = []
    ranks: list[list[str]] = []
    for entry in entries:
        token, odd = _token(entry)
        changed |= odd
        opaque |= token.startswith(_PLACEHOLDER)
        texts.append(token)
        for rank, other in enumerate(_others(entry)):
            alternative, odd = _token(other)
            changed |= odd
            opaque |= alternative.startswith(_PLACEHOLDER)
            if rank == len(ranks):
                ranks.append([])
            ranks[rank].append(alternative)
    return TokenText("".join(texts), changed, opaque, tuple(map("".join, ranks)))


def mask(entries: list[Any], budget: Budget) -> list[Any]:
    """Return the entries whose tokens, sampled or not, have nothing masked.

    ``budget`` grants what ``entries`` spell, after the text beside them was taken: where only that was masked, no entry
    is left, because nothing tells which ones spell it. Nor are those left that are ids whose text nothing tells.
    """
    before, kept = budget.masks, []
    for entry in entries:
        spelled = [(LOGPROBS, entry), *((f"{LOGPROBS}.{rank}", other) for rank, other in enumerate(_others(entry)))]
        tokens = [(name, _token(spelling)[0]) for name, spelling in spelled]
        clear = [budget.take(name, token) == token and not token.startswith(_PLACEHOLDER) for name, token in tokens]
        if all(clear):
            kept.append(entry)
    return [] if before and len(kept) == len(entries) else kept


def mask_columns(columns: dict[str, Any], budget: Budget) -> bool:
    """Take what is masked out of the logprobs object of a completion; return False if nothing of it may be left."""
    tokens, before = columns.get("tokens") or [], budget.masks
    alternatives = columns.get("top_logprobs") or []
    kept = []
    for index, token in enumerate(tokens):
        others = (alternatives[index] if index < len(alternatives) else None) or {}
        spelled = [(LOGPROBS, token), *((f"{LOGPROBS}.{rank}", other) for rank, other in enumerate(others))]
        clear = [budget.take(name, other) == other and not other.startswith(_PLACEHOLDER) for name, other in spelled]
        if all(clear):
            kept.append(index)
    if before and len(kept) == len(tokens):
        return False
    for column in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
        if columns.get(column):
            columns[column] = [columns[column][index] for index in kept if index < len(columns[column])]
    return True


def _others(entry: Any) -> list[Any]:
    return entry.get("top_logprobs") or []


def read_columns(logprobs: Any) -> TokenText:
    """Read the logprobs object of a completion, whose ``tokens`` are a list of strings."""
    tokens = logprobs.get("tokens") or []
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise GarbledAnswer("logprobs.tokens that are not a list of strings")
    ranks: list[list[str]] = []
    for alternatives in logprobs.get("top_logprobs") or ():
        if alternatives is not None and not isinstance(alternatives, dict):
            raise GarbledAnswer("logprobs.top_logprobs that are not a list of objects")
        for rank, token in enumerate(alternatives or ()):
            if rank == len(ranks):
                ranks.append([])
            ranks[rank].append(token)
    opaque = any(token.startswith(_PLACEHOLDER) for texts in (tokens, *ranks) for token in texts)
    return TokenText("".join(tokens), False, opaque, tuple(map("".join, ranks)))


def _token(entry: Any) -> tuple[str, bool]:
    """Return the text of one entry, and whether its bytes had to be removed."""
    token = entry.get("token") if isinstance(entry, dict) else None
    if not isinstance(token, str):
        raise GarbledAnswer("a logprob without its token")
    values = entry.get("bytes")
    if values is None:
        return token, False
    try:
        raw = bytes(values)
    except (TypeError, ValueError):
        raw = b"\xff"
    if raw == token.encode():
        return token, False
    if token.startswith(_PLACEHOLDER):
        return raw.decode(errors="replace"), False  # the id stands for these bytes
    entry["bytes"] = None
    return token, bool(values)
