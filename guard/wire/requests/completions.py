"""``/v1/completions``: prompts as text or token ids."""

from typing import Any

from guard.exchange.inquiry import FieldUse, Inquiry
from guard.exchange.unscanned import PartKind, UnscannedPart
from guard.wire.fields import COMPLETIONS, typed
from guard.wire.requests.strings import prompts, samples, steer


def parse(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed.

    ``prompt_embeds`` stand for a text that nobody can read: they are unscannable.
    """
    inquiry = typed("completions", COMPLETIONS, document)
    count = prompts(document["prompt"], "prompt", inquiry) if "prompt" in document else 0
    embeds = document.get("prompt_embeds")
    if embeds is not None:
        inquiry.unscannable.append(UnscannedPart(PartKind.PROMPT_EMBEDS, "prompt_embeds"))
        count += len(embeds) if type(embeds) is list else 1
    steer(inquiry)
    n = document.get("n", 1)
    inquiry.choices = max(count, 1) * n
    samples(inquiry, n)
    if count > 1:
        inquiry.uses.append(FieldUse("samples", "prompt" if "prompt" in document else "prompt_embeds", count))
    if document.get("echo") and "logprobs" in document and "prompt_logprobs" not in document:
        inquiry.uses.append(FieldUse("prompt_logprobs", "echo", True))
    return inquiry
