"""One record of a data set, as the gate looks at it: every text in it, and whether it answers.

Plain (``text``), prompt and completion, instruction and output, chat (``messages``), ShareGPT (``conversations``) and
preference (``chosen``, ``rejected``) records are told apart by the names of their fields, at any depth. Prompts and
texts under names that are not known are looked at as well: renaming a column hides nothing.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple


class Span(NamedTuple):
    """One text of a record and where it stands (``messages[1].content``)."""

    path: str
    text: str
    answers: bool
    """True where the field is known to hold what a model says."""


class Record(NamedTuple):
    """One record; ``number`` counts from 0, ``line`` is the 1-based line it begins in."""

    number: int
    line: int
    spans: tuple[Span, ...]
    receipts: tuple[str, ...]
    """Values that look like ids of receipts."""


_ANSWERS = frozenset(
    {"text", "completion", "output", "outputs", "response", "responses", "answer", "answers", "chosen", "rejected",
     "generation", "generations", "reasoning", "reasoning_content", "thinking", "target"}
)  # fmt: skip
_SPEAKERS = ("role", "from")
_SPOKEN = frozenset(
    {"content", "value", "text", "reasoning", "reasoning_content", "thinking", "refusal", "tool_calls", "function",
     "arguments"}
)  # fmt: skip
_MODELS = frozenset({"assistant", "gpt", "model", "bot", "chatgpt", "ai", "chatbot"})
_RECEIPT = re.compile(r"r-[\x21-\x7e]{1,200}-[0-9]{1,6}")


def record_of(document: Any, number: int, line: int) -> Record:
    """Return ``document`` (an object, or a text by itself) as a record. Raises ValueError for anything else."""
    if isinstance(document, str):
        spans: tuple[Span, ...] = (Span("", document, answers=True),)
    elif isinstance(document, dict):
        spans = tuple(_walk(document, "", answers=False))
    else:
        kind = {list: "a list", bool: "true or false", type(None): "null"}.get(type(document), "a number")
        raise ValueError(f"a record is {kind}; allowed: an object or a text")  # noqa: TRY004 - data, not a caller's type
    receipts = tuple(span.text for span in spans if _RECEIPT.fullmatch(span.text))
    return Record(number, line, spans, receipts)


def _walk(value: Any, path: str, *, answers: bool) -> Iterator[Span]:
    if isinstance(value, str):
        yield Span(path, value, answers)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}[{index}]", answers=answers)
    elif isinstance(value, dict):
        speaks = _speaks(value)
        for name, item in value.items():
            lower = name.lower()
            if speaks is not None:
                says = speaks and lower in _SPOKEN
            else:
                says = lower in _ANSWERS or (answers and lower in _SPOKEN)
            yield from _walk(item, f"{path}.{name}" if path else name, answers=says)


def _speaks(value: dict[str, Any]) -> bool | None:
    """Return whether a turn of a conversation is the model's; None for an object that is no turn."""
    for name in _SPEAKERS:
        if isinstance(speaker := value.get(name), str):
            return speaker.lower() in _MODELS
    return None
