"""Answers that are not streamed: bytes in, bytes that may leave out.

Most of them hold plain text and nothing else, of which nothing is blocked or masked. Such an answer is decoded into
structs that know every key that may be there, each of its texts is screened in one go, and it leaves as it came, as
events of a stream do. Any other is read as a document, by the dialect's ``screen_answer``, and written anew.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from guard.exchange.inquiry import Inquiry
from guard.wire.body import complete
from guard.wire.dialect import Answered, Channel, GarbledAnswer, OutputGate, Screened


class Said(NamedTuple):
    """The texts of a choice, in the order in which ``screen_answer`` brings them."""

    names: tuple[str, ...]
    texts: tuple[str, ...]


_encode = msgspec.json.Encoder().encode


class Plain(NamedTuple):
    """The plain answers of a dialect."""

    decoder: Any
    """Decodes them and refuses most others. What it returns has ``choices`` and ``usage``; a choice has ``index``,
    ``finish_reason`` and ``guard``."""
    said: Callable[[Any], Said | None]
    """Returns the texts of a choice that was decoded; None if it is not plain all the same."""

    def read(self, raw: bytes) -> tuple[Any, list[Said]] | None:
        """Return the answer ``raw`` and what each of its choices says; None if it is not plain."""
        try:
            answer = self.decoder.decode(raw)
        except (ValueError, RecursionError):
            return None
        choices = []
        for choice in answer.choices:
            said = self.said(choice)
            if said is None:
                return None
            choices.append(said)
        return answer, choices


class Codec(NamedTuple):
    """How a dialect reads an answer that is not streamed."""

    screen_answer: Callable[[Inquiry, dict[str, Any], OutputGate], dict[str, Any]]
    answered: Callable[[dict[str, Any]], list[Answered]]
    plain: Plain | None = None

    def screen(self, inquiry: Inquiry, raw: bytes, gate: OutputGate) -> Screened:
        """Return what leaves of the answer ``raw``, and what it holds. Raises GarbledAnswer for what is no answer."""
        found = None if self.plain is None else self.plain.read(raw)
        if found is not None:
            answer, choices = found
            if _hear(gate, choices):
                return _as_it_came(answer, choices, raw, gate)
            gate = Heard(gate)
        return self._document(inquiry, raw, gate)

    def _document(self, inquiry: Inquiry, raw: bytes, gate: OutputGate) -> Screened:
        try:
            answer = msgspec.json.decode(raw)
            if not isinstance(answer, dict):
                raise GarbledAnswer("an answer that is not a JSON object")
            answer = self.screen_answer(inquiry, answer, gate)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise GarbledAnswer(f"an answer that is not JSON: {type(error).__name__}") from error
        return Screened(_encode(answer), self.answered(answer))


def _hear(gate: OutputGate, choices: list[Said]) -> bool:
    """Screen the texts of all choices; return whether all of them may leave as they are."""
    clear = True
    for position, (names, texts) in enumerate(choices):
        for name, text in zip(names, texts, strict=True):
            if text:
                gate.whole(Channel(position, name), text)
                if gate.blocked(position) is not None:
                    clear = False
                    break
    return clear and not gate.masked


def _as_it_came(answer: Any, choices: list[Said], raw: bytes, gate: OutputGate) -> Screened:
    """Return a plain answer as it leaves: what came, and in it the ids of the receipts if it gets any."""
    prompt, completion = None, None
    if answer.usage:
        prompt = answer.usage.get("prompt_tokens")
        completion = answer.usage.get("completion_tokens") if len(choices) == 1 else None
    answered, receipted = [], False
    for position, choice in enumerate(answer.choices):
        index, reason = choice.index, choice.finish_reason
        texts = choices[position].texts
        answered.append(Answered(index, texts, None if reason is UNSET else reason, prompt, completion))
        receipt = gate.receipt(index)
        if receipt is not None:
            choice.guard = {"receipt": receipt}
            receipted = True
    written = _encode(answer)
    # A key that is there twice was read once, and some reader would take the other one.
    as_it_came = not receipted and raw.startswith(b"{") and complete(raw, written)
    return Screened(raw if as_it_came else written, answered)


class Heard:
    """A gate that has heard the texts of an answer: it is asked about them, and not fed again."""

    def __init__(self, gate: OutputGate) -> None:
        self._gate = gate
        self.reference = gate.reference
        self.cleared, self.touched, self.released = gate.cleared, gate.touched, gate.released
        self.blocked, self.receipt = gate.blocked, gate.receipt

    @property
    def masked(self) -> AbstractSet[int]:
        """As the gate's."""
        return self._gate.masked

    def feed(self, channel: Channel, text: str) -> None:
        """The gate has heard it."""

    def finish(self, channel: Channel) -> None:
        """The gate knows."""

    def whole(self, channel: Channel, text: str) -> None:
        """The gate has heard it."""
