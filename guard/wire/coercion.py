"""Readers of JSON values that are as lax as vLLM's own (pydantic, lax mode) and return one typed value.

vLLM reads ``"n": "2"``, ``2.0`` and ``true`` all as numbers. A policy has to see the number vLLM will use, so a reader
returns that number and the caller writes it back. Each accepts at most what pydantic accepts, with the same result.
"""

from collections.abc import Callable
from math import isfinite
from typing import Any

from guard.wire.body import kind
from guard.wire.dialect import Malformed

Reader = Callable[[Any, str], Any]
"""Takes a value (never None) and its path; returns the typed value or raises Malformed."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
INT32_MAX = 2**31 - 1

_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE = frozenset({"0", "off", "f", "false", "n", "no"})


def show(value: Any) -> str:
    """Return what a client may be told of a value: its type, or the number or short word that it is."""
    if type(value) is str and len(value) <= 40 and value.isascii() and value.replace("_", "").isalnum():
        return f"'{value}'"
    if type(value) in {int, float} and abs(value) < 1e16:
        return str(value)
    return kind(value)


def boolean(value: Any, path: str) -> bool:
    """Read a boolean; 0, 1 and the words pydantic takes in any case (``yes``, ``off``, ``t`` ...) are booleans too."""
    if type(value) is bool:
        return value
    if type(value) is str:
        word = value.lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
    elif type(value) in {int, float} and value in {0, 1}:
        return bool(value)
    raise Malformed(path, show(value), "true or false")


def integer(low: int = -INT32_MAX, high: int = INT64_MAX) -> Reader:
    """Return a reader of integers from ``low`` to ``high``: also booleans, integral floats and decimal strings."""
    allowed = f"an integer from {low}" if high == INT64_MAX else f"an integer from {low} to {high}"

    def read(value: Any, path: str) -> int:
        if type(value) is int:
            number = value
        elif type(value) is bool or (type(value) is float and value.is_integer()) or _decimal(value):
            number = int(value)
        else:
            raise Malformed(path, show(value), allowed)
        if low <= number <= high:
            return number
        raise Malformed(path, show(number), allowed)

    return read


def _decimal(value: Any) -> bool:
    return type(value) is str and len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit()


def number(value: Any, path: str) -> int | float:
    """Read a finite number: also booleans and decimal strings. Integers no double holds exactly are refused."""
    if (type(value) is float and isfinite(value)) or (type(value) is int and -(2**53) <= value <= 2**53):
        return value
    if type(value) is bool:
        return int(value)
    if type(value) is str and len(value) <= 32 and value.isascii() and "_" not in value:
        try:
            parsed = float(value)
        except ValueError:
            pass
        else:
            if isfinite(parsed):
                return parsed
    raise Malformed(path, show(value), "a finite number")


def text(value: Any, path: str) -> str:
    """Read a string."""
    if type(value) is str:
        return value
    raise Malformed(path, show(value), "a string")


def choice(*words: str) -> Reader:
    """Return a reader of exactly these words."""
    allowed = ", ".join(words)
    known = frozenset(words)

    def read(value: Any, path: str) -> str:
        if type(value) is str and value in known:
            return value
        raise Malformed(path, show(value), allowed)

    return read


def mapping(value: Any, path: str) -> dict[str, Any]:
    """Read an object of any content."""
    if type(value) is dict:
        return value
    raise Malformed(path, show(value), "an object")


def array(value: Any, path: str) -> list[Any]:
    """Read an array of any content."""
    if type(value) is list:
        return value
    raise Malformed(path, show(value), "an array")


def listed(read: Reader, allowed: str) -> Reader:
    """Return a reader of arrays whose elements ``read`` takes; they are typed in place."""

    def read_all(value: Any, path: str) -> list[Any]:
        if type(value) is not list:
            raise Malformed(path, show(value), allowed)
        for index, item in enumerate(value):
            value[index] = read(item, f"{path}[{index}]")
        return value

    return read_all


def members(read: Reader, allowed: str) -> Reader:
    """Return a reader of objects whose values ``read`` takes; they are typed in place."""

    def read_all(value: Any, path: str) -> dict[str, Any]:
        if type(value) is not dict:
            raise Malformed(path, show(value), allowed)
        for key, item in value.items():
            value[key] = read(item, f"{path}.{key[:40]}")
        return value

    return read_all


def record(**fields: Reader) -> Reader:
    """Return a reader of objects with these members: typed in place, nulls and members of other names dropped."""

    def read_all(value: Any, path: str) -> dict[str, Any]:
        if type(value) is not dict:
            raise Malformed(path, show(value), "an object")
        return {
            name: read(value[name], f"{path}.{name}") for name, read in fields.items() if value.get(name) is not None
        }

    return read_all


def either(first: type, one: Reader, other: Reader) -> Reader:
    """Return a reader that takes values of type ``first`` with ``one`` and all others with ``other``."""

    def read(value: Any, path: str) -> Any:
        return one(value, path) if type(value) is first else other(value, path)

    return read


def unsupported(allowed: str) -> Reader:
    """Return a reader that refuses every value."""

    def read(value: Any, path: str) -> Any:
        raise Malformed(path, kind(value), allowed)

    return read
