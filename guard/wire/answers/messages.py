"""Answers of ``/v1/messages`` (the Anthropic form), streamed or whole.

Event types: what no reader here knows is dropped unless it can carry no text. A block that is cut is closed; the answer
ends with the stop reason ``refusal``.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from guard.exchange.inquiry import Inquiry
from guard.exchange.refusal import Refusal
from guard.wire.answers import failure, sse
from guard.wire.answers.budget import Budget
from guard.wire.answers.facts import facts
from guard.wire.answers.hold import Cut, Lane, Text
from guard.wire.answers.known import generated, shape, strings, strip, textless
from guard.wire.answers.typed import Json, TypedStream
from guard.wire.dialect import Answered, AnswerStream, GarbledAnswer, OutputGate

_BLOCK = shape("type text thinking signature data id name input citations tool_use_id content is_error")
_MESSAGE = (
    "id type role model stop_reason stop_sequence stop_details usage container kv_transfer_params ec_transfer_params"
)
MESSAGE = shape(_MESSAGE, content=_BLOCK)
_TYPES = frozenset({"type"})

_EVENTS = {
    "message_start": shape("type", message=MESSAGE),
    "content_block_start": shape("type index", content_block=_BLOCK),
    "content_block_delta": shape("type index", delta=shape("type text thinking partial_json signature citation")),
    "content_block_stop": shape("type index"),
    "message_delta": shape(
        "type usage kv_transfer_params ec_transfer_params",
        delta=shape("stop_reason stop_sequence stop_details container"),
    ),
    "message_stop": shape("type"),
    "ping": shape("type"),
}

_DELTAS = {
    "text_delta": ("text", "content"),
    "thinking_delta": ("thinking", "reasoning"),
    "input_json_delta": ("partial_json", "tool.{}.arguments"),
}
"""Delta type to the key of its text and the name of the text."""


class MessageStream(TypedStream):
    """A streamed message."""

    def __init__(self, inquiry: Inquiry, gate: OutputGate, max_event: int = sse.MAX_EVENT) -> None:
        super().__init__(inquiry, gate, max_event)
        self._blocks: dict[Any, Text] = {}
        self._open: int | None = None

    def seen(self, event: Json, kind: str) -> bool | None:
        """Tell the lane the texts of ``event``."""
        known = _EVENTS.get(kind)
        if known is None:
            return None
        changed = strip(event, known)
        index = event.get("index")
        if kind.startswith("content_block") and not isinstance(index, int):
            raise GarbledAnswer(f"{kind} without an index")
        if kind == "content_block_delta":
            return self._delta(index, _object(event, "delta")) or changed
        if kind == "content_block_start":
            self._start(index, _object(event, "content_block"))
        elif kind == "content_block_stop":
            text = self._blocks.pop(index, None)
            if text is not None:
                self.lane.end(text)
        elif kind == "message_start":
            message = _object(event, "message")
            self.walk("id", message.get("id"))
            self.walk("content", message.get("content"), _TYPES)
            self.walk("stop_reason", message.get("stop_sequence"))
            self._count(message.get("usage"))
        elif kind == "message_delta":
            delta = _object(event, "delta")
            self.walk("stop_reason", delta.get("stop_sequence"))
            self.walk("content", [delta.get("stop_details"), delta.get("container")], _TYPES)
            self._count(event.get("usage"))
            told = facts(self.gate, 0) if delta.get("stop_reason") is not None else {}
            event.update(told)
            changed |= bool(told)
        return changed

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self.usage.update({key: count for key, count in usage.items() if isinstance(count, int)})

    def _start(self, index: Any, block: Json) -> None:
        kind = block.get("type")
        if kind in {"text", "thinking"}:
            key, name = ("text", "content") if kind == "text" else ("thinking", "reasoning")
            text = self._blocks[index] = self.lane.open(name)
            if block.get(key):
                self.lane.add(text, _string(block, key))
            rest = {other: value for other, value in block.items() if other != key}
        else:
            self.string(f"tool.{index}.name", block.get("name"))
            if block.get("input"):
                self.string(f"tool.{index}.arguments", msgspec.json.encode(block["input"]).decode())
            rest = {other: value for other, value in block.items() if other not in {"name", "input"}}
        self.walk(f"tool.{index}" if "tool" in str(kind) else "content", rest, _TYPES)

    def _delta(self, index: Any, delta: Json) -> bool | None:
        kind = delta.get("type")
        reader = _DELTAS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            if kind == "signature_delta":
                self.string("reasoning", delta.get("signature"))
            elif kind == "citations_delta":
                self.walk("content", delta.get("citation"), _TYPES)
            elif any(not textless(value) for key, value in delta.items() if key != "type"):
                return None
            return False
        key, name = reader
        piece = _string(delta, key)
        changed = strip(delta, {"type": None, key: None})
        text = self._blocks.get(index)
        if text is None or text.name != name.format(index):
            text = self._blocks[index] = self.lane.open(name.format(index))
        if piece:
            self.lane.add(text, piece)
        return changed

    def left(self, event: Json) -> None:
        """Follow which block is open on the client's side."""
        kind = event["type"]
        if kind == "content_block_start":
            self._open = event.get("index")
        elif kind == "content_block_stop":
            self._open = None
        elif kind == "message_delta":
            self.lane.finish_reason = event["delta"].get("stop_reason")

    def mask(self, event: Json, budget: Budget) -> None:
        """Put into ``event`` what leaves of its texts."""
        kind, index = event["type"], event.get("index")
        if kind == "content_block_delta":
            delta = event["delta"]
            reader = _DELTAS.get(delta["type"])
            if reader is None:
                name = "reasoning" if delta["type"] == "signature_delta" else "content"
                event["delta"] = self.rewrite(name, delta, _TYPES)
            else:
                key, name = reader
                delta[key] = budget.take(name.format(index), delta[key])
        elif kind == "content_block_start":
            event["content_block"] = self._mask_start(index, event["content_block"], budget)
        elif kind == "message_start":
            message = event["message"]
            message["id"] = self.unmasked("id", message.get("id"))
            message["content"] = self.rewrite("content", message.get("content"), _TYPES)
            message["stop_sequence"] = self.unmasked("stop_reason", message.get("stop_sequence"))
        elif kind == "message_delta":
            delta = event["delta"]
            delta["stop_sequence"] = self.unmasked("stop_reason", delta.get("stop_sequence"))
            for key in ("stop_details", "container"):
                if delta.get(key):
                    delta[key] = self.rewrite("content", delta[key], _TYPES)

    def _mask_start(self, index: Any, block: Json, budget: Budget) -> Json:
        kind = str(block.get("type"))
        if kind in {"text", "thinking"}:
            key, name = ("text", "content") if kind == "text" else ("thinking", "reasoning")
            read = {key: budget.take(name, block.get(key))}
        else:
            read = {"name": self.unmasked(f"tool.{index}.name", block["name"])} if "name" in block else {}
            if block.get("input"):
                written = msgspec.json.encode(block["input"]).decode()
                read["input"] = msgspec.json.decode(self.unmasked(f"tool.{index}.arguments", written))
        rest = {key: value for key, value in block.items() if key not in read}
        return {**self.rewrite(f"tool.{index}" if "tool" in kind else "content", rest, _TYPES), **read}

    def shorten(self, event: Json, cut: Cut) -> bool:
        """Leave in ``event`` what may leave."""
        delta = event.get("delta", {})
        if event["type"] == "content_block_delta" and delta["type"] in _DELTAS:
            self.mask(event, cut.budget)
            return bool(delta[_DELTAS[delta["type"]][0]])
        if not cut.whole or event["type"] in {"message_delta", "message_stop"}:
            return False
        self.mask(event, cut.budget)
        return True

    def refused(self, refusal: Refusal) -> Iterable[Json]:
        """Close the open block and end with the stop reason ``refusal``."""
        if self._open is not None:
            yield {"type": "content_block_stop", "index": self._open}
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": "refusal", "stop_sequence": None},
            "usage": {"output_tokens": 0, **self.usage},
            **facts(self.gate, 0, refusal),
        }
        yield {"type": "message_stop"}

    def failed(self, message: str) -> Iterable[Json]:
        """The ``error`` event, at which the official client raises."""
        yield {
            "type": "error",
            "error": {"type": "api_error", "message": message, "guard": failure.facts(self.gate.reference)},
        }

    def terminal(self, kind: str) -> bool:
        """Return whether this is the last event."""
        return kind == "message_stop"

    def last_text(self, kind: str) -> bool:
        """The message's text is complete when its stop reason is told."""
        return kind in {"message_delta", "message_stop"}


def _object(event: Json, key: str) -> Json:
    value = event.get(key)
    if not isinstance(value, dict):
        raise GarbledAnswer(f"{event.get('type')} without an object as {key}")
    return value


def _string(value: Json, key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str):
        raise GarbledAnswer(f"{key} that is not a string")
    return text


def open_stream(inquiry: Inquiry, gate: OutputGate, max_event: int = sse.MAX_EVENT) -> AnswerStream:
    """Return the state machine for a streamed answer; no event may be larger than ``max_event`` bytes."""
    return MessageStream(inquiry, gate, max_event)


def screen_answer(inquiry: Inquiry, answer: Json, gate: OutputGate) -> Json:  # noqa: ARG001 - Dialect
    """Screen every block; a blocked answer keeps the blocks before the hit, the hit one cut, and ends with ``refusal``.

    Raises GarbledAnswer if ``answer`` is no message.
    """
    strip(answer, MESSAGE)
    blocks = answer.get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise GarbledAnswer("an answer without a list of content blocks")
    lane = Lane(0, gate, [])
    marks = []
    for index, block in enumerate(blocks):
        _bring(lane, index, block)
        marks.append(lane.marks())
    if answer.get("stop_sequence"):
        lane.whole("stop_reason", _string(answer, "stop_sequence"))
    lane.finish()
    refusal = gate.blocked(0)
    if refusal is None:
        for index, (block, its_marks) in enumerate(zip(blocks, marks, strict=True)):
            if lane.masked(its_marks):
                _mask(index, block, lane.edit(its_marks))
        last = lane.marks()
        if lane.masked(last):
            answer["stop_sequence"] = lane.edit(last).take_whole("stop_reason", answer["stop_sequence"])
        answer.update(facts(gate, 0))
        return answer
    kept = []
    for index, (block, its_marks) in enumerate(zip(blocks, marks, strict=True)):
        budget, whole = lane.settle(its_marks)
        if whole:
            if lane.masked(its_marks):
                _mask(index, block, lane.edit(its_marks))
            kept.append(block)
            continue
        for key, name in (("text", "content"), ("thinking", "reasoning")):
            short = budget.take(name, block.get(key))
            if short:
                kept.append({"type": block["type"], key: short})
        break
    answer.update(content=kept, stop_reason="refusal", stop_sequence=None, **facts(gate, 0, refusal))
    return answer


def _bring(lane: Lane, index: int, block: Json) -> None:
    kind = block.get("type")
    read = {"type"}
    for key, name in (("thinking", "reasoning"), ("text", "content")):
        if kind == key:
            read.add(key)
            text = lane.open(name)
            if block.get(key):
                lane.add(text, _string(block, key))
            lane.end(text)
    if kind == "tool_use":
        read |= {"name", "input"}
        if block.get("name"):
            lane.whole(f"tool.{index}.name", _string(block, "name"))
        if block.get("input"):
            lane.whole(f"tool.{index}.arguments", msgspec.json.encode(block["input"]).decode())
    for key, value in block.items():
        if key not in read:
            for string in strings(value):
                if not generated(string):
                    lane.whole("content", string)


def _mask(index: int, block: Json, budget: Budget) -> None:
    """Put into ``block`` what leaves of what ``_bring`` told."""
    kind, read = block.get("type"), {"type"}
    for key, name in (("thinking", "reasoning"), ("text", "content")):
        if kind == key:
            read.add(key)
            block[key] = budget.take(name, block.get(key))
    if kind == "tool_use":
        read |= {"name", "input"}
        if block.get("name"):
            block["name"] = budget.take_whole(f"tool.{index}.name", block["name"])
        if block.get("input"):
            written = msgspec.json.encode(block["input"]).decode()
            block["input"] = msgspec.json.decode(budget.take_whole(f"tool.{index}.arguments", written))
    for key, value in block.items():
        if key not in read:
            told = [string for string in strings(value) if not generated(string)]
            leaving = [budget.take_whole("content", string) for string in told]
            if leaving != told:
                block[key] = leaving[0] if isinstance(value, str) else None


def answered(answer: Json) -> list[Answered]:
    """Return what an answer that came out of ``screen_answer`` holds."""
    usage = answer.get("usage") or {}
    texts = []
    for block in answer["content"]:
        if block.get("type") == "tool_use":
            texts += [block.get("name"), msgspec.json.encode(block.get("input")).decode()]
        else:
            texts.append(block.get("text") or block.get("thinking"))
    return [
        Answered(
            0,
            tuple(text for text in texts if text),
            answer.get("stop_reason"),
            usage.get("input_tokens"),
            usage.get("output_tokens"),
        )
    ]
