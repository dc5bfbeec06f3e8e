"""Refusals as HTTP responses, in the error shape the client's library expects.

OpenAI's and Anthropic's clients choose the exception class by status and read ``error.message`` and ``error.type``.
"""

from collections.abc import Callable
from typing import Any

from guard.exchange.refusal import Code, Refusal
from guard.wire.body import encode
from guard.wire.dialect import Malformed

Shape = Callable[[Refusal], dict[str, Any]]
"""Turns a refusal into the body of an error response."""

RETRY_SECONDS = 5
"""What 429 and 503 ask a client to wait: longer than a ledger or upstream restart usually takes to show."""

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def openai_shape(refusal: Refusal) -> dict[str, Any]:
    """Return the body of an error response of the OpenAI surfaces."""
    return {
        "error": {
            "message": refusal.message,
            "type": _OPENAI_TYPES.get(refusal.status) or _by_class(refusal.status, "server_error"),
            "param": None,
            "code": refusal.code.value,
            "guard": refusal.facts(),
        }
    }


def anthropic_shape(refusal: Refusal) -> dict[str, Any]:
    """Return the body of an error response of the Anthropic surface."""
    return {
        "type": "error",
        "error": {
            "type": _ANTHROPIC_TYPES.get(refusal.status) or _by_class(refusal.status, "api_error"),
            "message": refusal.message,
            "code": refusal.code.value,
            "guard": refusal.facts(),
        },
        "request_id": refusal.reference,
    }


def render(refusal: Refusal, shape: Shape, allow: str = "") -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of the response that tells the client of ``refusal``.

    ``allow`` names the method a path takes and is sent with 405.
    """
    body = encode(shape(refusal))
    return refusal.status, headers(refusal, body, allow), body


def headers(refusal: Refusal, body: bytes, allow: str = "") -> list[tuple[bytes, bytes]]:
    """Return the headers of the response that carries ``body``.

    ``allow`` names the method a path takes and is sent with 405 (RFC 9110, 15.5.6).
    """
    fields = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-guard-reference", refusal.reference.encode("latin-1")),
    ]
    if refusal.status == 401:
        fields.append((b"www-authenticate", b"Bearer"))
    elif refusal.status == 405 and allow:
        fields.append((b"allow", allow.encode("latin-1")))
    elif refusal.status in {429, 503}:
        fields.append((b"retry-after", b"%d" % RETRY_SECONDS))
    return fields


def refusal_from(malformed: Malformed) -> Refusal:
    """Return the refusal of a body that could not be parsed: it says where, what was found, and what is allowed."""
    message = f"{malformed.path}: found {malformed.found}; allowed: {malformed.allowed}"
    return Refusal(malformed.status, Code.MALFORMED, message)


def _by_class(status: int, server: str) -> str:
    return server if status >= 500 else "invalid_request_error"
