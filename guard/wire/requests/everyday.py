"""The chat request of every day: messages of text, and fields that are sent as they came.

It is decoded into just that. Where nothing is missing from it afterwards, nothing else was there, so its fields need no
typing, and the encoding that proves it is what is sent. Every other request is read by ``guard.wire.requests.chat``.
"""

from typing import Annotated, Any, Literal, Required, TypedDict

import msgspec
from msgspec import Meta

from guard.exchange.inquiry import FieldUse, Inquiry
from guard.wire.body import complete
from guard.wire.coercion import INT64_MAX, INT64_MIN
from guard.wire.requests.chat import messages

DEPTH = 3
"""Containers that are nested in such a request: the body, its messages, a message."""

_Number = Annotated[int, Meta(ge=-(2**53), le=2**53)] | float
_Length = Annotated[int, Meta(ge=0, le=INT64_MAX)]


class Turn(TypedDict):
    """A message."""

    role: Literal["user", "assistant", "system", "developer", "tool"]
    content: str


class Request(TypedDict, total=False):
    """The fields that are in such a request, with the values that ``guard.wire.fields.CHAT`` leaves as they are."""

    model: Required[Annotated[str, Meta(min_length=1)]]
    messages: Required[list[Turn]]
    user: Annotated[str, Meta(min_length=1)]
    stream: bool
    temperature: _Number
    top_p: _Number
    frequency_penalty: _Number
    presence_penalty: _Number
    seed: Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
    max_tokens: _Length
    max_completion_tokens: _Length


_LENGTHS = frozenset({"max_tokens", "max_completion_tokens"})
_decode: Any = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


def read(raw: bytes) -> Inquiry | None:
    """Return the inquiry of the request ``raw``; None if it is of another kind, or none at all."""
    try:
        document = _decode(raw)
    except (ValueError, RecursionError):
        return None
    written = _encode(document)
    if not complete(raw, written):
        return None
    user = document.get("user")
    claimed = {} if user is None else {"user": user}
    inquiry = Inquiry("chat", document, document["model"], document.get("stream", False), [], [], claimed, [], [], [])
    if not _LENGTHS.isdisjoint(document):
        inquiry.uses += [FieldUse("length", name, document[name]) for name in document if name in _LENGTHS]
    messages(document["messages"], "messages", inquiry)
    inquiry.written = written
    return inquiry
