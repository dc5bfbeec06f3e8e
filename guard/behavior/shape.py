"""The property names that a request asks its answers to have: a schema says plainly what an answer is for."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

DEPTH, NAMES = 12, 256
"""Levels below the root, and names, that are looked at."""
ROOTS = ("response_format", "structured_outputs", "guided_json", "text", "output_config", "output_format", "tools")
"""Fields of a body that may hold schemas."""


def shape(document: Mapping[str, Any]) -> frozenset[str]:
    """Return the property names, in lower case, of every JSON schema in a request's typed body, tools included."""
    names: set[str] = set()
    for root in ROOTS:
        value = document.get(root)
        if value is not None:
            _collect(_parsed(value), names, 0)
    return frozenset(names)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.lstrip()[:1] == "{" else None
    except (ValueError, RecursionError):
        return None


def _collect(value: Any, names: set[str], depth: int) -> None:
    if depth > DEPTH or len(names) >= NAMES:
        return
    if isinstance(value, dict):
        properties = value.get("properties")
        if isinstance(properties, dict):
            names.update(name.lower() for name in properties if isinstance(name, str) and len(name) <= 40)
        for inner in _members(value):
            _collect(_parsed(inner), names, depth + 1)
    elif isinstance(value, list):
        for inner in value[:64]:
            _collect(inner, names, depth + 1)


def _members(value: dict[str, Any]) -> Iterator[Any]:
    for name, inner in value.items():
        if isinstance(inner, (dict, list)) or name in {"json", "schema"}:
            yield inner
