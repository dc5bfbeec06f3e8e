"""``/v1/messages`` and ``/v1/messages/count_tokens``: content blocks to segments (Anthropic's Messages API)."""

from typing import Any

from guard.exchange.inquiry import Inquiry
from guard.exchange.unscanned import PartKind, UnscannedPart
from guard.screening.segments import Segment, Source
from guard.wire.coercion import show
from guard.wire.dialect import Malformed
from guard.wire.fields import COUNT_TOKENS, MESSAGES, Table, typed
from guard.wire.requests.chat import required
from guard.wire.requests.parts import joined
from guard.wire.requests.strings import steer, strings, tools
from guard.wire.requests.turns import Turns

_ROLES = {"user": Source.USER, "assistant": Source.ASSISTANT, "system": Source.SYSTEM}
_MEMBERS = {
    "text": ("type", "text"),
    "image": ("type", "source"),
    "tool_use": ("type", "id", "name", "input"),
    "tool_result": ("type", "tool_use_id", "content", "is_error"),
    "tool_reference": ("type", "tool_name", "name"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type",),
    "tool_addition": ("type", "tool"),
    "tool_removal": ("type", "tool"),
}
_RESULT_PARTS = ("text", "image", "tool_reference")
_TOOL_KINDS = ("custom",)


def parse(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    return _parse("messages", MESSAGES, document)


def parse_count(document: dict[str, Any]) -> Inquiry:
    """As ``parse``, for a request that only counts the tokens of a prompt."""
    return _parse("count_tokens", COUNT_TOKENS, document)


def _parse(surface: str, table: Table, document: dict[str, Any]) -> Inquiry:
    inquiry = typed(surface, table, document)
    if "system" in document:
        _body(document["system"], Source.SYSTEM, "system", inquiry)
    turns = Turns("messages", inquiry)
    for index, message in enumerate(required(document, "messages")):
        path = f"messages[{index}]"
        if type(message) is not dict:
            raise Malformed(path, show(message), "a message object")
        role = message.get("role")
        source = _ROLES.get(role) if type(role) is str else None
        if source is None:
            raise Malformed(f"{path}.role", show(role), ", ".join(_ROLES))
        turns.said(source, _body(message.get("content"), source, f"{path}.content", inquiry), index)
        if len(message) != 2:
            for name in message.keys() - {"role", "content"}:
                del message[name]
    turns.close()
    if "tools" in document:
        tools(document["tools"], "tools", inquiry, _TOOL_KINDS)
    steer(inquiry)
    return inquiry


def _body(body: Any, source: Source, path: str, inquiry: Inquiry) -> str:
    """Add the texts of a body and return those of its own source."""
    if type(body) is str:
        inquiry.segments.append(Segment(source, body, path))
        return body
    if type(body) is not list:
        raise Malformed(path, show(body), "a string or an array of content blocks")
    texts: list[str] = []
    thoughts: list[str] = []
    for index, block in enumerate(body):
        at = f"{path}[{index}]"
        kind, kept = _cut(block, at, _MEMBERS)
        body[index] = kept
        if kind == "text":
            texts.append(_text(kept, "text", at))
        elif kind == "thinking":
            thoughts.append(_text(kept, "thinking", at))
        elif kind == "image":
            inquiry.unscannable.append(UnscannedPart(PartKind.IMAGE, at))
        elif kind == "tool_use":
            _call(kept, at, inquiry)
        elif kind == "tool_result":
            if source is not Source.USER:
                raise Malformed(f"{at}.type", "tool_result", "tool results only in messages of the user")
            _result(kept, at, inquiry)
        elif kind == "tool_reference":
            _reference(kept, at, inquiry)
        elif kind in {"tool_addition", "tool_removal"}:
            inquiry.segments.append(Segment(Source.TOOL_DEFINITION, strings(kept.get("tool")), f"{at}.tool"))
    if texts:
        joined(texts, source, path, inquiry)
    if thoughts:
        joined(thoughts, Source.REASONING, path, inquiry)
    return "\n".join(texts)


def _cut(block: Any, path: str, kinds: Any) -> tuple[str, dict[str, Any]]:
    if type(block) is not dict:
        raise Malformed(path, show(block), "an object with a type")
    kind = block.get("type")
    if type(kind) is not str or kind not in kinds:
        raise Malformed(f"{path}.type", show(kind), ", ".join(kinds))
    members = _MEMBERS[kind]
    if len(block) == len(members) and all(name in block for name in members):
        return kind, block
    return kind, {name: block[name] for name in members if block.get(name) is not None}


def _text(block: dict[str, Any], name: str, path: str) -> str:
    value = block.get(name)
    if type(value) is not str:
        raise Malformed(f"{path}.{name}", show(value), "a string")
    return value


def _call(block: dict[str, Any], path: str, inquiry: Inquiry) -> None:
    for name in ("name", "id"):
        inquiry.segments.append(Segment(Source.TOOL_ARGUMENTS, _text(block, name, path), f"{path}.{name}"))
    arguments = block.get("input")
    if type(arguments) is not dict:
        raise Malformed(f"{path}.input", show(arguments), "an object")
    if arguments:
        inquiry.segments.append(Segment(Source.TOOL_ARGUMENTS, strings(arguments), f"{path}.input"))


def _result(block: dict[str, Any], path: str, inquiry: Inquiry) -> None:
    identifier = _text(block, "tool_use_id", path)
    inquiry.segments.append(Segment(Source.TOOL_RESULT, identifier, f"{path}.tool_use_id"))
    body = block.get("content")
    if body is None:
        return
    if type(body) is str:
        inquiry.segments.append(Segment(Source.TOOL_RESULT, body, f"{path}.content"))
        return
    if type(body) is not list:
        raise Malformed(f"{path}.content", show(body), "a string or an array of content blocks")
    texts: list[str] = []
    for index, part in enumerate(body):
        at = f"{path}.content[{index}]"
        kind, kept = _cut(part, at, _RESULT_PARTS)
        body[index] = kept
        if kind == "text":
            texts.append(_text(kept, "text", at))
        elif kind == "image":
            inquiry.unscannable.append(UnscannedPart(PartKind.IMAGE, at))
        else:
            _reference(kept, at, inquiry)
    if texts:
        joined(texts, Source.TOOL_RESULT, f"{path}.content", inquiry)


def _reference(block: dict[str, Any], path: str, inquiry: Inquiry) -> None:
    for name in ("tool_name", "name"):
        if name in block:
            inquiry.segments.append(Segment(Source.TOOL_ARGUMENTS, _text(block, name, path), f"{path}.{name}"))
