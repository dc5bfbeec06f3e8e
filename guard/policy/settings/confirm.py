"""Confirmations of dangerous changes."""

from typing import Annotated, Any

from pydantic import PlainValidator


def _line(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:  # how YAML reads the line where it is not quoted
        value = ": ".join(str(part) for part in next(iter(value.items())))
    if isinstance(value, str) and " -> " in value and ": " in value:
        return " ".join(value.split())
    raise ValueError("the line of a dangerous change, such as 'mode: enforce -> shadow'")


Confirmation = Annotated[str, PlainValidator(_line)]
