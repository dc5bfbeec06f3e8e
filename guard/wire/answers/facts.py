"""The ``guard`` object of a choice, as its last event or the whole answer carries it."""

from typing import Any

from guard.exchange.refusal import Refusal
from guard.wire.dialect import OutputGate


def facts(gate: OutputGate, choice: int, refusal: Refusal | None = None) -> dict[str, Any]:
    """Return ``{"guard": {...}}`` with what ended ``choice`` and the id of its receipt; empty where there is neither.

    ``choice`` is its index in the answer.
    """
    receipt = gate.receipt(choice)
    told: dict[str, str | None] = {} if refusal is None else refusal.facts()
    if receipt is not None:
        told["receipt"] = receipt
    return {"guard": told} if told else {}
