"""``/tokenize`` and ``/detokenize``: text that is turned into token ids and back, and never reaches the model."""

from typing import Any

from guard.exchange.inquiry import Inquiry
from guard.screening.segments import Segment, Source
from guard.wire.fields import DETOKENIZE, TOKENIZE, typed
from guard.wire.requests.chat import functions, messages, required
from guard.wire.requests.strings import steer


def parse_tokenize(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    inquiry = typed("tokenize", TOKENIZE, document)
    if "prompt" in document:
        inquiry.segments.append(Segment(Source.USER, document["prompt"], "prompt"))
    if "messages" in document:
        messages(document["messages"], "messages", inquiry)
    if "tools" in document:
        functions(document["tools"], "tools", inquiry)
    steer(inquiry)
    return inquiry


def parse_detokenize(document: dict[str, Any]) -> Inquiry:
    """Type ``document`` in place and return the inquiry. Raises Malformed."""
    inquiry = typed("detokenize", DETOKENIZE, document)
    required(document, "tokens")
    return inquiry
