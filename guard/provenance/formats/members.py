"""Members of an object by their names, none of which is lost where a name stands twice."""

from collections.abc import Sequence
from typing import Any


def members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return ``pairs`` as a dictionary; of a name that stands twice the last keeps it, as parsers read JSON.

    Those before it are numbered (``text_2``), so that they mean the same and are looked at as well.
    """
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    found.clear()
    numbers: dict[str, int] = {}
    for name, value in reversed(pairs):
        free = name
        if name in found:
            number = numbers.get(name, 1) + 1
            while (free := f"{name}_{number}") in found:
                number += 1
            numbers[name] = number
        found[free] = value
    return dict(reversed(found.items()))
