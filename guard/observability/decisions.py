"""Notable decisions as lines of the log: ids, clauses and numbers; never what was asked, never by whom."""

import logging
import time
from typing import Protocol

from guard.exchange.exchange import Exchange
from guard.exchange.record import Ending, Verdict
from guard.exchange.refusal import Refusal

log = logging.getLogger("guard.decision")


class Bucket(Protocol):
    """Bounds how many lines are written: guard.transports.throttle.Throttle."""

    def admit(self) -> int | None:
        """Return None if this line is to be held back, else how many were since the last that was not."""


class DecisionLog:
    """Writes a line for an exchange that was refused, flagged, cut or not evaluated, as ``bucket`` admits it."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __call__(self, exchange: Exchange, verdict: Verdict, ending: Ending) -> None:
        """Tell of a finished exchange."""
        held_back = self._bucket.admit()
        if held_back is None:
            return
        refused, model = exchange.refused, exchange.named
        found = next((found for found in exchange.findings), None)
        status = 200 if exchange.answered else refused.status if refused is not None else None
        facts: dict[str, object] = {
            "reference": exchange.head.reference,
            "verdict": verdict.value,
            "ending": ending.value,
            "code": refused.code.value if refused is not None else None,
            "license": (refused.license if refused is not None else None) or exchange.license,
            "clause": refused.clause if refused is not None else found[2].clause if found is not None else None,
            "category": refused.category if refused is not None else found[1].category if found is not None else None,
            "model": model.name if model is not None else None,
            "surface": exchange.inquiry.surface,
            "policy": exchange.snapshot.hash[:12],
            "not_evaluated": ",".join(sorted(set(exchange.not_evaluated))) or None,
            "status": status,
            "duration": round(time.perf_counter() - exchange.head.started, 4),
            "trace_id": exchange.trace.id if exchange.trace is not None else None,
            "not_listed_before": held_back or None,
        }
        _write(facts)

    def turned_away(self, refusal: Refusal, held_back: int) -> None:
        """Tell of a request that was refused before it became an exchange; ``held_back`` were not told of."""
        facts: dict[str, object] = {
            "reference": refusal.reference,
            "verdict": Verdict.DENY.value,
            "ending": Ending.REFUSED.value,
            "code": refusal.code.value,
            "license": refusal.license,
            "clause": refusal.clause,
            "category": refusal.category,
            "status": refusal.status,
            "not_listed_before": held_back or None,
        }
        _write(facts)


def _write(facts: dict[str, object]) -> None:
    given = {name: value for name, value in facts.items() if value is not None}
    log.info("decision %s", " ".join(f"{name}={value}" for name, value in given.items()), extra=given)
