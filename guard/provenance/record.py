"""One record of a data set, as the gate looks at it: every text in it, whether it answers, and what the record claims.

Plain (``text``), prompt and completion, instruction and output, chat (``messages``), ShareGPT (``conversations``) and
preference (``chosen``, ``rejected``, ``responses``) records are told apart by the names of their fields, at any depth.
Prompts and texts under names that are not known are looked at as well: renaming a column hides nothing. So are names
that are texts themselves, the texts within a text that is JSON, and the short texts of a list as the one they make up.
"""

import re
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from guard.provenance.fingerprint import RUN
from guard.provenance.words import read

DEEPEST = 100
"""Levels of lists and objects a record may have."""
MOST_CHOICES = 16_384
"""Choices one header may name (``r-x-0..7``): as many as a request may ask of vLLM."""
MOST_RECEIPTS = 65_536
"""Receipts one record may name."""


class Unseen:
    """What stands where a record has bytes that are no text: they cannot be looked at."""


UNSEEN: Final = Unseen()


class TooDeepError(ValueError):
    """A record of too many levels."""

    def __init__(self) -> None:
        super().__init__(f"a record is nested too deeply; allowed: {DEEPEST} levels")


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
    unseen: int = 0
    """Values that cannot be looked at."""


_ANSWERS, _SPOKEN, _RECEIPT, _MODEL, _OTHER, _TEXT = 1, 2, 4, 8, 16, 32
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
_SHOWN = 24
"""Characters that paths show of a name that is a text."""
_kinds: dict[str, int] = {}
"""What the names met so far mean: most records of a data set have the same few names."""

_SPEAKERS = ("role", "from", "speaker")
_MODELS = frozenset({"assistant", "gpt", "model", "bot", "chatgpt", "ai", "chatbot", "llm"})
_ID = re.compile(r"(r-[\x21-\x7e]{1,200}-)([0-9]{1,6})(?:\.\.([0-9]{1,6}))?")
_JSON = re.compile(r'\s*[\[{"]')
_DEEPEST_TEXT = 8
"""Levels of texts of JSON in texts of JSON that are looked into."""
_BEGINNINGS = frozenset('[{"r \t\r\n')
"""How a text begins that may be JSON or a receipt."""
_SHORT = 400
"""Characters below which a text of a list may be a piece of a longer one: a line, a token."""
_TOKEN = re.compile(r"[\s\u2581\u0120\u010a]*\S*\s*")
_SPACES = str.maketrans({"\u2581": " ", "\u0120": " ", "\u010a": "\n"})  # what tokenizers write for white space
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
    return Record(number, line, tuple(walk.spans), tuple(walk.receipts), file, model, walk.unseen)


def is_text(name: str) -> bool:
    """Return whether a name has 13 words or more, so that it could be an output."""
    return (len(name) >= 2 * RUN - 1 or not name.isascii()) and read(name).count >= RUN


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

    __slots__ = ("inside", "receipts", "spans", "unseen")

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.receipts: list[str] = []
        self.unseen = 0
        self.inside = 0
        """How many texts of JSON stand around what is being looked at."""

    def object(self, value: dict[str, Any], prefix: str, *, answers: bool | None, depth: int) -> None:
        turn = speaks(value)
        spans = self.spans
        for name, item in value.items():
            type_ = type(item)
            kind = _kinds.get(name) or _kind(name)
            if kind & _TEXT:
                spans.append(_span(Span, (f"{prefix}{name[:_SHOWN]}... (name)", name, False)))
                name = f"{name[:_SHOWN]}..."  # noqa: PLW2901 - what paths show
            if type_ is not str and type_ is not list and type_ is not dict:
                self.unseen += item is UNSEEN
                continue
            if turn is None:
                says = kind & _ANSWERS != 0 or (answers and kind & _SPOKEN != 0) if answers is not None else None
            else:
                says = kind & _SPOKEN != 0 if turn else None
            if type_ is str:
                # Receipts and turns written as text are told by how a text begins: the rest needs no call.
                if item[:1] in _BEGINNINGS or kind & _RECEIPT:
                    self.text(item, prefix + name, kind, answers=says, depth=depth)
                else:
                    spans.append(_span(Span, (prefix + name, item, says is True)))
            elif depth >= DEEPEST:
                raise TooDeepError
            elif type_ is dict:
                self.object(item, f"{prefix}{name}.", answers=says, depth=depth + 1)
            else:
                self.list(item, prefix + name, kind, answers=says, depth=depth + 1)

    def list(self, value: list[Any], path: str, kind: int, *, answers: bool | None, depth: int) -> None:
        short = 0
        for index, item in enumerate(value):
            type_ = type(item)
            if type_ is str:
                short += len(item) < _SHORT
                self.text(item, f"{path}[{index}]", kind, answers=answers, depth=depth)
            elif type_ is not list and type_ is not dict:
                self.unseen += item is UNSEEN
            elif depth >= DEEPEST:
                raise TooDeepError
            elif type_ is dict:
                self.object(item, f"{path}[{index}].", answers=answers, depth=depth + 1)
            else:
                self.list(item, f"{path}[{index}]", kind, answers=answers, depth=depth + 1)
        if short > 1:
            joined = _joined([item for item in value if type(item) is str and len(item) < _SHORT])
            if len(joined) >= (2 * RUN - 1 if joined.isascii() else RUN):
                self.spans.append(_span(Span, (f"{path}[]", joined, answers is True)))

    def text(self, text: str, path: str, kind: int, *, answers: bool | None, depth: int = 0) -> None:
        if len(text) >= RUN and self.inside < _DEEPEST_TEXT and _JSON.match(text):
            conversation = self.json(text, path, kind, answers=answers, depth=depth)
            if conversation:
                return
        if text[:2] == "r-" or (kind & _RECEIPT and "r-" in text):
            words = re.split(r"[\s,;]+", text) if kind & _RECEIPT else [text]
            for word in words:
                self.receipts += _ids(word, MOST_RECEIPTS - len(self.receipts))
        self.spans.append(_span(Span, (path, text, answers is True)))

    def json(self, text: str, path: str, kind: int, *, answers: bool | None, depth: int) -> bool:
        """Look at the texts within a text that is JSON; return True if that is a conversation, and so all there is."""
        try:
            value: Any = _decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return False
        if type(value) is list and value and all(type(turn) is dict and speaks(turn) is not None for turn in value):
            self.list(value, path, _OTHER, answers=answers, depth=depth + 1)
            return True
        self.inside += 1
        if type(value) is str:
            self.text(value, path, kind, answers=answers, depth=depth)
        elif type(value) is list or type(value) is dict:
            # In an answer that is JSON only what the names there call one is a whole answer.
            said = None if answers is None else False
            # So deep within a text, the text as it stands has to do.
            with suppress(TooDeepError):
                if isinstance(value, list):
                    self.list(value, path, _OTHER, answers=said, depth=depth + 1)
                else:
                    self.object(value, f"{path}.", answers=said, depth=depth + 1)
        self.inside -= 1
        return False


def _kind(name: str) -> int:
    """Return what a name of a field means, as a set of bits that is never empty."""
    plain = name.strip().lower().replace("-", "_")
    ways = {plain, _NUMBERED.sub("", plain)}
    kind = sum(bit for bit, names in _NAMES.items() if not ways.isdisjoint(names)) or _OTHER
    kind |= _TEXT * is_text(name)
    if len(name) <= _LONGEST_NAME and len(_kinds) < _MOST_NAMES:
        _kinds[name] = kind
    return kind


def _joined(pieces: list[str]) -> str:
    """Return the text that lines, or the tokens of a text, make up."""
    spaced = sum(piece[:1] in {" ", "\u2581", "\u0120"} for piece in pieces)
    if 4 * spaced >= len(pieces) and all(_TOKEN.fullmatch(piece) for piece in pieces):
        return "".join(pieces).translate(_SPACES)
    return "\n".join(pieces)


def _ids(word: str, most: int) -> list[str]:
    """Return the ids that ``r-x-0`` or ``r-x-0..7`` names; none for any other word. Raises ValueError over ``most``."""
    found = _ID.fullmatch(word)
    if found is None:
        return []
    first, last = int(found[2]), int(found[3] or found[2])
    choices = range(first, min(last, first + MOST_CHOICES - 1) + 1)
    if len(choices) > most:
        raise ValueError(f"a record names more than {MOST_RECEIPTS:,} receipts; allowed: as many or fewer")
    return [word] if found[3] is None else [f"{found[1]}{choice}" for choice in choices]


def _model(document: dict[str, Any]) -> str | None:
    """Return the model a record names, at its top or in its metadata."""
    for where in (document, document.get("metadata")):
        if isinstance(where, dict):
            for name, value in where.items():
                if type(value) is str and value and (_kinds.get(name) or _kind(name)) & _MODEL:
                    return value
    return None
