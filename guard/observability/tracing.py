"""Traces in OpenTelemetry's protocol (OTLP over HTTP), exported by a thread of their own.

Imported only where ``observability.traces`` is set: the extra ``otel`` brings what it needs. Nothing is registered for
the whole process, so a vLLM around it keeps its own tracing.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from prometheus_client import CollectorRegistry, Counter

from guard import __version__
from guard.exchange.head import Head
from guard.observability.trace import RequestTrace, parent_of
from guard.policy.settings.observability import TracesConfig

log = logging.getLogger("guard.tracing")

TRACES_PATH = "/v1/traces"
TIMEOUT = 5.0
"""Seconds for which one batch is offered to the collector; then its spans are dropped and counted."""
_CARRIED = frozenset({b"traceparent", b"tracestate"})


def collector_url(endpoint: str) -> str:
    """Return where spans are posted to: ``endpoint``, with the protocol's path where it has none."""
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + TRACES_PATH


def read_headers(path: Path) -> dict[str, str]:
    """Return the headers in ``path``, one ``name: value`` a line. Raises OSError, ValueError; neither shows a value."""
    headers = {}
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        if not line.strip():
            continue
        name, separator, value = line.partition(":")
        if not separator or not name.strip().replace("-", "").isalnum() or not value.strip().isprintable():
            raise ValueError(f"{path}:{number}: no header; allowed: name: value")
        headers[name.strip().lower()] = value.strip()
    return headers


class Tracing:
    """Begins traces, and sends their spans to the collector of ``settings``; ``upstream`` is the server behind.

    Raises OSError and ValueError for a headers file that cannot be used. A collector that does not answer costs
    nothing but the spans: they are counted, and the log says so once.
    """

    def __init__(self, settings: TracesConfig, upstream: str, registry: CollectorRegistry) -> None:
        headers = read_headers(Path(settings.headers_file)) if settings.headers_file else {}
        self._registry = registry
        self._spans = Counter(
            "guard_trace_spans_total", "Spans by what became of them.", ["outcome"], registry=registry
        )
        self._export = Export(
            OTLPSpanExporter(endpoint=collector_url(settings.endpoint), headers=headers, timeout=TIMEOUT), self._spans
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample)),
            resource=Resource.create({"service.name": settings.service, "service.version": __version__}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._export))
        self._tracer = self._provider.get_tracer("guard", __version__)
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0))

    def begin(self, head: Head, route: str | None) -> RequestTrace:
        """Begin the trace of a request, as a part of its caller's; ``route`` is its path if that is a known one."""
        carried: dict[str, list[str]] = {}
        for name, value in head.headers:
            if name in _CARRIED:
                carried.setdefault(name.decode(), []).append(value.decode("latin-1"))
        return RequestTrace(self._tracer, parent_of(carried), head, route, self._upstream)

    def close(self, seconds: float) -> None:
        """Send what waits, within ``seconds``; what the collector does not take until then is dropped. Idempotent."""
        closing = Thread(target=self._provider.shutdown, name="guard-tracing-close", daemon=True)
        closing.start()
        closing.join(seconds)
        if closing.is_alive():
            self._export.shutdown()  # ends its wait between two attempts
        with suppress(KeyError):
            self._registry.unregister(self._spans)


class Export(SpanExporter):
    """``exporter``, with what becomes of its spans counted, and said when that changes."""

    def __init__(self, exporter: SpanExporter, spans: Counter) -> None:
        self._exporter, self._spans = exporter, spans
        self._failing = False
        # It tells of every attempt; here the first failure and the end of it are told.
        logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send ``spans``; never raises."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # a span that is lost is no reason to end the thread
            log.debug("spans were not taken", exc_info=error)
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        self._spans.labels("dropped" if failed else "exported").inc(len(spans))
        if failed != self._failing:
            self._failing = failed
            if failed:
                log.warning("traces: the collector does not take spans; they are dropped until it does")
            else:
                log.info("traces: the collector takes spans again")
        return result

    def shutdown(self) -> None:
        """End an export that is under way."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing waits here."""
        return self._exporter.force_flush(timeout_millis)
