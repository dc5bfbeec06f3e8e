"""Plain answers of chat and completions: nothing but text in every choice, and no key that is not known.

The structs keep apart what is null and what is not there, so that an answer can be written as it was.
"""

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from guard.wire.answers.whole import Plain, Said

_Text = str | None | UnsetType
_Nothing = None | UnsetType


class Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message that is only said: nothing is called, heard or refused in it."""

    role: _Text = UNSET
    content: _Text = UNSET
    refusal: _Nothing = UNSET
    annotations: _Nothing = UNSET
    audio: _Nothing = UNSET
    function_call: _Nothing = UNSET
    tool_calls: list[Any] | _Nothing = UNSET
    reasoning: _Text = UNSET
    reasoning_content: _Text = UNSET


class _Ended(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """What every choice has: how it ended, and nothing that tells its tokens."""

    index: int
    logprobs: _Nothing = UNSET
    finish_reason: _Text = UNSET
    stop_reason: int | _Nothing = UNSET
    token_ids: _Nothing = UNSET
    routed_experts: _Nothing = UNSET
    guard: dict[str, Any] | UnsetType = UNSET
    """Ours: a choice that comes with it is not plain."""


class ChatChoice(_Ended, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A choice of a chat completion."""

    message: Message


class CompletionChoice(_Ended, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A choice of a completion."""

    text: str
    prompt_logprobs: _Nothing = UNSET
    prompt_token_ids: _Nothing = UNSET


_Choice = TypeVar("_Choice")


class Answer(msgspec.Struct, Generic[_Choice], forbid_unknown_fields=True, gc=False, kw_only=True):
    """What chat completions and completions have in common. Beside the choices no text of a model is told."""

    id: Any = UNSET
    object: Any = UNSET
    created: Any = UNSET
    model: Any = UNSET
    choices: list[_Choice]
    service_tier: Any = UNSET
    system_fingerprint: Any = UNSET
    usage: dict[str, Any] | _Nothing = UNSET
    metrics: Any = UNSET
    kv_transfer_params: Any = UNSET
    ec_transfer_params: Any = UNSET


class ChatAnswer(Answer[ChatChoice], forbid_unknown_fields=True, gc=False, kw_only=True):
    """A chat completion."""

    prompt_logprobs: Any = UNSET
    prompt_token_ids: Any = UNSET
    prompt_text: Any = UNSET


def _chat(choice: ChatChoice) -> Said | None:
    """Return the texts of ``choice``; None if more stands in it than two texts can say."""
    message = choice.message
    reasoning, content = message.reasoning, message.content
    if message.tool_calls or choice.guard is not UNSET:
        return None
    if message.reasoning_content:
        if reasoning and reasoning != message.reasoning_content:
            return None
        reasoning = message.reasoning_content
    if reasoning:
        return Said(("reasoning", "content"), (reasoning, content)) if content else Said(("reasoning",), (reasoning,))
    return Said(("content",), (content,)) if content else Said((), ())


def _completion(choice: CompletionChoice) -> Said | None:
    """Return the text of ``choice``."""
    return Said(("text",), (choice.text,)) if choice.guard is UNSET else None


CHAT = Plain(msgspec.json.Decoder(ChatAnswer), _chat)
COMPLETION = Plain(msgspec.json.Decoder(Answer[CompletionChoice]), _completion)
