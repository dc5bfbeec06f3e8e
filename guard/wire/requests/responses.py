"""``/v1/responses``: input items to segments.

vLLM takes any item with a ``role`` for a message, whatever its type says, so every item is cut down to the members of
its type. Item types that vLLM cannot put into a prompt are refused.
"""

from typing import Any

from guard.exchange.inquiry import FieldUse, Inquiry
from guard.screening.segments import Segment, Source
from guard.wire.coercion import show
from guard.wire.dialect import Malformed
from guard.wire.fields import RESPONSES, typed
from guard.wire.requests.chat import ROLES, required
from guard.wire.requests.parts import content, joined
from guard.wire.requests.strings import steer, strings, tools
from guard.wire.requests.turns import Turns

_MEMBERS = {
    "message": ("type", "role", "content", "id", "status"),
    "function_call": ("type", "call_id", "name", "arguments", "namespace", "id", "status"),
    "function_call_output": ("type", "call_id", "output", "id", "status"),
    "custom_tool_call": ("type", "call_id", "name", "input", "namespace", "id", "status"),
    "custom_tool_call_output": ("type", "call_id", "output", "id", "status"),
    "reasoning": ("type", "id", "summary", "content", "status"),
}
TOOL_KINDS = (
    "function",
    "custom",
    "namespace",
    "mcp",
    "file_search",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "image_generation",
    "local_shell",
    "shell",
    "apply_patch",
    "tool_search",
    "programmatic_tool_calling",
)


def parse(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed.

    Unless the caller asked for it, the answer is not stored: vLLM's default is to keep it for whoever has its id.
    """
    inquiry = typed("responses", RESPONSES, document)
    seal(document)
    given = required(document, "input")
    if type(given) is str:
        inquiry.segments.append(Segment(Source.USER, given, "input"))
    else:
        turns = Turns("input", inquiry)
        for index, item in enumerate(given):
            given[index] = _item(item, index, inquiry, turns)
        turns.close()
        if given and given[-1].get("status") in {"in_progress", "incomplete"}:
            inquiry.uses.append(FieldUse("prefill", "input", True))
    if "tools" in document:
        tools(document["tools"], "tools", inquiry, TOOL_KINDS)
    previous = document.get("previous_input_messages")
    if previous:
        inquiry.segments.append(Segment(Source.USER, strings(previous), "previous_input_messages"))
    steer(inquiry)
    return inquiry


def seal(document: dict[str, Any]) -> None:
    """Write down that the answer is not stored, unless ``document`` says otherwise (vLLM's default is to store)."""
    document.setdefault("store", False)


def _item(item: Any, index: int, inquiry: Inquiry, turns: Turns) -> dict[str, Any]:
    path = f"input[{index}]"
    if type(item) is not dict:
        raise Malformed(path, show(item), "an object")
    kind = item.get("type", "message")
    members = _MEMBERS.get(kind) if type(kind) is str else None
    if members is None:
        raise Malformed(f"{path}.type", show(kind), ", ".join(_MEMBERS))
    if item.get("encrypted_content") is not None:
        raise Malformed(f"{path}.encrypted_content", "a value", "nothing: it cannot be read")
    kept = {name: item[name] for name in members if item.get(name) is not None}
    if kind == "message":
        _message(kept, index, inquiry, turns)
    elif kind == "reasoning":
        _reasoning(kept, path, inquiry)
    elif kind in {"function_call", "custom_tool_call"}:
        for name in ("namespace", "name", "arguments", "input", "call_id"):
            _string(kept, name, Source.TOOL_ARGUMENTS, path, inquiry)
    else:
        _string(kept, "call_id", Source.TOOL_RESULT, path, inquiry)
        _body(kept.get("output", ""), Source.TOOL_RESULT, f"{path}.output", inquiry)
    return kept


def _message(item: dict[str, Any], index: int, inquiry: Inquiry, turns: Turns) -> None:
    path = f"input[{index}]"
    role = item.get("role")
    if type(role) is not str:
        raise Malformed(f"{path}.role", show(role), "a string")
    source = ROLES.get(role)
    if source is None:
        source = Source.USER
        inquiry.segments.append(Segment(source, role, f"{path}.role"))
    turns.said(source, _body(item.get("content", ""), source, f"{path}.content", inquiry), index)


def _body(body: Any, source: Source, path: str, inquiry: Inquiry) -> str:
    if type(body) is str:
        inquiry.segments.append(Segment(source, body, path))
        return body
    if type(body) is not list:
        raise Malformed(path, show(body), "a string or an array of parts")
    text = content(body, source, path, inquiry)
    for part in body:
        if part.get("type") == "output_text":
            part["annotations"] = []  # vLLM's model of an output text requires them
    return text


def _reasoning(item: dict[str, Any], path: str, inquiry: Inquiry) -> None:
    for name, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
        parts = item.get(name)
        if parts is None:
            continue
        if type(parts) is not list:
            raise Malformed(f"{path}.{name}", show(parts), "an array of parts")
        found: list[str] = []
        for index, part in enumerate(parts):
            text = part.get("text") if type(part) is dict else None
            if type(text) is not str or part.get("type") != kind:
                raise Malformed(f"{path}.{name}[{index}]", show(part), f"a part of type {kind}")
            parts[index] = {"type": kind, "text": text}
            found.append(text)
        if found:
            joined(found, Source.REASONING, f"{path}.{name}", inquiry)


def _string(item: dict[str, Any], name: str, source: Source, path: str, inquiry: Inquiry) -> None:
    value = item.get(name)
    if value is None:
        return
    if type(value) is not str:
        raise Malformed(f"{path}.{name}", show(value), "a string")
    inquiry.segments.append(Segment(source, value, f"{path}.{name}"))
