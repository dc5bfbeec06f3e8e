"""Request bodies: bytes to a JSON document that every parser reads the same way, and back.

vLLM takes the last of two equal keys, guesses UTF-16 and UTF-32, and reads NaN. What two parsers can read differently
is refused here, and what is sent on is the re-serialized document, never the bytes that came in (RFC 8259, RFC 7493).
"""

import json
from types import GenericAlias
from typing import Any

import msgspec

from guard.wire.dialect import Malformed

ALLOWED = "one JSON object (RFC 8259) in UTF-8"

JSON = "application/json"

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_CONTAINERS = (dict, list)

_SHALLOW = 8
"""Levels of nesting that the requests of every day stay within."""


def _nested(levels: int) -> Any:
    """Return the type of a JSON value that is nested in no more than ``levels`` containers."""
    scalar: Any = None | bool | int | float | str
    value = scalar
    for _ in range(levels):
        value = scalar | GenericAlias(list, (value,)) | GenericAlias(dict, (str, value))
    return value


_shallow_decoder: Any = msgspec.json.Decoder(GenericAlias(dict, (str, _nested(_SHALLOW - 1))))
"""Decodes what is nested no deeper than _SHALLOW, and refuses the rest: the depth is proven without a second look."""


def decode(raw: bytes, content_type: str | None, *, max_depth: int) -> dict[str, Any]:
    """Return the JSON object in ``raw``.

    ``content_type`` is the header's value, or None if there was none. ``max_depth`` counts nested containers, the
    outermost included. Raises Malformed for another content type or charset, bytes that are not UTF-8, a byte order
    mark, anything RFC 8259 does not allow, a number no double holds, a duplicate key at any depth, and a body that is
    no object.
    """
    if content_type != JSON:
        _check_content_type(content_type)
    document: dict[str, Any] | None = None
    if max_depth >= _SHALLOW:
        try:
            document = _shallow_decoder.decode(raw)
        except (ValueError, RecursionError):
            document = None
    if document is None:  # deeper, or no body at all: this road tells
        document = _any_depth(raw, max_depth)
    if not complete(raw, _encoder.encode(document)):
        _refuse_duplicates(raw)
    return document


def complete(raw: bytes, written: bytes) -> bool:
    """Return whether ``written``, the encoder's form of what was decoded from ``raw``, is proven to miss no member.

    Equal bytes miss none. Otherwise: a member that was dropped, be it because its key is there twice or because nobody
    asked for it, takes its colon with it, and nothing else can change the number of colons but a colon written as an
    escape in ``raw`` (the encoder never escapes one). So equal counts without such an escape are proof.
    """
    if raw == written:
        return True
    return raw.count(b":") == written.count(b":") and (b"\\" not in raw or b"\\u003" not in raw)


def _any_depth(raw: bytes, max_depth: int) -> dict[str, Any]:
    try:
        document = _decoder.decode(raw)
    except UnicodeDecodeError:
        raise Malformed("body", "bytes that are not UTF-8", ALLOWED) from None
    except RecursionError:
        raise Malformed("body", "deeper nesting", f"{max_depth} levels") from None
    except ValueError as error:
        raise Malformed("body", _not_json(raw, str(error)), ALLOWED) from None
    if type(document) is not dict:
        raise Malformed("body", kind(document), ALLOWED)
    # Depth is at most the number of opening brackets, quoted ones included; only a body with many is measured.
    if raw.count(b"{") + raw.count(b"[") > max_depth and _deeper(document, max_depth):
        raise Malformed("body", "deeper nesting", f"{max_depth} levels")
    found: dict[str, Any] = document
    return found


def encode(document: dict[str, Any]) -> bytes:
    """Return ``document`` as compact UTF-8 JSON: what goes to the inference server."""
    return _encoder.encode(document)


def kind(value: Any) -> str:
    """Return the JSON type of ``value`` in words that are safe to show: ``an array``, ``a string`` ..."""
    return _KINDS.get(type(value), "an unknown value")


_KINDS: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _check_content_type(content_type: str | None) -> None:
    if content_type is None:
        raise Malformed("content-type", "nothing", JSON)
    media, *parameters = content_type.lower().split(";")
    if media.strip() != JSON:
        raise Malformed("content-type", _short(content_type), JSON)
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in {"utf-8", "utf8"}:
            raise Malformed("content-type", _short(parameter.strip()), "charset=utf-8")


def _not_json(raw: bytes, reason: str) -> str:
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "a byte order mark"
    _, found, position = reason.rpartition("(byte ")
    if found:
        return f"no JSON at byte {position.removesuffix(')')}"
    if "out of range" in reason:
        return "a number out of range"
    return "no complete JSON"


def _deeper(document: dict[str, Any], limit: int) -> bool:
    level: list[Any] = [document]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) in _CONTAINERS
        ]
        if not level:
            return False
    return True


class _Members(list[tuple[str, Any]]):
    """The members of one object, in order, equal keys included."""


def _refuse_duplicates(raw: bytes) -> None:
    pending: list[tuple[str, Any]] = [("", json.loads(raw, object_pairs_hook=_Members))]
    while pending:
        path, node = pending.pop()
        if type(node) is _Members:
            seen: set[str] = set()
            for key, value in node:
                where = f"{path}.{_short(key)}" if path else _short(key)
                if key in seen:
                    raise Malformed(where, "the key is there twice", "each key once")
                seen.add(key)
                if isinstance(value, list):
                    pending.append((where, value))
        else:
            pending.extend((f"{path}[{index}]", value) for index, value in enumerate(node) if isinstance(value, list))


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
