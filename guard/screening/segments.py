"""A segment is a piece of text that knows where it came from; rules choose sources, not fields."""

from enum import StrEnum
from typing import NamedTuple


class Source(StrEnum):
    """Who put a text into the exchange."""

    USER = "user"
    SYSTEM = "system"
    ASSISTANT = "assistant"
    """An earlier answer that the caller sent back as history, or a prefilled answer."""
    TOOL_RESULT = "tool_result"
    TOOL_ARGUMENTS = "tool_arguments"
    TOOL_DEFINITION = "tool_definition"
    REASONING = "reasoning"
    OUTPUT = "output"


class Direction(StrEnum):
    """Whether a text goes to the model or comes from it."""

    PROMPT = "prompt"
    OUTPUT = "output"


class Segment(NamedTuple):
    """One text with its source and the path of the field it stands in (``messages[2].content``)."""

    source: Source
    text: str
    path: str = ""
    again: bool = False
    """True: its texts are segments of their own too; here they are read together, as a template may put them."""
