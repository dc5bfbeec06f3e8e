"""A streamed response of ``/v1/responses``.

It says every text several times: in deltas, in the ``done`` event of the text, of its part, of its item, and in
``response.completed``. The deltas are screened as they come; a repetition that equals what they spelled waits for them
and is masked like them, any other is screened in full as a text of its own. Events of a type that is not known here are
dropped unless they can carry no text. A response that is cut is closed part by part and ends with
``response.incomplete``.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from guard.exchange.inquiry import Inquiry
from guard.exchange.refusal import Refusal
from guard.wire.answers import failure, items, logprobs, sse
from guard.wire.answers.budget import Budget
from guard.wire.answers.facts import facts
from guard.wire.answers.hold import Cut, Text
from guard.wire.answers.known import shape, strip, textless
from guard.wire.answers.typed import Json, TypedStream, read_as
from guard.wire.dialect import GarbledAnswer, OutputGate

RESPONSE = shape(
    "id object created_at completed_at status incomplete_details error instructions metadata model output"
    " output_messages input_messages parallel_tool_calls temperature tool_choice tools top_p background"
    " max_output_tokens max_tool_calls previous_response_id conversation prompt prompt_cache_key reasoning"
    " safety_identifier service_tier text top_logprobs truncation usage user store metrics presence_penalty"
    " frequency_penalty kv_transfer_params ec_transfer_params"
)
"""What repeats the request (instructions, tools, metadata) passes; what the model said is in ``output`` and
``output_messages``."""

_DELTA = shape("type sequence_number item_id output_index content_index summary_index delta logprobs")
_DELTAS = {
    "response.output_text.delta": "content",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.function_call_arguments.delta": "tool.{}.arguments",
    "response.custom_tool_call_input.delta": "tool.{}.input",
    "response.mcp_call_arguments.delta": "tool.{}.arguments",
    "response.code_interpreter_call_code.delta": "tool.{}.code",
}
"""Type of a delta event to the name of the text that grows."""

_DONE = shape(
    "type sequence_number item_id output_index content_index summary_index text refusal arguments input code name"
    " logprobs"
)
_DONES = {delta.removesuffix("delta") + "done" for delta in _DELTAS}
_PART = shape("type sequence_number item_id output_index content_index summary_index part")
_PARTS = {
    f"response.{part}.{stage}" for part in ("content_part", "reasoning_summary_part") for stage in ("added", "done")
}
_ITEM = shape("type sequence_number output_index item")
_ITEMS = {"response.output_item.added", "response.output_item.done"}
_WHOLE = shape("type sequence_number", response=RESPONSE)
_BEGIN = {"response.queued", "response.created", "response.in_progress"}
_FINAL = {"response.completed", "response.incomplete", "response.failed"}


class ResponseStream(TypedStream):
    """A streamed response."""

    failures = frozenset({"error", "response.failed"})

    def __init__(self, inquiry: Inquiry, gate: OutputGate, max_event: int = sse.MAX_EVENT) -> None:
        super().__init__(inquiry, gate, max_event)
        self._texts: dict[tuple[Any, ...], Text] = {}
        self._tokens: dict[tuple[Any, ...], list[str]] = {}
        self._response: Json | None = None
        self._items: list[Json] = []
        self._open: dict[Any, Json] = {}
        self._parts: dict[tuple[int, int, bool], Json] = {}
        self._sequence = -1

    def seen(self, event: Json, kind: str) -> bool | None:
        """Tell the lane the texts of ``event``."""
        name = _DELTAS.get(kind)
        if name is not None:
            return self._delta(event, name)
        if kind in _DONES:
            changed = strip(event, _DONE)
            self._complete(event, kind)
            return self._walk(items.kind_of(kind), event) or changed
        if kind in _PARTS:
            changed = strip(event, _PART)
            self._place(event, "summary" in kind)
            return self._walk(items.kind_of(str(_object(event, "part").get("type"))), event) or changed
        if kind in _ITEMS:
            changed = strip(event, _ITEM)
            self._key(event, kind)
            return self._walk(items.kind_of(str(_object(event, "item").get("type"))), event["item"]) or changed
        if kind in _BEGIN or kind in _FINAL:
            changed = strip(event, _WHOLE)
            response = _object(event, "response")
            changed |= self._walk_response(response)
            told = facts(self.gate, 0) if kind in _FINAL else {}
            response.update(told)
            return changed or bool(told)
        rest = {key: value for key, value in event.items() if key not in items.SKIP and key != "item_id"}
        if any(not textless(value) for value in rest.values()):
            return None
        self.string("content", event.get("item_id"))
        return False

    def _delta(self, event: Json, name: str) -> bool:
        changed = strip(event, _DELTA)
        piece = event.get("delta")
        if not isinstance(piece, str):
            raise GarbledAnswer(f"{event['type']} without a string as delta")
        self.string("content", event.get("item_id"))
        key = self._key(event, event["type"])
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = self.lane.open(name.format(event.get("output_index")))
        if piece:
            self.lane.add(text, piece)
        if event.get("logprobs"):
            tokens = logprobs.read(event["logprobs"])
            changed |= tokens.changed
            self._tokens.setdefault(key, []).append(tokens.text)
            logprobs.bring(self.lane, tokens)
        return changed

    @staticmethod
    def _key(event: Json, kind: str) -> tuple[Any, ...]:
        place = (event.get("output_index"), event.get("content_index"), event.get("summary_index"))
        if not all(index is None or isinstance(index, int) for index in place):
            raise GarbledAnswer("an index that is not an integer")
        return (*place, kind.rpartition(".")[0])

    @staticmethod
    def _place(event: Json, summary: bool) -> tuple[int, int, bool]:
        place = (event.get("output_index"), event.get("summary_index" if summary else "content_index"))
        if not isinstance(place[0], int) or not isinstance(place[1], int):
            raise GarbledAnswer("a part without its index")
        return place[0], place[1], summary

    def _complete(self, event: Json, kind: str) -> None:
        """The text of a ``done`` event gets no more deltas; from now on what repeats it brings nothing new."""
        key = self._key(event, kind)
        text = self._texts.get(key)
        if text is not None:
            self.lane.end(text)
            self.known[read_as(text.name), "".join(text.pieces)] = text
        tokens = "".join(self._tokens.pop(key, ()))
        if tokens:
            self.known["logprobs", tokens] = self.lane.here(logprobs.LOGPROBS)

    def _walk(self, name: str, value: Any) -> bool:
        """The event brings every string in ``value``; logprobs count as one string. Return whether any were cleaned."""
        if isinstance(value, str):
            self.string(name, value)
        elif isinstance(value, list):
            cleaned = [self._walk(name, item) for item in value]  # every item, not up to the first
            return any(cleaned)
        elif isinstance(value, dict):
            changed = False
            for key, item in value.items():
                if key in items.SKIP or (key in items.KEYS and textless(item)):
                    continue
                if key == "logprobs":
                    tokens = logprobs.read(item)
                    changed |= tokens.changed
                    for text in (tokens.text, *tokens.ranks):
                        self.string(logprobs.LOGPROBS, text)
                elif key not in items.KEYS:
                    self.string(name, msgspec.json.encode({key: item}).decode())
                else:
                    changed |= self._walk(name, item)
            return changed
        return False

    def _walk_response(self, response: Json) -> bool:
        output = response.get("output")
        if output is not None and not isinstance(output, list):
            raise GarbledAnswer("a response whose output is not a list")
        changed = False
        for item in output or ():
            changed |= self._walk(items.kind_of(str(item.get("type"))) if isinstance(item, dict) else "content", item)
        if response.get("output_messages"):
            self.string("content", msgspec.json.encode(response["output_messages"]).decode())
        usage = response.get("usage")
        if isinstance(usage, dict):
            self.usage = usage
        return changed

    def mask(self, event: Json, budget: Budget) -> None:
        """Put into ``event`` what leaves of its texts; of logprobs beside a repeated text nothing is left."""
        kind = event["type"]
        if kind in _DELTAS:
            event["delta"] = budget.take(_DELTAS[kind].format(event.get("output_index")), event["delta"])
            event["item_id"] = self.unmasked("content", event.get("item_id"))
            if event.get("logprobs"):
                event["logprobs"] = logprobs.mask(event["logprobs"], budget)
        elif kind in _DONES:
            event.update(self._rewrite(items.kind_of(kind), event))
        elif kind in _PARTS:
            event.update(self._rewrite(items.kind_of(str(event["part"].get("type"))), event))
        elif kind in _ITEMS:
            event["item"] = self._rewrite(items.kind_of(str(event["item"].get("type"))), event["item"])
        elif kind in _BEGIN or kind in _FINAL:
            self._rewrite_response(event["response"])

    def _rewrite(self, name: str, value: Any) -> Any:
        """Return ``value``, which ``_walk`` was told, with what leaves of its strings."""
        if isinstance(value, list):
            return [self._rewrite(name, item) for item in value]
        if not isinstance(value, dict):
            return self.unmasked(name, value)
        kept: Json = {}
        for key, item in value.items():
            if key in items.SKIP or (key in items.KEYS and textless(item)):
                kept[key] = item
            elif key == "logprobs":
                kept[key] = []
            elif key in items.KEYS:
                kept[key] = self._rewrite(name, item)
            else:
                told = msgspec.json.encode({key: item}).decode()
                if self.unmasked(name, told) == told:
                    kept[key] = item
        return kept

    def _rewrite_response(self, response: Json) -> None:
        output = response.get("output")
        if output:
            response["output"] = [
                self._rewrite(items.kind_of(str(item.get("type"))) if isinstance(item, dict) else "content", item)
                for item in output
            ]
        if response.get("output_messages"):
            told = msgspec.json.encode(response["output_messages"]).decode()
            if self.unmasked("content", told) != told:
                del response["output_messages"]

    # What the client has.

    def left(self, event: Json) -> None:
        """Follow which items and parts are open on the client's side."""
        kind, number, index = event["type"], event.get("sequence_number"), event.get("output_index")
        if isinstance(number, int):
            self._sequence = number
        if kind in _BEGIN:
            self._response = event["response"]
        elif kind in _FINAL:
            self.lane.finish_reason = event["response"].get("status")
        elif kind == "response.output_item.added":
            self._open[index] = event["item"]
        elif kind == "response.output_item.done":
            self._open.pop(index, None)
            self._parts = {place: part for place, part in self._parts.items() if place[0] != index}
            self._items.append(event["item"])
        elif kind in _PARTS:
            place = self._place(event, "summary" in kind)
            self._parts[place] = {"open": kind.endswith("added"), "event": event}

    def shorten(self, event: Json, cut: Cut) -> bool:
        """Leave in ``event`` what may leave."""
        items.drop_logprobs(event)
        if event["type"] in _DELTAS:
            self.mask(event, cut.budget)
            return bool(event["delta"])
        if not cut.whole or event["type"] in _FINAL:
            return False
        self.mask(event, cut.budget)
        return True

    def refused(self, refusal: Refusal) -> Iterable[Json]:
        """Close what is open and end with ``response.incomplete``."""
        yield from self._close_all()
        if self._response is None:
            yield self._next(
                "error", code=refusal.code.value, message=refusal.message, param=None, guard=refusal.facts()
            )
            return
        yield self._next(
            "response.incomplete", response={**self._response, "output": self._items, **incomplete(self.gate, refusal)}
        )

    def failed(self, message: str) -> Iterable[Json]:
        """``response.failed``, or an ``error`` event if the response was never begun."""
        yield from self._close_all()
        told = failure.facts(self.gate.reference)
        if self._response is None:
            yield self._next("error", code="server_error", message=message, param=None, guard=told)
            return
        yield self._next(
            "response.failed",
            response={
                **self._response,
                "status": "failed",
                "error": {"code": "server_error", "message": message},
                "output": self._items,
                "guard": told,
            },
        )

    def _next(self, kind: str, **fields: Any) -> Json:
        return {"type": kind, "sequence_number": self._sequence + 1, **fields}

    def _close_all(self) -> Iterable[Json]:
        for index, item in list(self._open.items()):
            yield from self._close(index, item)

    def _close(self, index: Any, item: Json) -> Iterable[Json]:
        """Yield the events that close ``item`` and its open parts, with the text that was released."""
        kind = item.get("type")
        closed: Json = {**item, "status": "incomplete"}
        if kind in {"message", "reasoning"}:
            for (place, number, summary), state in sorted(self._parts.items()):
                if place != index:
                    continue
                part = state["event"]["part"]
                if state["open"]:
                    part = {**part}
                    part.pop("logprobs", None)
                    yield from self._close_part(state["event"], part, summary=summary)
                list_name = "summary" if summary else "content"
                closed[list_name] = [*(closed.get(list_name) or [])[:number], part]
        elif kind in items.TOOL_TEXT:
            key, done = items.TOOL_TEXT[kind]
            text = self._released({"output_index": index}, done)
            closed[key] = text
            more = {"name": item["name"]} if kind in {"function_call", "mcp_call"} and "name" in item else {}
            yield self._next(done, item_id=item.get("id"), output_index=index, **{key: text}, **more)
        yield self._next("response.output_item.done", output_index=index, item=closed)

    def _close_part(self, added: Json, part: Json, *, summary: bool) -> Iterable[Json]:
        key, done = items.part_text(part)
        number = "summary_index" if summary else "content_index"
        where = {name: added.get(name) for name in ("item_id", "output_index", number)}
        part[key] = self._released(where, done)
        event = self._next(done, **where, **{key: part[key]})
        if done == "response.output_text.done":
            event["logprobs"] = []
        yield event
        whole = "response.reasoning_summary_part.done" if summary else "response.content_part.done"
        yield self._next(whole, **where, part=part)

    def _released(self, where: Json, kind: str) -> str:
        text = self._texts.get(self._key(where, kind))
        return "" if text is None else self.lane.told(text)

    def terminal(self, kind: str) -> bool:
        """Return whether this is the last event."""
        return kind in _FINAL


def incomplete(gate: OutputGate, refusal: Refusal) -> Json:
    """Return what a response that a rule has ended says of itself."""
    return {
        "status": "incomplete",
        "incomplete_details": {"reason": "content_filter"},
        **facts(gate, 0, refusal),
    }


def _object(event: Json, key: str) -> Json:
    value = event.get(key)
    if not isinstance(value, dict):
        raise GarbledAnswer(f"{event.get('type')} without an object as {key}")
    return value
