"""Request bodies: bytes to a JSON document that every parser reads the same way, and back.

vLLM takes the last of two equal keys, guesses UTF-16 and UTF-32, and reads NaN. What two parsers can read differently
is refused here, and what is sent on is the re-serialized document, never the bytes that came in (RFC 8259, RFC 7493).
"""

import json
from typing import Any

import msgspec

from guard.wire.dialect import Malformed

ALLOWED = "one JSON object (RFC 8259) in UTF-8"

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_CONTAINERS = (dict, list)


def decode(raw: bytes, content_type: str | None, *, max_depth: int) -> dict[str, Any]:
    """Return the JSON object in ``raw``.

    ``content_type`` is the header's value, or None if there was none. ``max_depth`` counts nested containers, the
    outermost included. Raises Malformed for another content type or charset, bytes that are not UTF-8, a byte order
    mark, anything RFC 8259 does not allow, a number no double holds, a duplicate key at any depth, and a body that is
    no object.
    """
    _check_content_type(content_type)
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
    # A dropped member takes its colon with it, and nothing else can change the number of colons but a colon written as
    # an escape in the input (the encoder never escapes one). So equal counts without such an escape prove that no key
    # was there twice; anything else takes the slow pass, which is exact.
    if b"\\u003" in raw or raw.count(b":") != _encoder.encode(document).count(b":"):
        _refuse_duplicates(raw)
    return document


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
    if content_type == "application/json":
        return
    if content_type is None:
        raise Malformed("content-type", "nothing", "application/json")
    media, *parameters = content_type.lower().split(";")
    if media.strip() != "application/json":
        raise Malformed("content-type", _short(content_type), "application/json")
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
