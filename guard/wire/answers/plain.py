"""Answers that are no generation: embeddings, pooling, scores, ranks, classes, tokens. They are never streamed.

What text they hold is screened per field (the ``prompt`` of detokenize, ``token_strs``, a ranked ``document``); numbers
and base64 vectors pass. A blocked answer keeps its numbers and loses its text and token ids.
"""

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import sse
from guard.wire.answers.hold import Lane
from guard.wire.answers.known import generated
from guard.wire.dialect import Answered, GarbledAnswer, OutputGate

Json = dict[str, Any]

_SERVER = frozenset({"id", "object", "model", "created", "request_id", "created_at", "response_type"})
"""Top-level keys whose values the server chooses."""
_VECTORS = frozenset({"embedding", "data", "base64"})
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_IDS = frozenset({"tokens", "token_ids"})


def screen_answer(inquiry: Inquiry, answer: Json, gate: OutputGate) -> Json:  # noqa: ARG001 - Dialect
    """Screen every text of the answer, one channel per field name; a blocked answer has none left, but facts."""
    texts: dict[str, list[str]] = {}
    for holder, key, name in _places(answer):
        texts.setdefault(name, []).append(holder[key])
    lane = Lane(0, gate, [])
    for name, found in texts.items():
        separator = "" if name == "token_strs" else "\n"
        lane.whole(name, separator.join(found))
    marks = lane.marks()
    if lane.masked(marks):
        budget = lane.edit(marks)
        for name, found in texts.items():
            separator = "" if name == "token_strs" else "\n"
            leaving = []
            for number, text in enumerate(found):
                budget.take_whole(name, separator if number else "")
                leaving.append(budget.take_whole(name, text))
            texts[name] = leaving
        for holder, key, name in list(_places(answer)):
            holder[key] = texts[name].pop(0)
        for key in _IDS & answer.keys():
            answer[key] = []
    refusal = gate.blocked(0)
    if refusal is not None:
        for holder, key, _ in list(_places(answer)):
            holder[key] = ""
        for key in _IDS & answer.keys():
            answer[key] = []
        answer["guard"] = refusal.facts()
    return answer


def _places(answer: Json) -> Iterator[tuple[Any, Any, str]]:
    """Yield where the texts are: an object or a list, the key or index, and the name of the field."""
    for key, value in answer.items():
        if key in _SERVER and isinstance(value, str):
            continue
        yield from _below(answer, key, value, key)


def _below(holder: Any, key: Any, value: Any, name: str) -> Iterator[tuple[Any, Any, str]]:
    if isinstance(value, str):
        vector = name in _VECTORS and len(value) % 4 == 0 and _BASE64.fullmatch(value)
        if value and not vector and not generated(value):
            yield holder, key, name
    elif isinstance(value, dict):
        for below, item in value.items():
            yield from _below(value, below, item, str(below))
    elif isinstance(value, list) and not set(map(type, value)) <= {int, float}:
        for index, item in enumerate(value):
            yield from _below(value, index, item, name)


def open_stream(inquiry: Inquiry, gate: OutputGate, max_event: int = sse.MAX_EVENT) -> NoReturn:  # noqa: ARG001 - Dialect
    """Raise GarbledAnswer: these answers do not stream."""
    raise GarbledAnswer("an event stream from a surface that does not stream")


def answered(answer: Json) -> list[Answered]:  # noqa: ARG001 - Dialect
    """Return no entry: such an answer is no output that a model could be trained on."""
    return []
