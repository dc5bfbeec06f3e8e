"""Metrics of the audit chain: there only where one is kept, and of its heads only where they are sent somewhere."""

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter


class AuditMetrics:
    """What the chain refused and which heads did not arrive, registered in ``registry``; over all processes.

    Both are brought up to the totals that the process keeps, so that what happened between two looks counts too.
    """

    def __init__(self, registry: CollectorRegistry, *, heads: bool) -> None:
        self._registry = registry
        self._refused = Counter(
            "guard_audit_refused_total", "Audit entries refused because the disk refused.", registry=registry
        )
        self._failures = (
            Counter(
                "guard_audit_head_failures_total",
                "Attempts to bring a head of the audit chain to its off-box place that failed.",
                registry=registry,
            )
            if heads
            else None
        )
        self._told = [0, 0]

    def follow(self, refused: int, failures: int = 0) -> None:
        """Bring the counters up to ``refused`` entries and ``failures`` of heads since the process started."""
        self._refused.inc(max(0, refused - self._told[0]))
        if self._failures is not None:
            self._failures.inc(max(0, failures - self._told[1]))
        self._told = [refused, failures]

    def close(self) -> None:
        """Take the metrics out of the registry, so that those of the next start may come in; idempotent."""
        for metric in (self._refused, self._failures):
            if metric is not None:
                with suppress(KeyError):
                    self._registry.unregister(metric)
