"""One record of a data set, as the gate looks at it: every text in it, whether it answers, and what the record claims.

Plain (``text``), prompt and completion, instruction and output, chat (``messages``), ShareGPT (``conversations``) and
preference (``chosen``, ``rejected``, ``responses``) records are told apart by the names of their fields, at any depth.
Prompts and texts under names that are not known are looked at as well: renaming a column hides nothing.
"""

import re
from typing import Any, NamedTuple

import msgspec

DEEPEST = 100
"""Levels of lists and objects a record may have."""
MOST_CHOICES = 16_384
"""Choices one header may name (``r-x-0..7``): as many as a request may ask of vLLM."""


class Span(NamedTuple):
    """One text of a record and where it stands (``messages[1].content``)."""

    path: str
    text: str
    answers: bool
    """True where the field is known to hold what a model says."""


class Record(NamedTuple):
    """One record; ``number`` counts from 0 over the whole data set, ``line`` from 1 in its file.

    ``line`` is the line the record begins in; the row, for a Parquet file.
    """

    number: int
    line: int
    spans: tuple[Span, ...]
    receipts: tuple[str, ...]
    """Ids of receipts that the record names."""
    file: str = ""
    """The file, as it was given or below the folder that was given."""
    model: str | None = None
    """The model that the record itself names as its author."""


_ANSWERS, _SPOKEN, _RECEIPT, _MODEL, _OTHER = 1, 2, 4, 8, 16
_NAMES = {
    _ANSWERS: {
        "text", "completion", "output", "response", "answer", "chosen", "rejected", "generation", "generated",
        "generated_text", "prediction", "candidate", "reasoning", "reasoning_content", "thinking", "target",
        "assistant", "chosen_response", "rejected_response", "model_output", "model_response", "model_answer",
    },
    _SPOKEN: {
        "content", "value", "text", "reasoning", "reasoning_content", "thinking", "refusal", "tool_calls", "function",
        "arguments", "message", "parts",
    },
    _RECEIPT: {"receipt", "guard_receipt", "x_guard_receipt"},
    _MODEL: {"model", "generator", "model_name", "source_model", "teacher"},
}  # fmt: skip
_NUMBERED = re.compile(r"(?:s|_?[0-9]{1,4}|_[a-z])$")  # responses, output_2, answer_b
_LONGEST_NAME, _MOST_NAMES = 64, 4096
_kinds: dict[str, int] = {}
"""What the names met so far mean: most records of a data set have the same few names."""

_SPEAKERS = ("role", "from", "speaker")
_MODELS = frozenset({"assistant", "gpt", "model", "bot", "chatgpt", "ai", "chatbot", "llm"})
_ID = re.compile(r"(r-[\x21-\x7e]{1,200}-)([0-9]{1,6})(?:\.\.([0-9]{1,6}))?")
_TURNS = re.compile(r'\[\s*\{\s*"')
_decode = msgspec.json.Decoder().decode
_span = tuple.__new__  # a third of what Span(...) costs


def record_of(document: Any, number: int, line: int, file: str = "") -> Record:
    """Return ``document`` (an object, or a text by itself) as a record.

    Raises ValueError for anything else, and for one that is nested more than ``DEEPEST`` levels deep.
    """
    walk = _Walk()
    model = None
    if isinstance(document, str):
        walk.text(document, "", _ANSWERS, answers=True)
    elif isinstance(document, dict):
        walk.object(document, "", answers=False, depth=1)
        model = _model(document)
    else:
        kind = {list: "a list", bool: "true or false", type(None): "null"}.get(type(document), "a number")
        raise ValueError(f"a record is {kind}; allowed: an object or a text")  # noqa: TRY004 - data, not a caller's type
    return Record(number, line, tuple(walk.spans), tuple(walk.receipts), file, model)


def speaks(value: dict[str, Any]) -> bool | None:
    """Return whether a turn of a conversation is the model's; None for an object that is no turn."""
    for name in _SPEAKERS:
        speaker = value.get(name)
        if type(speaker) is str:
            return speaker.lower() in _MODELS
    return None


class _Walk:
    """Collects the texts of one record in one pass.

    ``answers`` is whether the value stands where the model speaks; None within somebody else's turn, where it does not,
    whatever the names there are.
    """

    __slots__ = ("receipts", "spans")

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.receipts: list[str] = []

    def object(self, value: dict[str, Any], prefix: str, *, answers: bool | None, depth: int) -> None:
        turn = speaks(value)
        spans = self.spans
        for name, item in value.items():
            type_ = type(item)
            if type_ is not str and type_ is not list and type_ is not dict:
                continue
            kind = _kinds.get(name) or _kind(name)
            if turn is None:
                says = kind & _ANSWERS != 0 or (answers and kind & _SPOKEN != 0) if answers is not None else None
            else:
                says = kind & _SPOKEN != 0 if turn else None
            if type_ is str:
                # Receipts and turns written as text are told by how a text begins: the rest needs no call.
                if item[:1] in {"[", "r"} or kind & _RECEIPT:
                    self.text(item, prefix + name, kind, answers=says, depth=depth)
                else:
                    spans.append(_span(Span, (prefix + name, item, says is True)))
            elif depth >= DEEPEST:
                raise ValueError(f"a record is nested too deeply; allowed: {DEEPEST} levels")
            elif type_ is dict:
                self.object(item, f"{prefix}{name}.", answers=says, depth=depth + 1)
            else:
                self.list(item, prefix + name, kind, answers=says, depth=depth + 1)

    def list(self, value: list[Any], path: str, kind: int, *, answers: bool | None, depth: int) -> None:
        for index, item in enumerate(value):
            type_ = type(item)
            if type_ is str:
                self.text(item, f"{path}[{index}]", kind, answers=answers, depth=depth)
            elif type_ is not list and type_ is not dict:
                continue
            elif depth >= DEEPEST:
                raise ValueError(f"a record is nested too deeply; allowed: {DEEPEST} levels")
            elif type_ is dict:
                self.object(item, f"{path}[{index}].", answers=answers, depth=depth + 1)
            else:
                self.list(item, f"{path}[{index}]", kind, answers=answers, depth=depth + 1)

    def text(self, text: str, path: str, kind: int, *, answers: bool | None, depth: int = 0) -> None:
        if (turns := _turns(text)) is not None:
            self.list(turns, path, _OTHER, answers=answers, depth=depth + 1)
            return
        if text[:2] == "r-" or (kind & _RECEIPT and "r-" in text):
            words = re.split(r"[\s,;]+", text) if kind & _RECEIPT else [text]
            for word in words:
                self.receipts += _ids(word)
        self.spans.append(_span(Span, (path, text, answers is True)))


def _kind(name: str) -> int:
    """Return what a name of a field means, as a set of bits that is never empty."""
    plain = name.strip().lower().replace("-", "_")
    ways = {plain, _NUMBERED.sub("", plain)}
    kind = sum(bit for bit, names in _NAMES.items() if not ways.isdisjoint(names)) or _OTHER
    if len(name) <= _LONGEST_NAME and len(_kinds) < _MOST_NAMES:
        _kinds[name] = kind
    return kind


def _turns(text: str) -> list[Any] | None:
    """Return the turns of a conversation that a text holds as JSON, as tables write them; None for any other text."""
    if text[:1] != "[" or not _TURNS.match(text):
        return None
    try:
        turns = _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    if all(isinstance(turn, dict) and speaks(turn) is not None for turn in turns):
        return list(turns)
    return None


def _ids(word: str) -> list[str]:
    """Return the ids that ``r-x-0`` or ``r-x-0..7`` names; none for any other word."""
    found = _ID.fullmatch(word)
    if found is None:
        return []
    first, last = int(found[2]), int(found[3] or found[2])
    if found[3] is None:
        return [word]
    return [f"{found[1]}{choice}" for choice in range(first, min(last, first + MOST_CHOICES - 1) + 1)]


def _model(document: dict[str, Any]) -> str | None:
    """Return the model a record names, at its top or in its metadata."""
    for where in (document, document.get("metadata")):
        if isinstance(where, dict):
            for name, value in where.items():
                if type(value) is str and value and (_kinds.get(name) or _kind(name)) & _MODEL:
                    return value
    return None
