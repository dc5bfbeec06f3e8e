"""Answers of ``/v1/chat/completions``, streamed or whole (and of its batch form, which is only ever whole).

Within a message the order is reasoning, content, refusal, function call, tool calls, as vLLM streams them.
"""

from typing import Any, ClassVar

import msgspec

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import logprobs, sse
from guard.wire.answers.alike import Only
from guard.wire.answers.budget import Budget
from guard.wire.answers.choices import ChoiceStream, drop_unasked
from guard.wire.answers.facts import facts
from guard.wire.answers.hold import Lane
from guard.wire.answers.known import Shape, generated, shape, strings, strip
from guard.wire.dialect import Answered, AnswerStream, GarbledAnswer, OutputGate


class Function(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Name and arguments of a call, or a piece of them."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None


class Audio(msgspec.Struct, forbid_unknown_fields=True):
    """What of an audio answer a rule can read; the sound itself (``data``) does not pass."""

    id: str | None = None
    expires_at: int | float | None = None
    transcript: str | None = None


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """A message, or a delta of one."""

    role: str | None = None
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    function_call: Function | None = None
    tool_calls: list[ToolCall] | None = None
    audio: Audio | None = None
    annotations: list[Any] | None = None


class ChunkChoice(msgspec.Struct, forbid_unknown_fields=True):
    """A choice of an event."""

    delta: Message
    index: int
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    token_ids: list[int] | None = None


class Chunk(msgspec.Struct, forbid_unknown_fields=True):
    """An event."""

    choices: list[ChunkChoice]
    id: str | None = None
    object: str | None = None
    created: int | float | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    prompt_token_ids: list[int] | None = None
    prompt_text: str | None = None
    metrics: dict[str, Any] | None = None


class WholeChoice(msgspec.Struct, forbid_unknown_fields=True):
    """A choice of an answer that is not streamed."""

    message: Message
    index: int
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    token_ids: list[int] | None = None
    routed_experts: str | None = None


class Whole(msgspec.Struct):
    """An answer that is not streamed; its other keys are checked by their shape alone."""

    choices: list[WholeChoice]


_FUNCTION = shape("name arguments")
_MESSAGE = shape(
    "role content reasoning reasoning_content refusal annotations",
    function_call=_FUNCTION,
    tool_calls=shape("index id type", function=_FUNCTION),
    audio=shape("id expires_at transcript"),
)
_LOGPROBS = shape("content refusal")
_CHOICE = "index finish_reason stop_reason token_ids"
_ANSWER = "id object created model usage service_tier system_fingerprint prompt_token_ids prompt_text metrics"
CHUNK = shape(_ANSWER, choices=shape(_CHOICE, delta=_MESSAGE, logprobs=_LOGPROBS))
WHOLE = shape(
    f"{_ANSWER} prompt_logprobs kv_transfer_params ec_transfer_params",
    choices=shape(f"{_CHOICE} routed_experts", message=_MESSAGE, logprobs=_LOGPROBS),
)


def bring(lane: Lane, message: Message) -> None:
    """Tell ``lane`` the texts of ``message``, whole or a delta."""
    if message.reasoning:
        lane.say("reasoning", message.reasoning)
    if message.reasoning_content:
        if not message.reasoning:
            lane.say("reasoning", message.reasoning_content)
        elif message.reasoning_content != message.reasoning:
            lane.beside("reasoning_content", message.reasoning_content)
    if message.content:
        lane.say("content", message.content)
    if message.refusal:
        lane.say("refusal", message.refusal)
    if message.function_call is not None:
        _bring_function(lane, "tool.call", message.function_call)
    for position, call in enumerate(message.tool_calls or ()):
        name = f"tool.{position if call.index is None else call.index}"
        if call.id and not generated(call.id):
            lane.say(f"{name}.id", call.id)
        if call.function is not None:
            _bring_function(lane, name, call.function)
    if message.audio is not None and message.audio.transcript:
        lane.say("audio", message.audio.transcript)
    if message.annotations:
        lane.say("annotations", "\n".join(strings(message.annotations)))


_ONLY = (("content", "content"), ("reasoning", "reasoning"), ("reasoning_content", "reasoning"))


def only(message: Message) -> Only | None:
    """Return where the text of ``message`` is, if it brings one text and nothing else."""
    if message.refusal or message.function_call or message.tool_calls or message.audio or message.annotations:
        return None
    found = [(message, key, name) for key, name in _ONLY if getattr(message, key)]
    return found[0] if len(found) == 1 else None


def _bring_function(lane: Lane, name: str, function: Function) -> None:
    if function.name:
        lane.say(f"{name}.name", function.name)
    if function.arguments:
        lane.say(f"{name}.arguments", function.arguments)


def bring_rest(lane: Lane, choice: ChunkChoice | WholeChoice) -> bool:
    """Tell ``lane`` what stands beside the message; return whether the choice holds token ids.

    Token ids tell text that no rule reads, and run ahead of the text (half characters, stop strings, tool calls being
    parsed), so an event with ids waits until its choice is finished.
    """
    opaque = bool(choice.token_ids)
    if choice.logprobs is not None:
        for key in ("content", "refusal"):
            entries = choice.logprobs.get(key)
            if entries:
                tokens = logprobs.read(entries)
                opaque |= tokens.opaque
                logprobs.bring(lane, tokens)
    if isinstance(choice.stop_reason, str) and choice.stop_reason:
        lane.whole("stop_reason", choice.stop_reason)
    return opaque


def clean(document: dict[str, Any], known: Shape) -> bool:
    """Take out of ``document`` what no reader here understands; return whether any of it could carry text."""
    changed = strip(document, known)
    choices = document.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        found = choice.get("logprobs") if isinstance(choice, dict) else None
        if isinstance(found, dict):
            for entries in found.values():
                if entries:
                    changed |= logprobs.read(entries).changed
    return changed


def shorten(message: dict[str, Any], budget: Budget) -> dict[str, Any]:
    """Return what ``budget`` leaves of ``message``; texts of which nothing is left are not in it."""
    short: dict[str, Any] = {}
    if message.get("role"):
        short["role"] = message["role"]
    reasoning = message.get("reasoning")
    texts = {
        "reasoning" if reasoning else "reasoning_content": budget.take(
            "reasoning", reasoning or message.get("reasoning_content")
        ),
        "content": budget.take("content", message.get("content")),
        "refusal": budget.take("refusal", message.get("refusal")),
    }
    short.update({key: text for key, text in texts.items() if text})
    call = _shorten_function(message.get("function_call"), "tool.call", budget)
    if call:
        short["function_call"] = call
    calls = []
    for position, call in enumerate(message.get("tool_calls") or ()):
        index = call.get("index")
        name = f"tool.{position if index is None else index}"
        id_ = call.get("id")
        if id_ and not generated(id_) and budget.take(f"{name}.id", id_) != id_:
            break
        function = _shorten_function(call.get("function"), name, budget)
        if function:
            calls.append({**call, "function": function})
    if calls:
        short["tool_calls"] = calls
    return short


def mask(choice: dict[str, Any], message: dict[str, Any], budget: Budget) -> None:
    """Put into ``message`` of ``choice``, whole or a delta, what leaves of its texts; the tokens of the rest go."""
    same = message.get("reasoning") == message.get("reasoning_content")
    said = {key: message.get(key) for key in ("reasoning", "reasoning_content", "content", "refusal")}
    for key, text in said.items():
        if text and not (key == "reasoning_content" and said["reasoning"]):
            message[key] = budget.take(key.removesuffix("_content"), text)
    if said["reasoning"] and said["reasoning_content"]:
        message["reasoning_content"] = (
            message["reasoning"] if same else budget.take("reasoning_content", said["reasoning_content"])
        )
    _mask_function(message.get("function_call"), "tool.call", budget)
    for position, call in enumerate(message.get("tool_calls") or ()):
        index = call.get("index")
        name = f"tool.{position if index is None else index}"
        if call.get("id") and not generated(call["id"]):
            call["id"] = budget.take(f"{name}.id", call["id"])
        _mask_function(call.get("function"), name, budget)
    audio = message.get("audio")
    if audio and audio.get("transcript"):
        audio["transcript"] = budget.take("audio", audio["transcript"])
    if message.get("annotations"):
        told = "\n".join(strings(message["annotations"]))
        if budget.take("annotations", told) != told:
            message["annotations"] = []
    mask_rest(choice, budget)


def _mask_function(function: Any, name: str, budget: Budget) -> None:
    for key in ("name", "arguments"):
        if function and function.get(key):
            function[key] = budget.take(f"{name}.{key}", function[key])


def mask_rest(choice: dict[str, Any], budget: Budget) -> None:
    """Take out of ``choice`` the logprobs of masked tokens and all token ids."""
    if choice.get("token_ids"):
        choice["token_ids"] = None
    if choice.get("logprobs"):
        for key in ("content", "refusal"):
            if choice["logprobs"].get(key):
                choice["logprobs"][key] = logprobs.mask(choice["logprobs"][key], budget)
    if isinstance(choice.get("stop_reason"), str) and choice["stop_reason"]:
        choice["stop_reason"] = budget.take_whole("stop_reason", choice["stop_reason"])


def _shorten_function(function: Any, name: str, budget: Budget) -> dict[str, Any] | None:
    if not function:
        return None
    short = {
        "name": budget.take(f"{name}.name", function.get("name")),
        "arguments": budget.take(f"{name}.arguments", function.get("arguments")),
    }
    return {key: text for key, text in short.items() if text}


class ChatStream(ChoiceStream):
    """A streamed chat completion."""

    chunk: ClassVar[Any] = Chunk
    decoder: ClassVar[Any] = msgspec.json.Decoder(Chunk)
    known: ClassVar[Shape] = CHUNK
    blank: ClassVar[dict[str, Any]] = {"delta": {}}

    def bring(self, lane: Lane, choice: Any) -> bool:
        """Tell ``lane`` the texts of ``choice``."""
        bring(lane, choice.delta)
        return bring_rest(lane, choice)

    def only(self, choice: Any) -> Only | None:
        """Return where the text of ``choice`` is, if that is all there is to do with it."""
        beside = choice.logprobs is not None or choice.stop_reason or choice.token_ids
        return None if beside or choice.finish_reason is not None else only(choice.delta)

    def mask(self, choice: dict[str, Any], budget: Budget) -> None:
        """Put into ``choice`` what leaves of its delta."""
        mask(choice, choice["delta"], budget)

    def clean(self, document: dict[str, Any]) -> bool:
        """Take out of a chunk what no reader here understands."""
        return clean(document, CHUNK)

    def shorten(self, choice: dict[str, Any], budget: Budget) -> bool:
        """Leave in ``choice`` the beginning of its delta, without logprobs and token ids."""
        delta = shorten(choice["delta"], budget)
        index = choice["index"]
        choice.clear()
        choice.update(index=index, delta=delta, finish_reason=None)
        return bool(delta)


def open_stream(inquiry: Inquiry, gate: OutputGate, max_event: int = sse.MAX_EVENT) -> AnswerStream:
    """Return the state machine for a streamed answer; no event may be larger than ``max_event`` bytes."""
    return ChatStream(inquiry, gate, max_event)


def screen_answer(inquiry: Inquiry, answer: dict[str, Any], gate: OutputGate) -> dict[str, Any]:
    """Screen every choice; a blocked one keeps what a stream of it would have released and ends with content_filter.

    Raises GarbledAnswer if ``answer`` is no chat completion.
    """
    clean(answer, WHOLE)
    try:
        typed = msgspec.convert({"choices": answer.get("choices")}, Whole)
    except msgspec.ValidationError as error:
        raise GarbledAnswer(f"an answer of another shape: {error}") from error
    drop_unasked(inquiry, answer)
    for position, (choice, document) in enumerate(zip(typed.choices, answer["choices"], strict=True)):
        lane = Lane(position, gate, [])
        bring(lane, choice.message)
        bring_rest(lane, choice)
        lane.finish()
        refusal, marks = gate.blocked(position), lane.marks()
        if refusal is None:
            if lane.masked(marks):
                mask(document, document["message"], lane.edit(marks))
            document.update(facts(gate, choice.index))
            continue
        budget, _ = lane.settle(marks)
        message = {"content": None, **shorten(document["message"], budget)}
        document.clear()
        document.update(
            index=choice.index,
            message=message,
            logprobs=None,
            finish_reason="content_filter",
            **facts(gate, choice.index, refusal),
        )
    return answer


def answered(answer: dict[str, Any]) -> list[Answered]:
    """Return what an answer that came out of ``screen_answer`` holds, one entry per choice."""
    usage = answer.get("usage") or {}
    choices = answer["choices"]
    completion = usage.get("completion_tokens") if len(choices) == 1 else None
    return [
        Answered(
            choice["index"],
            tuple(_texts(choice["message"])),
            choice.get("finish_reason"),
            usage.get("prompt_tokens"),
            completion,
        )
        for choice in choices
    ]


def _texts(message: dict[str, Any]) -> list[str]:
    texts = [message.get("reasoning") or message.get("reasoning_content")]
    texts += [message.get("content"), message.get("refusal")]
    calls = [call.get("function") for call in message.get("tool_calls") or ()]
    for function in [message.get("function_call"), *calls]:
        texts += [function.get("name"), function.get("arguments")] if function else []
    return [text for text in texts if text]
