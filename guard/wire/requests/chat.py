"""``/v1/chat/completions``: messages to segments."""

from typing import Any

from guard.exchange.inquiry import Inquiry
from guard.screening.segments import Segment, Source
from guard.wire.coercion import show
from guard.wire.dialect import Malformed
from guard.wire.fields import CHAT, typed
from guard.wire.requests.parts import content
from guard.wire.requests.strings import samples, steer, strings, tools
from guard.wire.requests.turns import Turns

ROLES = {
    "user": Source.USER,
    "assistant": Source.ASSISTANT,
    "system": Source.SYSTEM,
    "developer": Source.SYSTEM,
    "tool": Source.TOOL_RESULT,
    "function": Source.TOOL_RESULT,
}
"""Any other role is the caller's invention: its texts, its name included, count as the user's."""

TOOL_KINDS = ("function",)


def parse(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    inquiry = typed("chat", CHAT, document)
    messages(required(document, "messages"), "messages", inquiry)
    definitions = document.get("tools")
    if definitions is not None:
        functions(definitions, "tools", inquiry)
    documents = document.get("documents")
    if documents:
        inquiry.segments.append(Segment(Source.USER, strings(documents), "documents"))
    steer(inquiry)
    inquiry.choices = document.get("n", 1)
    samples(inquiry, inquiry.choices)
    return inquiry


def required(document: dict[str, Any], name: str) -> Any:
    """Return the value of a field that has to be there. Raises Malformed if it is not."""
    value = document.get(name)
    if value is None:
        raise Malformed(name, "nothing", "a value is required here")
    return value


def messages(conversation: Any, path: str, inquiry: Inquiry) -> None:
    """Add every text of ``conversation`` to the inquiry; members of a message that vLLM does not know are dropped.

    Raises Malformed for anything that is no array of messages with a role.
    """
    if type(conversation) is not list:
        raise Malformed(path, show(conversation), "an array of messages")
    add = inquiry.segments.append
    turns = Turns(path, inquiry) if len(conversation) > 1 else None
    for index, message in enumerate(conversation):
        if type(message) is not dict:
            raise Malformed(f"{path}[{index}]", show(message), "a message object")
        role = message.get("role")
        if type(role) is not str:
            raise Malformed(f"{path}[{index}].role", show(role), "a string")
        source = ROLES.get(role)
        if source is None:
            source = Source.USER
            add(Segment(source, role, f"{path}[{index}].role"))
        body = message.get("content")
        if type(body) is str:
            add(Segment(source, body, f"{path}[{index}].content"))
            if turns is not None:
                turns.said(source, body, index)
        elif type(body) is list:
            said = content(body, source, f"{path}[{index}].content", inquiry)
            if turns is not None:
                turns.said(source, said, index)
        elif body is not None:
            raise Malformed(f"{path}[{index}].content", show(body), "a string or an array of parts")
        if len(message) != 2 or "content" not in message:
            _others(message, source, f"{path}[{index}]", inquiry)
    if turns is not None:
        turns.close()


_STRINGS = frozenset({"name", "tool_call_id", "task"})


def _others(message: dict[str, Any], source: Source, path: str, inquiry: Inquiry) -> None:
    add = inquiry.segments.append
    for name in tuple(message):
        value = message[name]
        if name in {"role", "content"}:
            continue
        if value is None:
            del message[name]
        elif name in _STRINGS:
            if type(value) is not str:
                raise Malformed(f"{path}.{name}", show(value), "a string")
            add(Segment(source, value, f"{path}.{name}"))
        elif name in {"reasoning", "reasoning_content"}:
            if type(value) is not str:
                raise Malformed(f"{path}.{name}", show(value), "a string")
            add(Segment(Source.REASONING if source is Source.ASSISTANT else source, value, f"{path}.{name}"))
        elif name == "tool_calls":
            message[name] = _calls(value, f"{path}.{name}", inquiry)
        elif name == "tools":
            functions(value, f"{path}.{name}", inquiry)
        else:
            del message[name]


def _calls(calls: Any, path: str, inquiry: Inquiry) -> list[dict[str, Any]]:
    if type(calls) is not list:
        raise Malformed(path, show(calls), "an array of tool calls")
    kept = []
    for index, call in enumerate(calls):
        at = f"{path}[{index}]"
        function = call.get("function") if type(call) is dict else None
        if type(function) is not dict or call.get("type", "function") != "function":
            raise Malformed(at, show(call), "a tool call of type function")
        name, arguments, identifier = function.get("name"), function.get("arguments"), call.get("id")
        if type(name) is not str or type(arguments) is not str:
            raise Malformed(f"{at}.function", show(name if type(name) is not str else arguments), "name and arguments")
        if type(identifier) is not str:
            raise Malformed(f"{at}.id", show(identifier), "a string")
        inquiry.segments.append(Segment(Source.TOOL_ARGUMENTS, name, f"{at}.function.name"))
        inquiry.segments.append(Segment(Source.TOOL_ARGUMENTS, arguments, f"{at}.function.arguments"))
        inquiry.segments.append(Segment(Source.TOOL_ARGUMENTS, identifier, f"{at}.id"))
        kept.append({"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}})
    return kept


def functions(definitions: Any, path: str, inquiry: Inquiry) -> None:
    """Add the strings of chat tool definitions. Raises Malformed for a tool without a named function."""
    if type(definitions) is not list:
        raise Malformed(path, show(definitions), "an array of tools")
    tools(definitions, path, inquiry, TOOL_KINDS)
    for index, tool in enumerate(definitions):
        function = tool.get("function")
        if type(function) is not dict or type(function.get("name")) is not str:
            raise Malformed(f"{path}[{index}].function", show(function), "an object with a name")
