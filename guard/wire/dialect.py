"""What every API dialect offers: a request half (``wire.requests``) and an answer half (``wire.answers``).

The request half turns a typed body into an Inquiry. The answer half turns upstream JSON or SSE events into pieces of
text per channel, and knows how that dialect ends an answer early.
"""

from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, Protocol

from guard.exchange.inquiry import Inquiry
from guard.exchange.refusal import Refusal
from guard.wire.answers.failure import MESSAGE


class Malformed(Exception):
    """A body that is not what the surface takes: ``path`` of the value, what was found, what is allowed."""

    def __init__(self, path: str, found: str, allowed: str, status: int = 400) -> None:
        super().__init__(f"{path}: {found}; allowed: {allowed}")
        self.path, self.found, self.allowed, self.status = path, found, allowed, status


class Channel(NamedTuple):
    """One growing text of an answer: ``content``, ``reasoning``, ``refusal``, ``tool.0.name``, ``tool.0.arguments``,
    ``logprobs``, ``text`` ... of one choice.
    """

    choice: int
    name: str


class OutputGate(Protocol):
    """What the wire needs of the exchange's output screening (guard.exchange.screen_output.OutputScreen)."""

    reference: str
    """The id of the request, which errors inside a stream carry too."""

    @property
    def masked(self) -> AbstractSet[int]:
        """Choices of which something leaves as something else."""

    def feed(self, channel: Channel, text: str) -> None:
        """Screen ``text`` as the continuation of ``channel``."""

    def finish(self, channel: Channel) -> None:
        """``channel`` gets no more text: a text that resumes does so in a channel of another name."""

    def whole(self, channel: Channel, text: str) -> None:
        """Screen ``text``, which is all of ``channel``: what ``feed`` and ``finish`` do, in one go."""

    def cleared(self, channel: Channel) -> int:
        """Characters of ``channel`` that may be released."""

    def touched(self, channel: Channel, start: int, end: int) -> bool:
        """Whether anything of the cleared characters ``start`` to ``end`` of ``channel`` is masked."""

    def released(self, channel: Channel, text: str, start: int) -> str:
        """What leaves of ``text``, a cleared piece of ``channel`` that begins at ``start``."""

    def blocked(self, choice: int) -> Refusal | None:
        """The refusal that ended ``choice``, if a blocking rule hit any of its channels."""

    def receipt(self, choice: int) -> str | None:
        """The id of the receipt that the choice will have, by its index in the answer; None if it gets none."""


class AnswerStream(Protocol):
    """Bytes of a streamed answer in, bytes that may leave out. One per response; sans-I/O."""

    closed: bool
    """True once the answer has been ended early: the upstream is to be cancelled."""

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes (split anywhere) and return what may be released now.

        Raises GarbledAnswer if the upstream does not speak the dialect.
        """

    def finish(self) -> bytes:
        """The upstream's body ended: return what is left, with a correct ending if the upstream's was cut off."""

    def abort(self, message: str = MESSAGE) -> bytes:
        """The upstream cannot be read any further (``feed`` raised GarbledAnswer, or the connection broke): return what
        is cleared and has not been returned yet, and the dialect's ending for a failed answer, which says ``message``.
        """

    def answered(self) -> list["Answered"]:
        """Return what left so far, one entry per choice."""


class GarbledAnswer(Exception):
    """The upstream sent something its dialect has no place for; the text says what, for the log, not for the client."""


class Dialect(Protocol):
    """One API dialect."""

    @property
    def receipts(self) -> bool:
        """Whether its answers hold choices, of which ``screen`` and a stream's ``answered`` tell."""

    def parse(self, document: dict[str, Any]) -> Inquiry:
        """Type the body's fields in place and return the inquiry. Raises Malformed."""

    def screen(self, inquiry: Inquiry, raw: bytes, gate: OutputGate) -> "Screened":
        """Feed every text of the unstreamed answer ``raw`` to ``gate``; return what leaves of it, and what that holds.

        Raises GarbledAnswer for bytes that are no answer of this dialect.
        """

    def open_stream(self, inquiry: Inquiry, gate: OutputGate) -> AnswerStream:
        """Return the state machine for a streamed answer to ``inquiry``."""

    def refusal(self, refusal: Refusal) -> dict[str, Any]:
        """Return the body of an error response in this dialect's shape."""


class Answered(NamedTuple):
    """Facts of a choice for its receipt."""

    choice: int
    texts: tuple[str, ...]
    """What was released: reasoning, content, refusal, tool names and arguments, in order, one text each."""
    finish_reason: str | None
    prompt_tokens: int | None
    """As the upstream told; None if it did not."""
    completion_tokens: int | None
    """None also if several choices share one count."""


class Screened(NamedTuple):
    """An answer that is not streamed, as it leaves."""

    body: bytes
    """A JSON object; it begins with its brace."""
    answered: list[Answered]
    """What it holds, one entry per choice."""
