"""Answers of ``/v1/completions``, streamed or whole."""

from typing import Any, ClassVar

import msgspec

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import logprobs, sse
from guard.wire.answers.alike import Only
from guard.wire.answers.budget import Budget
from guard.wire.answers.choices import ChoiceStream, drop_unasked
from guard.wire.answers.facts import facts
from guard.wire.answers.hold import Lane
from guard.wire.answers.known import Shape, shape, strip
from guard.wire.dialect import Answered, AnswerStream, GarbledAnswer, OutputGate


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """A choice, or a piece of one. Where the prompt is echoed, ``text`` and ``logprobs`` begin with it."""

    text: str
    index: int
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    prompt_logprobs: list[Any] | None = None
    routed_experts: str | None = None


class Chunk(msgspec.Struct, forbid_unknown_fields=True):
    """An event, or the part that matters of an answer that is not streamed."""

    choices: list[Choice]
    id: str | None = None
    object: str | None = None
    created: int | float | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    metrics: dict[str, Any] | None = None


_LOGPROBS = shape("tokens token_logprobs top_logprobs text_offset")
_CHOICE = shape(
    "text index finish_reason stop_reason token_ids prompt_token_ids prompt_logprobs routed_experts", logprobs=_LOGPROBS
)
_ANSWER = "id object created model usage service_tier system_fingerprint metrics"
CHUNK = shape(_ANSWER, choices=_CHOICE)
WHOLE = shape(f"{_ANSWER} kv_transfer_params ec_transfer_params", choices=_CHOICE)


def bring(lane: Lane, choice: Choice) -> bool:
    """Tell ``lane`` the texts of ``choice``; return whether it holds token ids (see ``chat.bring_rest``)."""
    if choice.text:
        lane.say("text", choice.text)
    opaque = bool(choice.token_ids)
    if choice.logprobs is not None:
        tokens = logprobs.read_columns(choice.logprobs)
        opaque |= tokens.opaque
        logprobs.bring(lane, tokens)
    if isinstance(choice.stop_reason, str) and choice.stop_reason:
        lane.whole("stop_reason", choice.stop_reason)
    return opaque


def mask(choice: dict[str, Any], budget: Budget) -> None:
    """Put into ``choice`` what leaves of its text, and drop the tokens of the rest and all token ids."""
    choice["text"] = budget.take("text", choice["text"])
    if choice.get("token_ids"):
        choice["token_ids"] = None
    if choice.get("logprobs") and not logprobs.mask_columns(choice["logprobs"], budget):
        choice["logprobs"] = None
    if isinstance(choice.get("stop_reason"), str) and choice["stop_reason"]:
        choice["stop_reason"] = budget.take_whole("stop_reason", choice["stop_reason"])


class CompletionStream(ChoiceStream):
    """A streamed completion."""

    chunk: ClassVar[Any] = Chunk
    decoder: ClassVar[Any] = msgspec.json.Decoder(Chunk)
    known: ClassVar[Shape] = CHUNK
    blank: ClassVar[dict[str, Any]] = {"text": "", "logprobs": None}

    def bring(self, lane: Lane, choice: Any) -> bool:
        """Tell ``lane`` the texts of ``choice``."""
        return bring(lane, choice)

    def only(self, choice: Any) -> Only | None:
        """Return where the text of ``choice`` is, if that is all there is to do with it."""
        beside = choice.logprobs is not None or choice.stop_reason or choice.token_ids
        return None if beside or choice.finish_reason is not None or not choice.text else (choice, "text", "text")

    def mask(self, choice: dict[str, Any], budget: Budget) -> None:
        """Put into ``choice`` what leaves of it."""
        mask(choice, budget)

    def shorten(self, choice: dict[str, Any], budget: Budget) -> bool:
        """Leave in ``choice`` the beginning of its text, without logprobs and token ids."""
        index, text = choice["index"], budget.take("text", choice["text"])
        choice.clear()
        choice.update(index=index, text=text, logprobs=None, finish_reason=None)
        return bool(text)


def open_stream(inquiry: Inquiry, gate: OutputGate, max_event: int = sse.MAX_EVENT) -> AnswerStream:
    """Return the state machine for a streamed answer; no event may be larger than ``max_event`` bytes."""
    return CompletionStream(inquiry, gate, max_event)


def screen_answer(inquiry: Inquiry, answer: dict[str, Any], gate: OutputGate) -> dict[str, Any]:
    """Screen every choice; a blocked one keeps what a stream of it would have released and ends with content_filter.

    Raises GarbledAnswer if ``answer`` is no completion.
    """
    strip(answer, WHOLE)
    try:
        typed = msgspec.convert({"choices": answer.get("choices")}, Chunk)
    except msgspec.ValidationError as error:
        raise GarbledAnswer(f"an answer of another shape: {error}") from error
    drop_unasked(inquiry, answer)
    for position, (choice, document) in enumerate(zip(typed.choices, answer["choices"], strict=True)):
        lane = Lane(position, gate, [])
        bring(lane, choice)
        lane.finish()
        refusal, marks = gate.blocked(position), lane.marks()
        if refusal is None:
            if lane.masked(marks):
                mask(document, lane.edit(marks))
            document.update(facts(gate, choice.index))
            continue
        budget, _ = lane.settle(marks)
        document.clear()
        document.update(
            index=choice.index,
            text=budget.take("text", choice.text),
            logprobs=None,
            finish_reason="content_filter",
            **facts(gate, choice.index, refusal),
        )
    return answer


def answered(answer: dict[str, Any]) -> list[Answered]:
    """Return what an answer that came out of ``screen_answer`` holds, one entry per choice."""
    usage = answer.get("usage") or {}
    choices = answer["choices"]
    prompt = usage.get("prompt_tokens")
    completion = usage.get("completion_tokens") if len(choices) == 1 else None
    return [
        Answered(choice["index"], (choice["text"],), choice.get("finish_reason"), prompt, completion)
        for choice in choices
    ]
