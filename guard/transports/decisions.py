"""The audit log as the exchange sees it: every entry is chained, the last decisions stay at hand."""

import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from guard.evidence.chain import Journal, JournalError
from guard.exchange.refusal import Refusal
from guard.observability.metrics import Metrics

log = logging.getLogger("guard")

RECENT_DECISIONS = 200
"""Decisions that are kept in memory for the admin port; all of them are in the audit chain."""


class Decisions:
    """Appends to ``journal`` if there is one, and keeps the last notable decisions with the time they were made."""

    def __init__(self, journal: Journal | None, metrics: Metrics) -> None:
        self._journal = journal
        self._metrics = metrics
        self.began = time.time()
        """Since when decisions are kept, in epoch seconds."""
        self.recent: deque[dict[str, Any]] = deque(maxlen=RECENT_DECISIONS)

    def append(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Chain one entry; never raises: an answer that has left cannot be taken back because a disk is full."""
        if kind == "decision" and (facts["verdict"] != "allow" or facts["obligations"]):
            self.recent.append({"time": time.time(), **facts})
        if self._journal is None:
            return
        if kind == "stop":
            self._journal.standing = {}
        try:
            self._journal.append(kind, facts)
        except JournalError as error:
            self._metrics.not_evaluated("audit")
            log.error("the audit chain does not take entries: %s", error)  # noqa: TRY400 - the trace says nothing more

    def stand(self, standing: Mapping[str, Any]) -> None:
        """Have each file of the chain that continues another say what is in force, and since when this run decides,
        until a ``stop`` is appended.
        """
        if self._journal is not None:
            self._journal.standing = {**standing, "started": self.began}

    def turned_away(self, refusal: Refusal, held_back: int) -> None:
        """Chain the refusal of a request that became no exchange; ``held_back`` before it were left out."""
        refused = refusal.facts()
        facts: dict[str, Any] = {
            "reference": refused.pop("reference"),
            "verdict": "deny",
            "ending": "refused",
            "refused": {"code": refusal.code.value, **refused},
            "not_listed_before": held_back,
        }
        self.append("decision", facts)
