"""Answers of ``/v1/responses``, streamed (``response_stream``) or whole."""

from typing import Any

import msgspec

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import items, sse
from guard.wire.answers.facts import facts
from guard.wire.answers.hold import Lane, Mark
from guard.wire.answers.known import strip
from guard.wire.answers.response_stream import RESPONSE, ResponseStream, incomplete
from guard.wire.answers.typed import Json
from guard.wire.dialect import Answered, AnswerStream, GarbledAnswer, OutputGate


def open_stream(inquiry: Inquiry, gate: OutputGate, max_event: int = sse.MAX_EVENT) -> AnswerStream:
    """Return the state machine for a streamed answer; no event may be larger than ``max_event`` bytes."""
    return ResponseStream(inquiry, gate, max_event)


def screen_answer(inquiry: Inquiry, answer: Json, gate: OutputGate) -> Json:  # noqa: ARG001 - Dialect
    """Screen every item; a blocked answer keeps the items before the hit, the hit one cut, and becomes ``incomplete``.

    Raises GarbledAnswer if ``answer`` is no response.
    """
    strip(answer, RESPONSE)
    output = answer.get("output")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise GarbledAnswer("an answer without a list of output items")
    lane = Lane(0, gate, [])
    marks: list[list[Mark]] = []
    for index, item in enumerate(output):
        items.bring(lane, index, item)
        marks.append(lane.marks())
    if answer.get("output_messages"):
        lane.whole("content", msgspec.json.encode(answer["output_messages"]).decode())
    lane.finish()
    refusal = gate.blocked(0)
    if refusal is None:
        for index, (item, its_marks) in enumerate(zip(output, marks, strict=True)):
            if lane.masked(its_marks):
                items.mask(index, item, lane.edit(its_marks))
        if lane.masked(lane.marks()):
            answer.pop("output_messages")
        answer.update(facts(gate, 0))
        return answer
    kept = []
    for index, (item, its_marks) in enumerate(zip(output, marks, strict=True)):
        budget, whole = lane.settle(its_marks)
        if whole:
            if lane.masked(its_marks):
                items.mask(index, item, lane.edit(its_marks))
            kept.append(item)
            continue
        short = items.shorten(index, item, budget)
        if short is not None:
            kept.append(short)
        break
    items.drop_logprobs(kept)
    answer.pop("output_messages", None)
    answer.update(output=kept, **incomplete(gate, refusal))
    return answer


def answered(answer: Json) -> list[Answered]:
    """Return what an answer that came out of ``screen_answer`` holds."""
    usage = answer.get("usage") or {}
    texts: list[Any] = []
    for item in answer["output"]:
        growing = items.TOOL_TEXT.get(str(item.get("type")))
        if growing is not None:
            texts += [item.get("name"), item.get(growing[0])]
        elif item.get("type") in {"message", "reasoning"}:
            texts += [part.get("text") or part.get("refusal") for part in items.parts(item)]
    filtered = (answer.get("incomplete_details") or {}).get("reason") == "content_filter"
    return [
        Answered(
            0,
            tuple(text for text in texts if text),
            "content_filter" if filtered else answer.get("status"),
            usage.get("input_tokens"),
            usage.get("output_tokens"),
        )
    ]
