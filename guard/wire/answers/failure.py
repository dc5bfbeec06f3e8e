"""The upstream failed in the middle of an answer: what the client is told, with no word of the upstream's own error."""

from typing import Any

from guard.exchange.refusal import Code, Refusal

MESSAGE = "The model server did not finish the answer."
"""Where nothing else is known."""


def facts(reference: str) -> dict[str, str | None]:
    """Return the ``guard`` object of an error that no license caused."""
    return Refusal(502, Code.UPSTREAM_UNAVAILABLE, MESSAGE, reference=reference).facts()


def openai(reference: str, message: str) -> dict[str, Any]:
    """Return the event after which the official ``openai`` client raises APIError."""
    return {
        "error": {
            "message": message,
            "type": "server_error",
            "param": None,
            "code": Code.UPSTREAM_UNAVAILABLE.value,
            "guard": facts(reference),
        }
    }
