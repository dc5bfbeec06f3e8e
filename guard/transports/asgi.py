"""GuardMiddleware: the one wrapper both deployments use, around the sidecar's proxy and inside vLLM.

Pure ASGI. The order of an exchange is in ``guard.exchange.order``; this file only moves messages:

1. lifespan passes through; a failed start stops the server (``lifespan.startup.failed``), it is never swallowed;
2. WebSocket and unknown scopes are refused;
3. a path without a parser of ours is refused by name (invariant 5);
4. the body is read within its limit, decoded strictly, typed, decided, re-serialized and forwarded (invariant 4);
5. the answer goes through ``GuardedAnswer``, which lets nothing out before it is counted and cleared.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from guard.exchange.count import ask_ledger, settle
from guard.exchange.exchange import Exchange
from guard.exchange.head import Head
from guard.exchange.identify import believed, without_own_keys
from guard.exchange.order import BEFORE_FORWARD, BEFORE_TEXT, walk
from guard.exchange.record import Ending, record
from guard.exchange.refusal import Code, Refusal
from guard.exchange.screen_prompt import unavailable
from guard.exchange.trace import step
from guard.screening.segments import Segment, Source
from guard.transports.answer import GuardedAnswer
from guard.transports.disconnect import EXTENSION, disconnect_of
from guard.transports.incoming import BodyTooLarge, ClientGone, Crowded, Incoming, read_body
from guard.transports.inner import ask
from guard.transports.passthrough import pass_through
from guard.transports.reference import new_reference
from guard.transports.reply import send_refusal
from guard.transports.runtime import Runtime
from guard.wire import refusals, surfaces
from guard.wire.dialect import Malformed
from guard.wire.requests.masking import mask_prompt

if TYPE_CHECKING:
    from guard.observability.trace import RequestTrace

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("guard")

FORWARDED = frozenset(
    {
        b"accept",
        b"anthropic-beta",
        b"anthropic-version",
        b"authorization",
        b"baggage",
        b"host",
        b"traceparent",
        b"tracestate",
        b"user-agent",
        b"x-api-key",
    }
)
"""Request headers that reach the server behind; Guard adds those of the body. vLLM takes priorities, session ids and
request ids from headers of a caller's choice: default deny holds for headers too (invariant 5)."""

MOST_TOKEN_PROMPTS = 128
"""Prompts given as token ids in one request: each is a question to the server behind, whatever the policy allows."""


class GuardMiddleware:
    """An ASGI app that decides every request before ``app`` sees it and every answer before the client does."""

    peer_from_header = False
    """True if the server in front may have taken ``scope["client"]`` from X-Forwarded-For, which anybody can send."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self.runtime = runtime
        self.failure: Exception | None = None
        """Why it did not start."""
        self._answers: set[GuardedAnswer] = set()
        """Those on their way out."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        kind = scope["type"]
        if kind == "http":
            started = time.perf_counter()
            headers = tuple(scope["headers"])
            head = Head(scope["method"], scope["path"], headers, self._peer(scope, headers), new_reference(), started)
            match = surfaces.match(head.method, head.path)
            if self.runtime.tracing is None:
                await self._answer(match, head, scope, receive, send, None)
            else:
                await self._traced(match, head, scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif kind == "websocket":
            # Closing before accepting is HTTP 403 on the wire; nothing of it reaches the server behind.
            await send({"type": "websocket.close", "code": 1008, "reason": "not served here"})
        else:
            raise RuntimeError(f"scope type {kind!r} is refused; allowed: http, lifespan")

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def guarded_receive() -> Message:
            nonlocal started
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.runtime.start()
                started = True
            return message

        async def guarded_send(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown") or message["type"] == "lifespan.startup.failed":
                await self.runtime.stop()
            await send(message)

        try:
            await self.app(scope, guarded_receive, guarded_send)
        except Exception as error:
            if started:
                await self.runtime.stop()
            else:
                self.failure = error
                # uvicorn takes an exception here for "no lifespan support" and serves on, unguarded.
                log.critical("guard cannot start: %s", error)
                await send({"type": "lifespan.startup.failed", "message": f"guard cannot start: {error}"})
                return
            raise

    async def _traced(self, match: surfaces.Match, head: Head, scope: Scope, receive: Receive, send: Send) -> None:
        tracing = self.runtime.tracing
        assert tracing is not None, "whoever calls this has looked"
        trace = tracing.begin(head, None if isinstance(match, surfaces.Refused) else head.path)
        try:
            await self._answer(match, head, scope, receive, trace.watching(send), trace)
        finally:
            trace.end()

    def _answer(
        self,
        match: surfaces.Match,
        head: Head,
        scope: Scope,
        receive: Receive,
        send: Send,
        trace: "RequestTrace | None",
    ) -> Awaitable[None]:
        """Return what answers a request, to be awaited at once."""
        if isinstance(match, surfaces.Refused):
            return self._turn_away(head, send, match.denial, trace, match.allow)
        if match.optional is not None and match.optional not in self.runtime.snapshot.surface.enabled:
            return self._turn_away(head, send, match.closed(), trace)
        if isinstance(match, surfaces.Passthrough):
            app = self.app if trace is None else trace.around(self.app)
            return pass_through(app, match, head, scope, receive, send, self.runtime)
        return self._serve(match, head, scope, receive, send, trace)

    def _peer(self, scope: Scope, headers: tuple[tuple[bytes, bytes], ...]) -> str:
        """Return the address of the hop that sent the request; empty where a header may have written it."""
        client = scope.get("client")
        if client is None or (self.peer_from_header and any(name == b"x-forwarded-for" for name, _ in headers)):
            return ""
        return str(client[0])

    async def cut_short(self) -> None:
        """End every answer that is still on its way out, by the rules of its protocol; return when they have ended."""
        await asyncio.gather(*(answer.cut_short() for answer in list(self._answers)), return_exceptions=True)

    async def _turn_away(
        self, head: Head, send: Send, refusal: Refusal, trace: "RequestTrace | None", allow: str = ""
    ) -> None:
        refusal = refusal.referenced(head.reference)
        self.runtime.turned_away(refusal)
        if trace is not None:
            trace.refused(refusal)
        await send_refusal(send, refusal, surfaces.error_shape(head.path), allow)

    async def _serve(
        self, surface: surfaces.Surface, head: Head, scope: Scope, receive: Receive, send: Send,
        trace: "RequestTrace | None",
    ) -> None:  # fmt: skip
        app = self.app if trace is None else trace.around(self.app)
        snapshot, services = self.runtime.snapshot, self.runtime.services
        limits = snapshot.surface
        exchange: Exchange | None = None
        body = b""
        try:
            raw = await read_body(head, receive, limits.max_body)
            inquiry = surface.read(raw, head.header(b"content-type"), max_depth=limits.max_depth)
            exchange = Exchange(snapshot, services, head, inquiry)
            if trace is not None and trace.recording:
                exchange.trace = trace
            refusal = walk(exchange, BEFORE_TEXT)
            if refusal is None and (exchange.undecided or inquiry.token_prompts):
                refusal = await self._find_out(exchange, app, scope)
            if refusal is None:
                refusal = _read_prompt(exchange)
            if refusal is None and exchange.masking:
                refusal = mask_prompt(exchange, surface.parse)
            if refusal is None:
                body = surface.write(exchange.inquiry)
        except ClientGone:
            return
        except (Malformed, BodyTooLarge, Crowded, RecursionError) as error:
            refusal = _unreadable(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours: inside vLLM its text would go to the client
            services.on_failure("exchange", error)
            refusal = unavailable()
        try:
            if exchange is None or refusal is not None:
                refusal = refusal or unavailable()
                if trace is not None:
                    trace.refused(refusal)
                await self._refuse(surface, head, send, exchange, refusal)
                return
            incoming = Incoming(body, receive, disconnect_of(scope))
            answer = GuardedAnswer(surface, exchange, send, incoming, self.runtime)
            self.runtime.metrics.overhead("request", time.perf_counter() - head.started)
            self._answers.add(answer)
            try:
                await answer.run(app, self._forwarded(scope, exchange, incoming, len(body)))
            finally:
                self._answers.discard(answer)
                incoming.close()
        finally:
            if exchange is not None:
                settle(exchange)

    async def _find_out(self, exchange: Exchange, app: ASGIApp, scope: Scope) -> Refusal | None:
        """Do what has to be waited for between the steps that need no text and those that read it: only the ledger may
        know whether the user is served, only the server behind what token ids say.
        """
        refusal = None
        if exchange.undecided:
            with step(exchange.trace, "ask_ledger"):
                refusal = await _asked(exchange)
        if refusal is None and exchange.inquiry.token_prompts:
            refusal = await self._detokenize(exchange, app, scope)
        return refusal

    async def _refuse(
        self, surface: surfaces.Surface, head: Head, send: Send, exchange: Exchange | None, refusal: Refusal
    ) -> None:
        refusal = refusal.referenced(head.reference)
        if exchange is None:
            self.runtime.turned_away(refusal)
        await send_refusal(send, refusal, surface.refusal)
        if exchange is not None:
            exchange.refused = refusal
            record(exchange, Ending.REFUSED)

    def _forwarded(self, scope: Scope, exchange: Exchange, incoming: Incoming, size: int) -> Scope:
        """Return the scope for the server behind: known headers without Guard's own keys, those of our body of ``size``
        bytes, identity headers of trusted hops only.
        """
        policy, head = exchange.snapshot.identity, exchange.head
        kept = FORWARDED
        if policy.trusted_headers:
            kept = kept | believed(policy, head.peer)
        if policy.namespace_header is not None:
            kept = kept - {policy.namespace_header}
        if policy.assertions:
            kept = kept - {assertion.header for assertion in policy.assertions}
        headers = [pair for pair in head.headers if pair[0] in kept]
        if policy.stored:
            headers = without_own_keys(policy, headers)
        headers.append(_JSON)
        headers.append((b"content-length", b"%d" % size))
        forwarded = {**scope, "headers": headers, "query_string": b""}
        if incoming.told:
            forwarded["extensions"] = {EXTENSION: incoming.over}
        return forwarded

    async def _detokenize(self, exchange: Exchange, app: ASGIApp, scope: Scope) -> Refusal | None:
        """Add the text of prompts given as token ids to the segments, or refuse: ids bypass every text rule."""
        if len(exchange.inquiry.token_prompts) > MOST_TOKEN_PROMPTS:
            message = f"Too many prompts of token ids; allowed: {MOST_TOKEN_PROMPTS}."
            return exchange.refuse(Refusal(400, Code.MALFORMED, message))
        headers = without_own_keys(exchange.snapshot.identity, exchange.head.headers)
        asking = {**scope, "headers": headers, "extensions": {}}
        for index, tokens in enumerate(exchange.inquiry.token_prompts):
            query: dict[str, Any] = {"tokens": tokens}
            if exchange.inquiry.model is not None:
                query["model"] = exchange.inquiry.model
            status, answer = await ask(app, asking, "/detokenize", query)
            text = answer.get("prompt") if isinstance(answer, dict) else None
            if status != 200 or not isinstance(text, str):
                # Not a matter of license: in shadow mode too Guard forwards only what it can read.
                return exchange.refuse(
                    Refusal(400, Code.MALFORMED, "A prompt of token ids could not be read; allowed: text prompts.")
                )
            exchange.inquiry.segments.append(Segment(Source.USER, text, f"prompt[{index}]"))
        return None


_JSON = (b"content-type", b"application/json")


def _read_prompt(exchange: Exchange) -> Refusal | None:
    if exchange.trace is None:
        return walk(exchange, BEFORE_FORWARD)
    with exchange.trace.step("screen_prompt"):
        return walk(exchange, BEFORE_FORWARD)


_ASKING = ThreadPoolExecutor(8, "guard-ask")
"""Threads that wait for the ledger: of their own, so that nothing else waits behind a ledger that does not answer."""


async def _asked(exchange: Exchange) -> Refusal | None:
    """Let the ledger decide. A request that is cancelled meanwhile gives back the place that it gets all the same."""
    asking = asyncio.get_running_loop().run_in_executor(_ASKING, ask_ledger, exchange)
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        asking.add_done_callback(lambda _: settle(exchange))
        raise


def _unreadable(error: Exception) -> Refusal:
    if isinstance(error, Malformed):
        return refusals.refusal_from(error)
    if isinstance(error, Crowded):
        return Refusal(503, Code.SCREENING_UNAVAILABLE, "The request cannot be checked right now.")
    if isinstance(error, BodyTooLarge):
        return Refusal(413, Code.MALFORMED, str(error))
    return Refusal(400, Code.MALFORMED, "The body is nested too deeply.")
