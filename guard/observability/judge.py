"""Metrics of the judge: there only where one is configured."""

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class JudgeMetrics:
    """What a judge was asked and how long it took, registered in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "guard_judge_requests_total", "Questions to the judge by outcome.", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            "guard_judge_seconds", "Time that an answer of the judge took.", registry=registry, buckets=BUCKETS
        )
        # Of several processes one that does without the judge shows.
        self._open = Gauge(
            "guard_judge_breaker_open", "1 while the judge is left alone after failures.",
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip

        self._registry = registry

    def close(self) -> None:
        """Take the metrics out of the registry, so that another judge's may come in."""
        for metric in (self._requests, self._seconds, self._open):
            with suppress(KeyError):  # closed before
                self._registry.unregister(metric)

    def request(self, outcome: str) -> None:
        """Count one question by its outcome."""
        self._requests.labels(outcome).inc()

    def took(self, seconds: float) -> None:
        """Observe the time of one answer."""
        self._seconds.observe(seconds)

    def breaker(self, *, open_: bool) -> None:
        """Show whether the judge is left alone."""
        self._open.set(1 if open_ else 0)
