"""Surfaces that answer with numbers: embeddings, pooling, classify, score, rerank.

vLLM picks one of several request models by which one a body fits best. Here every text of every model is read, so it
does not matter which one it picks.
"""

from typing import Any

from guard.exchange.inquiry import Inquiry
from guard.exchange.unscanned import PartKind, UnscannedPart
from guard.screening.segments import Segment, Source
from guard.wire.coercion import show
from guard.wire.dialect import Malformed
from guard.wire.fields import CLASSIFY, COHERE_EMBED, EMBEDDINGS, POOLING, RERANK, SCORE, Table, typed
from guard.wire.requests.chat import messages
from guard.wire.requests.parts import content
from guard.wire.requests.strings import prompts, steer

_SIDES = ("query", "queries", "documents", "items", "data_1", "data_2", "text_1", "text_2")


def parse_embeddings(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    return _parse_input("embeddings", EMBEDDINGS, document)


def parse_pooling(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    return _parse_input("pooling", POOLING, document)


def parse_classify(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    return _parse_input("classify", CLASSIFY, document)


def parse_score(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    return _parse_sides("score", SCORE, document)


def parse_rerank(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    return _parse_sides("rerank", RERANK, document)


def parse_cohere(document: dict[str, Any]) -> Inquiry:
    """Type the ``document`` of ``/v2/embed`` (Cohere) in place and return the inquiry. Raises Malformed."""
    inquiry = typed("embeddings", COHERE_EMBED, document)
    for index, text in enumerate(document.get("texts", ())):
        inquiry.segments.append(Segment(Source.USER, text, f"texts[{index}]"))
    if document.get("images"):
        inquiry.unscannable.append(UnscannedPart(PartKind.IMAGE, "images"))
    for index, item in enumerate(document.get("inputs", ())):
        document["inputs"][index] = _composed(item, f"inputs[{index}]", inquiry)
    steer(inquiry)
    return inquiry


def _parse_input(surface: str, table: Table, document: dict[str, Any]) -> Inquiry:
    inquiry = typed(surface, table, document)
    if "input" in document:
        given = document["input"]
        if _holds(given, dict) or (_holds(given, list) and _holds(given[0], dict)):
            _conversations(given, "input", inquiry)
        else:
            prompts(given, "input", inquiry)
    if "messages" in document:
        _conversations(document["messages"], "messages", inquiry)
    steer(inquiry)
    return inquiry


def _holds(value: Any, kind: type) -> bool:
    return type(value) is list and len(value) > 0 and type(value[0]) is kind


def _conversations(value: list[Any], path: str, inquiry: Inquiry) -> None:
    if _holds(value, list):
        for index, conversation in enumerate(value):
            messages(conversation, f"{path}[{index}]", inquiry)
    else:
        messages(value, path, inquiry)


def _parse_sides(surface: str, table: Table, document: dict[str, Any]) -> Inquiry:
    inquiry = typed(surface, table, document)
    for name in _SIDES:
        if name not in document:
            continue
        side = document[name]
        if type(side) is list:
            for index, item in enumerate(side):
                side[index] = _composed(item, f"{name}[{index}]", inquiry)
        else:
            document[name] = _composed(side, name, inquiry)
    steer(inquiry)
    return inquiry


def _composed(item: Any, path: str, inquiry: Inquiry) -> Any:
    if type(item) is str:
        inquiry.segments.append(Segment(Source.USER, item, path))
        return item
    parts = item.get("content") if type(item) is dict else None
    if type(parts) is not list:
        raise Malformed(path, show(item), "a string or an object with an array of content parts")
    content(parts, Source.USER, f"{path}.content", inquiry)
    return {"content": parts}
