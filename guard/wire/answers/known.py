"""The keys of answer objects that are known; what else could carry text is taken out, never passed unseen."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Shape: TypeAlias = Mapping[str, "Shape | None"]
"""The known keys of an object: None where a dialect reads the value or it holds no text, a Shape where the value is
an object or a list of objects."""

_GENERATED = re.compile(
    r"(?:(?:chatcmpl|chatcmpl-tool|cmpl|resp|msg|rs|call|fc|ctc|mcp|tool|toolu)[-_])?[0-9a-f]{8,}(?:-[0-9a-f]{4,}){0,4}"
)


def shape(names: str, **objects: Shape) -> Shape:
    """Return the Shape of the keys in ``names`` (space-separated), and of ``objects`` below it."""
    return {**dict.fromkeys(names.split()), **objects}


def strip(value: Any, known: Shape) -> bool:
    """Remove every key that ``known`` does not name from the object (or the objects of the list) ``value``.

    Returns True if there was any: the event must be written anew then, because a key alone can carry text.
    """
    if isinstance(value, list):
        found = [strip(item, known) for item in value]  # every item, not up to the first
        return any(found)
    if not isinstance(value, dict):
        return False
    carried = False
    for key in [key for key in value if key not in known]:
        del value[key]
        carried = True
    for key, below in known.items():
        if below is not None and value.get(key):
            carried |= strip(value[key], below)
    return carried


def textless(value: Any) -> bool:
    """Return whether ``value`` can carry no text."""
    return value is None or isinstance(value, (bool, int, float)) or not value


def generated(text: str) -> bool:
    """Return whether ``text`` is an id of random hexadecimal digits (``call_6f1d...``, ``chatcmpl-tool-6f1d...``).

    Ids in other forms may stem from the model's own words, so they are screened.
    """
    return _GENERATED.fullmatch(text) is not None


def strings(value: Any) -> Iterator[str]:
    """Yield every non-empty string in ``value``, keys included."""
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key:
                yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
