"""Every metric of the public contract, at a price the hot path can pay.

Label children are looked up once and the innermost methods that count are kept: the library's own ``inc`` and
``observe`` check on every call what cannot change. What every request and chunk counts is added up in batches
(``guard.observability.gathered``). No label takes a user, a prompt or a free model name, and a family
that grows beyond ``MAX_SERIES`` counts what is new under ``other``.
"""

import logging
import time
import weakref
from bisect import bisect_left
from collections import Counter as Times
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from guard.observability.gathered import Gathered
from guard.observability.gauges import GAUGES

log = logging.getLogger("guard.metrics")

MAX_SERIES = 1000
"""Label combinations of one family; the rest share one whose labels all read ``other``."""
OVERHEAD_BUCKETS = (10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 0.1, 1.0)
PHASES = ("request", "response", "chunk")
"""In which Guard adds time to an exchange."""
HOLDBACK_BUCKETS = (1e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


Add = Callable[[float], None]


class _Bound(dict[tuple[str, ...], Add]):
    """What adds to one family's children, by label values; made on first use."""

    def __init__(self, family: Any, adder: Callable[[Any], Add]) -> None:
        super().__init__()
        self._family, self._adder = family, adder

    def __missing__(self, labels: tuple[str, ...]) -> Add:
        if len(self) >= MAX_SERIES:
            return self._adder(self._family.labels(*["other"] * len(labels)))
        add = self[labels] = self._adder(self._family.labels(*labels))
        return add


def _increment(child: Any) -> Add:
    """Return what adds to one counter."""
    increment: Add = child._value.inc  # noqa: SLF001 - see the module's first lines; a test holds it equal to inc()
    return increment


def _observe(child: Any) -> Add:
    """Return what observes a value in one histogram, as ``Histogram.observe`` does."""
    add_sum: Add = child._sum.inc  # noqa: SLF001 - as above, with observe()
    buckets: list[Add] = [bucket.inc for bucket in child._buckets]  # noqa: SLF001 - as above
    bounds: list[float] = child._upper_bounds  # noqa: SLF001 - as above

    def observe(value: float) -> None:
        add_sum(value)
        buckets[bisect_left(bounds, value)](1)

    return observe


def _observe_all(family: Histogram, *labels: str) -> Callable[[list[float]], None]:
    """Return what observes many values in one child, made with the first of them, as ``Histogram.observe`` does."""

    def observe_all(values: list[float]) -> None:
        child: Any = family.labels(*labels) if labels else family
        bounds: list[float] = child._upper_bounds  # noqa: SLF001 - as above, with observe()
        child._sum.inc(sum(values))  # noqa: SLF001 - as above
        for bucket, times in Times(bisect_left(bounds, value) for value in values).items():
            child._buckets[bucket].inc(times)  # noqa: SLF001 - as above

    return observe_all


class Metrics:
    """The counters and histograms of one process, registered in ``registry``.

    Under ``PROMETHEUS_MULTIPROC_DIR`` (set before this package's first import, as vLLM does with several API servers)
    they live in the library's files and ``exposition`` adds them up.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        gathered = Gathered()
        registry.register(gathered)  # before the families: a scrape asks in this order
        self._finalizer = weakref.finalize(self, gathered.gather)  # an ending process leaves its numbers to the others
        self.gather: Callable[[], None] = gathered.gather
        """Add up what waits; to be called every few seconds where others than a scrape of ``registry`` look."""
        self._requests = _Bound(
            counter("guard_requests_total", "Requests by decision.", "decision", "reason", "license"), _increment
        )
        self._identities = _Bound(
            counter("guard_identity_total", "Requests by source of identity.", "source"), _increment
        )
        self._newcomers = _Bound(
            counter("guard_identity_new_total", "First sightings of users by source of identity.", "source"), _increment
        )
        self.unidentified: Callable[[], None] = counter(
            "guard_requests_unidentified_total", "Requests that no source identified."
        ).inc
        """Count one request that no source identified."""
        self.first_sighting: Callable[[], None] = counter(
            "guard_mau_first_sightings_total", "Users seen by this process for the first time in their period."
        ).inc
        """Count one user seen for the first time in the period."""
        self._findings = _Bound(
            counter("guard_screen_findings_total", "Screening findings.", "category", "direction", "action"), _increment
        )
        self._not_evaluated = _Bound(
            counter("guard_screen_not_evaluated_total", "Checks that could not be made.", "reason"), _increment
        )
        self._parts = _Bound(
            counter("guard_screen_parts_total", "Parts of requests by content type.", "type", "outcome"), _increment
        )
        self._exchanged = gathered.taker(self._count_exchanged)
        self._unaccepted = _Bound(
            counter("guard_terms_unaccepted_total", "Requests of callers without a recorded acceptance.", "license"),
            _increment,
        )
        self._export_checks = _Bound(
            counter("guard_export_checks_total", "Export gate runs by verdict.", "verdict"), _increment
        )
        self._intents = _Bound(counter("guard_intent_total", "Requests by reason of intent.", "reason"), _increment)
        self._steps = _Bound(
            counter("guard_behavior_step_total", "Identities that came to a step.", "step", "reason"), _increment
        )
        self._candidate = _Bound(
            counter(
                "guard_candidate_decisions_total", "Exchanges decided again under the candidate policy.",
                "active", "candidate", "reason",
            ),
            _increment,
        )  # fmt: skip
        self._candidate_not_evaluated = _Bound(
            counter(
                "guard_candidate_not_evaluated_total", "Exchanges not decided under the candidate policy.", "reason"
            ),
            _increment,
        )
        self._uploads = _Bound(
            counter("guard_index_uploads_total", "Segments of the index handed to the upload command.", "outcome"),
            _increment,
        )
        self.receipt: Callable[[], None] = counter("guard_receipts_total", "Receipts for finished choices.").inc
        """Count one receipt."""
        overhead = Histogram(
            "guard_overhead_seconds", "Wall time Guard added.", ["phase"], registry=registry, buckets=OVERHEAD_BUCKETS
        )
        self.overhead_of: dict[str, Add] = {phase: gathered.taker(_observe_all(overhead, phase)) for phase in PHASES}
        """What observes the wall time that Guard added, in seconds, by phase."""
        self.holdback: Add = gathered.taker(
            _observe_all(
                Histogram(
                    "guard_stream_holdback_seconds", "Time streamed text waited for its verdict.",
                    registry=registry, buckets=HOLDBACK_BUCKETS,
                )
            )
        )  # fmt: skip
        """Observe the seconds that a piece of streamed text waited for its verdict."""
        self.waited: Add = _observe(
            Histogram(
                "guard_screen_wait_seconds", "Time an answer's first byte waited for the checks beside the call.",
                registry=registry, buckets=HOLDBACK_BUCKETS,
            )
        )  # fmt: skip
        """Observe the seconds that an answer waited for checks that run beside the call to the model."""
        # Of several processes the worst one shows.
        self._reload_ok = Gauge(
            "guard_policy_last_reload_successful", "1 if the last load of the policy succeeded.",
            registry=registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self._reload_time = Gauge(
            "guard_policy_last_reload_success_timestamp_seconds", "When a policy was last loaded successfully.",
            registry=registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self.reloaded(ok=True)

    def request(self, decision: str, reason: str, license: str) -> None:
        """Count one finished request."""
        self._requests[decision, reason, license](1)

    def exchanged(self, decision: str, reason: str, license: str, source: str, texts: int) -> None:
        """Count one finished exchange, as ``request`` and ``identity`` do, and ``texts`` parts that the rules read."""
        self._exchanged((decision, reason, license, source, texts))

    def _count_exchanged(self, notes: list[tuple[str, str, str, str, int]]) -> None:
        for (decision, reason, license, source, texts), times in Times(notes).items():
            self._requests[decision, reason, license](times)
            self._identities[(source,)](times)
            if texts:
                self._parts["text", "scanned"](texts * times)

    def overhead(self, phase: str, seconds: float) -> None:
        """Observe the wall time Guard added in ``phase``: one of PHASES."""
        self.overhead_of[phase](seconds)

    def identity(self, source: str) -> None:
        """Count one identified request by the source that identified it."""
        self._identities[(source,)](1)

    def newcomer(self, source: str) -> None:
        """Count one first sighting by the source that identified the user."""
        self._newcomers[(source,)](1)

    def finding(self, category: str, direction: str, action: str) -> None:
        """Count one finding."""
        self._findings[category, direction, action](1)

    def not_evaluated(self, reason: str) -> None:
        """Count one check that could not be made."""
        self._not_evaluated[(reason,)](1)

    def parts(self, kind: str, outcome: str, number: int) -> None:
        """Count parts of requests by kind and what became of them."""
        self._parts[kind, outcome](number)

    def intent(self, reason: str) -> None:
        """Count one request with that reason of intent."""
        self._intents[(reason,)](1)

    def behavior_step(self, step: str, reason: str) -> None:
        """Count one identity that came to a step of the ladder, by the reason that weighed most."""
        self._steps[step, reason](1)

    def unaccepted(self, license: str) -> None:
        """Count one request of a caller for whom nobody accepted the terms of ``license``."""
        self._unaccepted[(license,)](1)

    def candidate_decision(self, active: str, candidate: str, reason: str) -> None:
        """Count one exchange by what was decided and what the candidate would have; ``reason`` is why they differ."""
        self._candidate[active, candidate, reason](1)

    def candidate_not_evaluated(self, reason: str) -> None:
        """Count one exchange that was not decided under the candidate."""
        self._candidate_not_evaluated[(reason,)](1)

    def upload(self, outcome: str) -> None:
        """Count one run of the upload command by what became of it."""
        self._uploads[(outcome,)](1)

    def export_check(self, verdict: str) -> None:
        """Count one run of the export gate."""
        self._export_checks[(verdict,)](1)

    def reloaded(self, *, ok: bool, now: float | None = None) -> None:
        """Note the outcome of a policy load at ``now`` (epoch seconds, default: the present)."""
        self._reload_ok.set(1 if ok else 0)
        if ok:
            self._reload_time.set(time.time() if now is None else now)


class _View:
    """What a scrape shows of a registry: no ``_created`` series, and the sum over processes where there are several."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        if values.ValueClass is values.MutexValue:
            for family in self._registry.collect():
                family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
                yield family
            return
        own = [family for family in self._registry.collect() if family.name in GAUGES]  # gathers what waits
        for family in MultiProcessCollector(None).collect():  # type: ignore[no-untyped-call]
            if family.name.startswith("guard_"):  # the host's own metrics are in the same files
                yield family
        yield from own


def exposition(registry: CollectorRegistry) -> bytes:
    """Return what ``/metrics`` answers, in Prometheus' text format 0.0.4.

    With several processes on ``PROMETHEUS_MULTIPROC_DIR`` counters and histograms are Guard's over all of them, and the
    gauges of ``UsageCollector`` are this process's view of the shared ledger.
    """
    return generate_latest(_View(registry))
