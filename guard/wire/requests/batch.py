"""``/v1/chat/completions/batch``: many conversations in one request, one answer each, never streamed."""

from typing import Any

from guard.exchange.inquiry import FieldUse, Inquiry
from guard.wire.coercion import show
from guard.wire.dialect import Malformed
from guard.wire.fields import BATCH, typed
from guard.wire.requests.chat import messages, required
from guard.wire.requests.strings import samples, steer


def parse(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    inquiry = typed("batch", BATCH, document)
    conversations = required(document, "messages")
    if not conversations:
        raise Malformed("messages", show(conversations), "a non-empty array of conversations")
    for index, conversation in enumerate(conversations):
        messages(conversation, f"messages[{index}]", inquiry)
    steer(inquiry)
    n = document.get("n", 1)
    inquiry.choices = len(conversations) * n
    samples(inquiry, n)
    if len(conversations) > 1:
        inquiry.uses.append(FieldUse("samples", "messages", len(conversations)))
    return inquiry
