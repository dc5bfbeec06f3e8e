"""One traced request: a span for the exchange, and one below it for everything that takes time.

Attributes follow OpenTelemetry's semantic conventions for HTTP and generative AI where they fit. None holds text of a
user or model, who asked, or a name that a client may choose: paths are those that Guard knows, models the configured.
"""

import re
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from guard.exchange.exchange import Exchange
from guard.exchange.head import Head
from guard.exchange.record import Ending, Verdict
from guard.exchange.refusal import Refusal

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

PROPAGATOR = TraceContextTextMapPropagator()
_CARRIED = frozenset({b"traceparent", b"tracestate"})
_LONGEST_PARENT, _LONGEST_STATE = 512, 8192
"""Characters."""
_MOST_MEMBERS = 32
_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
"""A member of ``tracestate`` (W3C Trace Context, section 3.3.1.3)."""
OPERATIONS = {
    "chat": "chat",
    "batch": "chat",
    "responses": "chat",
    "messages": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""``gen_ai.operation.name`` of a surface."""


class RequestTrace:
    """The spans of one request; ``end`` closes the outermost. Nothing is recorded of one that is not sampled."""

    __slots__ = ("_context", "_held", "_holds", "_server", "_tracer", "_upstream", "recording")

    def __init__(
        self, tracer: Tracer, parent: Context, head: Head, route: str | None, upstream: tuple[str, int]
    ) -> None:
        self._tracer, self._upstream = tracer, upstream
        attributes: dict[str, AttributeValue] = {"http.request.method": head.method, "guard.reference": head.reference}
        if route is not None:  # any other path may hold anything
            attributes |= {"http.route": route, "url.path": route}
        name = head.method if route is None else f"{head.method} {route}"
        self._server = tracer.start_span(name, context=parent, kind=SpanKind.SERVER, attributes=attributes)
        self._context = set_span_in_context(self._server, parent)
        self.recording = self._server.is_recording()
        """True if the trace is sampled; if not, only its context is passed on."""
        self._held, self._holds = 0.0, 0

    @property
    def id(self) -> str:
        """32 hexadecimal digits, as in ``traceparent``."""
        return format(self._server.get_span_context().trace_id, "032x")

    @contextmanager
    def step(self, name: str) -> Generator[None, None, None]:
        """Measure a step of the exchange in a span of its own, ``guard.<name>``."""
        span = self._tracer.start_span(f"guard.{name}", context=self._context)
        try:
            yield
        except BaseException as error:
            _failed(span, error)
            raise
        finally:
            span.end()

    def held(self, seconds: float) -> None:
        """Add to the time that streamed text waited for its verdict."""
        self._held += seconds
        self._holds += 1

    def decided(self, exchange: Exchange, verdict: Verdict, ending: Ending) -> None:
        """Note how the exchange was decided and how it ended."""
        span, refused, model = self._server, exchange.refused, exchange.named
        self.refused(refused)
        span.set_attributes(
            {
                "guard.decision": verdict.value,
                "guard.reason": ending.value if refused is None else refused.code.value,
                "guard.license": exchange.license,
                "guard.policy": exchange.snapshot.hash[:12],
                "guard.mode": exchange.snapshot.mode.value,
                "guard.surface": exchange.inquiry.surface,
                "gen_ai.request.stream": exchange.inquiry.stream,
            }
        )
        operation = OPERATIONS.get(exchange.inquiry.surface)
        if operation is not None:
            span.set_attribute("gen_ai.operation.name", operation)
        if model is not None:
            span.set_attribute("gen_ai.request.model", model.name)
        if refused is None and exchange.findings:
            _, finding, ruling = exchange.findings[0]
            self._cited(ruling.license, ruling.clause, finding.category)
        if exchange.not_evaluated:
            span.set_attribute("guard.not_evaluated", tuple(sorted(set(exchange.not_evaluated))))

    def refused(self, refusal: Refusal | None) -> None:
        """Note a refusal; None changes nothing."""
        if refusal is not None:
            self._server.set_attributes({"guard.decision": "deny", "guard.reason": refusal.code.value})
            self._cited(refusal.license, refusal.clause, refusal.category)

    def _cited(self, license: str | None, clause: str | None, category: str | None) -> None:
        if license:
            self._server.set_attribute("guard.license", license)
        if clause:
            self._server.set_attribute("guard.clause", clause)
        if category:
            self._server.set_attribute("guard.category", category)

    def watching(self, send: Send) -> Send:
        """Return ``send`` to the client, with the status and the first byte of what it sends noted."""
        if not self.recording:
            return send
        span = self._server

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                span.add_event("guard.first_byte")
                if message["status"] >= 500:
                    span.set_status(Status(StatusCode.ERROR))
                    span.set_attribute("error.type", str(message["status"]))
            await send(message)

        return watched

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return ``app``, the server behind, called in a CLIENT span whose context it is given as ``traceparent``."""
        if not self.recording:

            async def told(scope: Scope, receive: Receive, send: Send) -> None:
                await app({**scope, "headers": self._injected(scope["headers"], self._server)}, receive, send)

            return told

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            host, port = self._upstream
            attributes: dict[str, AttributeValue] = {
                "http.request.method": scope["method"],
                "url.path": scope["path"],  # one that Guard serves: any other never gets here
                **({"server.address": host} if host else {}),
                **({"server.port": port} if port else {}),
            }
            name = f"{scope['method']} {scope['path']}"
            span = self._tracer.start_span(name, context=self._context, kind=SpanKind.CLIENT, attributes=attributes)
            scope = {**scope, "headers": self._injected(scope["headers"], span)}
            try:
                await app(scope, receive, _timed(span, send))
            except BaseException as error:
                _failed(span, error)
                raise
            finally:
                span.end()

        return traced

    def _injected(self, headers: list[tuple[bytes, bytes]], span: Span) -> list[tuple[bytes, bytes]]:
        carrier: dict[str, str] = {}
        PROPAGATOR.inject(carrier, set_span_in_context(span, self._context))
        kept = [pair for pair in headers if pair[0] not in _CARRIED]
        kept.extend((name.encode(), value.encode()) for name, value in carrier.items())
        return kept

    def end(self) -> None:
        """Close the outermost span."""
        if self._holds:
            self._server.set_attributes({"guard.held.seconds": self._held, "guard.held.pieces": self._holds})
        self._server.end()


def _timed(span: Span, send: Send) -> Send:
    """Return ``send`` from the server behind, with its status and the time to the first byte of its answer noted."""
    began = time.perf_counter()
    first = True

    async def watched(message: Message) -> None:
        nonlocal first
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                span.set_status(Status(StatusCode.ERROR))
        elif first and message.get("body"):
            first = False
            span.set_attribute("guard.upstream.first_byte_seconds", time.perf_counter() - began)
            span.add_event("guard.upstream.first_byte")
        await send(message)

    return watched


def _failed(span: Span, error: BaseException) -> None:
    """Note what kind of error ended ``span``: its text may quote what was asked."""
    if isinstance(error, CancelledError):
        span.set_attribute("error.type", "cancelled")
    else:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", type(error).__name__)


def parent_of(headers: Mapping[str, list[str]]) -> Context:
    """Return the caller's context (W3C Trace Context); an empty one where its ``traceparent`` is missing or invalid.

    ``headers`` has the values by name. Several values of ``traceparent`` are an invalid one, those of ``tracestate``
    one list. The library would log what it cannot use: it is given nothing that is invalid.
    """
    given = headers.get("traceparent", ())
    if len(given) != 1 or len(given[0]) > _LONGEST_PARENT:
        return Context()
    return PROPAGATOR.extract({"traceparent": given[0], "tracestate": _state(headers.get("tracestate", ()))}, Context())


def _state(lines: Iterable[str]) -> str:
    """Return a valid ``tracestate`` in one line; "" where any of it is invalid (W3C Trace Context, section 3.3)."""
    whole = ",".join(lines)
    members = [member.strip(" \t") for member in whole.split(",")] if len(whole) <= _LONGEST_STATE else []
    members = [member for member in members if member]
    keys = {member.partition("=")[0] for member in members}
    valid = len(members) == len(keys) <= _MOST_MEMBERS and all(map(_MEMBER.fullmatch, members))
    return ",".join(members) if valid else ""
