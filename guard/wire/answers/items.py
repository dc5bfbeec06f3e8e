"""Items of a response: what text they hold, in which order, and what is left of one that is cut."""

from typing import Any

import msgspec

from guard.wire.answers import logprobs
from guard.wire.answers.budget import Budget
from guard.wire.answers.hold import Lane
from guard.wire.answers.known import generated, shape, textless
from guard.wire.dialect import GarbledAnswer

Json = dict[str, Any]

SKIP = frozenset({"type", "status", "role", "object", "sequence_number", "container_id"})
"""Keys whose values the server chooses, not the model."""

TOOL_TEXT = {
    "function_call": ("arguments", "response.function_call_arguments.done"),
    "custom_tool_call": ("input", "response.custom_tool_call_input.done"),
    "mcp_call": ("arguments", "response.mcp_call_arguments.done"),
    "code_interpreter_call": ("code", "response.code_interpreter_call_code.done"),
}
"""Type of a tool item to the key of its growing text and the event that completes it."""

_PART_TEXT = {
    "refusal": ("refusal", "response.refusal.done"),
    "reasoning_text": ("text", "response.reasoning_text.done"),
    "summary_text": ("text", "response.reasoning_summary_text.done"),
}

KEYS = shape(
    "id call_id item_id name namespace arguments input code output error text refusal content summary annotations"
    " logprobs part item action query queries url pattern sources server_label title file_id filename index start_index"
    " end_index delta encrypted_content results outputs logs output_index content_index summary_index"
    " approval_request_id phase"
).keys()
"""Keys that are no text themselves. The value of any other key is screened together with the key."""


def kind_of(type_: str) -> str:
    """Return the name of the text that an item, part or event of this type holds."""
    if "reasoning" in type_ or "summary" in type_:
        return "reasoning"
    if "refusal" in type_:
        return "refusal"
    return "tool" if "call" in type_ else "content"


def part_text(part: Json) -> tuple[str, str]:
    """Return the key of a part's text and the event that completes it."""
    return _PART_TEXT.get(str(part.get("type")), ("text", "response.output_text.done"))


def bring(lane: Lane, index: int, item: Json) -> None:
    """Tell ``lane`` the texts of a complete item, in the order in which a stream says them."""
    kind = str(item.get("type"))
    growing = TOOL_TEXT.get(kind)
    if growing is not None:
        key = growing[0]
        if item.get("name"):
            lane.whole(f"tool.{index}.name", string(item, "name"))
        if item.get(key):
            lane.say(f"tool.{index}.{key}", string(item, key))
        _bring_rest(lane, f"tool.{index}", item, {"name", key})
        return
    if kind not in {"message", "reasoning"}:
        _bring_rest(lane, kind_of(kind), item, set())
        return
    for part in parts(item):
        key, name = ("refusal", "refusal") if part.get("type") == "refusal" else ("text", kind_of(kind))
        text = lane.open(name)
        if part.get(key):
            lane.add(text, string(part, key))
        lane.end(text)
        if part.get("logprobs"):
            logprobs.bring(lane, logprobs.read(part["logprobs"]))
        _bring_rest(lane, name, part, {key, "logprobs"})
    _bring_rest(lane, kind_of(kind), item, {"content", "summary"})


def _bring_rest(lane: Lane, name: str, value: Json, read: set[str]) -> None:
    for _, told in _rest(value, read):
        lane.whole(name, told)


def _rest(value: Json, read: set[str]) -> list[tuple[str, str]]:
    """Return what is still to be screened of ``value``: a key, and the string to screen for it."""
    found = []
    for key, rest in value.items():
        if key in read or key in SKIP or (isinstance(rest, str) and generated(rest)):
            continue
        if key in KEYS and textless(rest):
            continue
        plain = isinstance(rest, str) and key in KEYS
        found.append((key, rest if plain else msgspec.json.encode({key: rest}).decode()))
    return found


def mask(index: int, item: Json, budget: Budget) -> None:
    """Put into ``item`` what leaves of what ``bring`` told of it."""
    kind = str(item.get("type"))
    growing = TOOL_TEXT.get(kind)
    if growing is not None:
        key = growing[0]
        if item.get("name"):
            item["name"] = budget.take_whole(f"tool.{index}.name", item["name"])
        if item.get(key):
            item[key] = budget.take(f"tool.{index}.{key}", item[key])
        _mask_rest(f"tool.{index}", item, {"name", key}, budget)
        return
    if kind not in {"message", "reasoning"}:
        _mask_rest(kind_of(kind), item, set(), budget)
        return
    for part in parts(item):
        key, name = ("refusal", "refusal") if part.get("type") == "refusal" else ("text", kind_of(kind))
        if part.get(key):
            part[key] = budget.take(name, part[key])
        if part.get("logprobs"):
            part["logprobs"] = logprobs.mask(part["logprobs"], budget)
        _mask_rest(name, part, {key, "logprobs"}, budget)
    _mask_rest(kind_of(kind), item, {"content", "summary"}, budget)


def _mask_rest(name: str, value: Json, read: set[str], budget: Budget) -> None:
    for key, told in _rest(value, read):
        leaving = budget.take_whole(name, told)
        if leaving != told:
            empty: Any = [] if isinstance(value[key], list) else None
            value[key] = leaving if isinstance(value[key], str) and key in KEYS else empty


def parts(item: Json) -> list[Json]:
    """Return the parts of a message or a reasoning item, its summary first."""
    found: list[Json] = []
    for key in ("summary", "content"):
        listed = item.get(key) or []
        if not isinstance(listed, list) or not all(isinstance(part, dict) for part in listed):
            raise GarbledAnswer(f"an item whose {key} is not a list of parts")
        found += listed
    return found


def shorten(index: int, item: Json, budget: Budget) -> Json | None:
    """Return what ``budget`` leaves of ``item``, None if that is nothing."""
    kind = str(item.get("type"))
    growing = TOOL_TEXT.get(kind)
    if growing is not None:
        text = budget.take(f"tool.{index}.{growing[0]}", item.get(growing[0]))
        if not text:
            return None
        call_id = item.get("call_id")
        kept: Json = {"type": kind, "id": item.get("id"), "name": item.get("name"), growing[0]: text}
        if call_id is not None:
            kept["call_id"] = call_id if generated(str(call_id)) else ""
        return {**kept, "status": "incomplete"}
    if kind not in {"message", "reasoning"}:
        return None
    kept = {"type": kind, "id": item.get("id"), "status": "incomplete"}
    if kind == "message":
        kept["role"] = item.get("role")
    for list_name in ("summary", "content"):
        short = []
        for part in item.get(list_name) or ():
            key, name = ("refusal", "refusal") if part.get("type") == "refusal" else ("text", kind_of(kind))
            text = budget.take(name, part.get(key))
            if text:
                short.append({"type": part["type"], key: text})
                if part["type"] == "output_text":
                    short[-1]["annotations"] = []
        if list_name in item:
            kept[list_name] = short
    return kept if kept.get("content") or kept.get("summary") else None


def drop_logprobs(value: Any) -> None:
    """Take the logprobs out of ``value``, wherever they are."""
    if isinstance(value, list):
        for item in value:
            drop_logprobs(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "logprobs":
                value[key] = []
            else:
                drop_logprobs(item)


def string(value: Json, key: str) -> str:
    """Return the string that ``value`` has at ``key``. Raises GarbledAnswer if it is none."""
    text = value.get(key)
    if not isinstance(text, str):
        raise GarbledAnswer(f"{key} that is not a string")
    return text
