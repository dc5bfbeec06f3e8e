"""The answer on its way out: nothing leaves before the user is counted and the text is cleared.

What the server behind sends is one of these:

1. 2xx, event stream, and a stream was asked for: bytes go through the dialect's AnswerStream, piece by piece;
2. 2xx, JSON: the whole answer is read, screened, re-serialized;
3. 4xx: the server's own error, passed on with our reference;
4. 429, 503, 504 and other 5xx: our error in the surface's shape, without the server's exception text;
5. anything else: the server speaks another protocol than ours: 502.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

from guard.exchange.count import count
from guard.exchange.exchange import Exchange
from guard.exchange.record import Ending, ServedChoice, record
from guard.exchange.refusal import Code, Refusal
from guard.exchange.screen_output import KeptOutputScreen, OutputScreen
from guard.exchange.trace import step
from guard.transports.beside import Beside, wants
from guard.transports.failure import UpstreamError
from guard.transports.finished import FinishedChecks
from guard.transports.incoming import Incoming
from guard.transports.notices import NONE, into_event, into_object, render
from guard.transports.reply import send_refusal, send_whole
from guard.transports.runtime import Runtime
from guard.wire.dialect import AnswerStream, GarbledAnswer
from guard.wire.surfaces import Surface

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("guard")

DROPPED = frozenset(
    {
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"keep-alive",
        b"content-encoding",
        b"x-guard-receipt",
        b"x-guard-reference",
        b"x-guard-unscanned",
    }
)
"""Response headers that Guard writes itself or that belong to one hop only."""

UNUSABLE = "The model server did not give a usable answer."
"""All a client is told when the server behind fails."""

ENDING = "The server is being stopped; ask again."
"""What a client is told whose answer was not whole when the time to finish was over."""

LARGEST_ERROR = 256 * 1024
"""Bytes of an error body of the server behind that are worth passing on."""


class GuardedAnswer:
    """The ``send`` of the server behind, for one exchange."""

    # What an answer begins with is kept here, once for all of them.
    _status = 0
    _headers: Sequence[tuple[bytes, bytes]] = ()
    """Those of the server behind that are passed on."""
    _stream: AnswerStream | None = None
    _beside: Beside | None = None
    """None where no check runs beside the call, and once all that hold have spoken."""
    _finished: FinishedChecks | None = None
    _parts: list[bytes] | None = None
    """What came of a body that is read whole, if it came in pieces."""
    _size = 0
    _begun = False
    _done = False
    _held_since = 0.0
    _served: Sequence[ServedChoice] = ()
    _ending = Ending.SERVED
    _notices = NONE
    _member = b""
    """What the first event, or the answer, is still to carry."""

    def __init__(self, surface: Surface, exchange: Exchange, send: Send, incoming: Incoming, runtime: Runtime) -> None:
        self._surface = surface
        self._exchange = exchange
        self._out = send
        self._incoming = incoming
        self._runtime = runtime
        self._screen = OutputScreen(exchange) if exchange.services.candidate is None else KeptOutputScreen(exchange)
        if exchange.services.answer_assessors:
            self._finished = FinishedChecks(exchange, runtime.late)
        model = exchange.model
        if model is not None and model.notices:
            self._notices = render(model.notices)
            if "body" in exchange.snapshot.surface.notice_carriers:
                self._member = self._notices.member

    async def cut_short(self) -> None:
        """End the answer although it is not whole, because Guard has to end: 503 before its first byte, the protocol's
        own ending for a failure after it. The server behind is told that nobody listens any more.
        """
        if self._done:
            return
        self._ending = Ending.DRAINED
        if not self._begun:
            await self._refuse(self._unavailable(503, ENDING))
        elif self._stream is not None:
            self._done = True
            await self._out({"type": "http.response.body", "body": self._stream.abort(ENDING), "more_body": False})
            self._incoming.cut()

    async def run(self, app: Callable[..., Awaitable[None]], scope: Scope) -> None:
        """Let ``app`` answer through this object, and end the answer correctly whatever becomes of it."""
        beside = self._assess() if self._exchange.services.assessors else None
        if beside is not None:
            self._beside = beside
        try:
            await app(scope, self._incoming, self._send)
            if self._beside is not None:
                await self._verdict(self._beside)
            if not self._done:
                await self._break_off(502, "the server behind ended without an answer")
        except UpstreamError as error:
            await self._break_off(error.status, str(error))
        except asyncio.CancelledError:
            if self._ending is not Ending.DRAINED:
                self._ending = Ending.CLIENT
            raise
        except Exception as error:
            # Its text and trace may quote the prompt: they are for whoever asks for debugging, not for every log.
            log.debug("the server behind failed, reference %s", self._exchange.head.reference, exc_info=True)
            await self._break_off(502, type(error).__name__)
        finally:
            if beside is not None:
                beside.close(answered=self._exchange.answered)
            self._close()

    def _assess(self) -> Beside | None:
        """Start the checks of the prompt that run beside the call, if there are any for it."""
        exchange = self._exchange
        wanted = [assessor for assessor in exchange.services.assessors if wants(assessor, exchange)]
        return Beside(exchange, wanted, self._refuse, self._runtime.late) if wanted else None

    async def _verdict(self, beside: Beside) -> None:
        """Return when nothing has to wait for the checks any more; ``_done`` is set if nothing is to be sent."""
        began = time.perf_counter()
        if not beside.spoken:
            with step(self._exchange.trace, "wait_for_checks"):
                await beside.verdict(self._incoming)
        self._beside = None
        if self._done:
            return
        if not beside.spoken:
            self._ending, self._done = Ending.CLIENT, True
        elif beside.holds:
            self._runtime.metrics.waited(time.perf_counter() - began)

    def _close(self) -> None:
        exchange = self._exchange
        try:
            self._screen.close()
            if self._stream is not None:
                self._served = [ServedChoice(*choice) for choice in self._stream.answered()]
            if self._finished is not None and exchange.answered:
                self._finished.later(self._served)
        except Exception as error:  # noqa: BLE001 - whatever broke, that it happened is recorded
            exchange.services.on_failure("screening.close", error)
            exchange.not_evaluated.append("error")
        if exchange.refused is not None and self._ending is Ending.SERVED:
            self._ending = Ending.CUT if exchange.answered else Ending.REFUSED
        record(exchange, self._ending, self._served)

    async def _send(self, message: Message) -> None:
        if self._beside is not None:
            await self._verdict(self._beside)
        if self._done:
            return
        kind = message["type"]
        if kind == "http.response.body":
            data, more = message.get("body", b""), bool(message.get("more_body", False))
            if self._stream is not None:
                await self._stream_on(self._stream, data, more)
            else:
                await self._body(data, more)
        elif kind == "http.response.start":
            unfit = self._start(message["status"], message.get("headers", ()))
            if unfit:
                await self._break_off(502, unfit)

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Take the head of the server's answer; return why it is not one to go on with, mostly nothing."""
        self._status = status
        kind, kept = None, []
        for given, value in headers:
            name = given.lower()
            if name == b"content-type" and kind is None:
                kind = value
            if name not in DROPPED:
                kept.append((name, value))
        self._headers = kept
        kind = kind or b""
        if 200 <= status < 300:
            if kind.startswith(b"application/json"):
                return ""
            if not kind.startswith(b"text/event-stream"):
                return "an answer that is neither JSON nor an event stream"
            if not self._exchange.inquiry.stream:
                return "an event stream that nobody asked for"
            self._stream = self._surface.open_stream(self._exchange.inquiry, self._screen)
        elif status < 400:
            return f"status {status}"
        return ""

    async def _body(self, data: bytes, more: bool) -> None:
        self._size += len(data)
        if self._size > (self._exchange.snapshot.surface.max_answer if self._status < 300 else LARGEST_ERROR):
            await self._break_off(502, f"an answer of more than {self._size} bytes")
            return
        if more or self._parts is not None:
            if self._parts is None:
                self._parts = []
            self._parts.append(data)
            if more:
                return
            data = b"".join(self._parts)
        if self._status < 300:
            await self._whole(data)
        else:
            await self._error(data)

    async def _stream_on(self, stream: AnswerStream, data: bytes, more: bool) -> None:
        began = time.perf_counter()
        try:
            out = stream.feed(data) if data else b""
            if not more and not stream.closed:
                out += stream.finish()
        except GarbledAnswer as error:
            await self._break_off(502, str(error))
            return
        now = time.perf_counter()
        self._runtime.metrics.overhead("chunk", now - began)
        ended = stream.closed or not more
        if not out and not ended:
            self._held_since = self._held_since or began
            return
        if self._held_since:
            self._runtime.metrics.holdback(now - self._held_since)
            if self._exchange.trace is not None:
                self._exchange.trace.held(now - self._held_since)
            self._held_since = 0.0
        if not self._begun and not await self._begin():
            return
        if self._member:
            with_notices = into_event(out, self._member)
            out, self._member = (out, self._member) if with_notices is None else (with_notices, b"")
        await self._out({"type": "http.response.body", "body": out, "more_body": not ended})
        if ended:
            self._done = True
            if more:
                self._incoming.cut()

    async def _whole(self, raw: bytes) -> None:
        surface, inquiry = self._surface, self._exchange.inquiry
        began = time.perf_counter()
        try:
            body, answered = surface.screen(inquiry, raw, self._screen)
        except GarbledAnswer as error:
            await self._break_off(502, str(error))
            return
        self._served = [ServedChoice(*choice) for choice in answered]
        if self._finished is not None:
            refusal = await self._finished.verdict(self._served)
            if self._done:  # cut short meanwhile
                self._served = ()
                return
            if refusal is not None:
                self._served = ()
                await self._refuse(refusal)
                return
        if self._member:
            body = into_object(body, self._member)
        self._runtime.metrics.overhead("response", time.perf_counter() - began)
        if await self._begin((b"content-length", b"%d" % len(body))):
            await self._out({"type": "http.response.body", "body": body, "more_body": False})
            self._done = True

    async def _begin(self, *extra: tuple[bytes, bytes]) -> bool:
        """Count the user, then send the head of a 2xx; False if a refusal went out because nobody could be counted."""
        exchange = self._exchange
        refusal = count(exchange)
        if refusal is not None:
            await self._refuse(refusal)
            return False
        services = exchange.services
        if (counted := services.provenance or services.unrecorded) is not None:
            counted.begun()
        headers = [*self._headers, (b"x-guard-reference", exchange.head.reference.encode()), *extra]
        receipts = self._receipts()
        if receipts is not None:
            headers.append((b"x-guard-receipt", receipts.encode()))
        if exchange.unscanned and exchange.marked:
            headers.append((b"x-guard-unscanned", exchange.marked.encode()))
        if self._notices is not NONE and "header" in exchange.snapshot.surface.notice_carriers:
            headers.extend(self._notices.headers)
        self._begun = True
        await self._out({"type": "http.response.start", "status": self._status, "headers": headers})
        return True

    def _receipts(self) -> str | None:
        """Return the ids of the receipts that the answer will have, in one word: ``r-<reference>-0..7``."""
        first = self._screen.receipt(0) if self._surface.receipts else None
        choices = self._exchange.inquiry.choices
        return first if first is None or choices == 1 else f"{first}..{choices - 1}"

    async def _error(self, raw: bytes) -> None:
        self._ending = Ending.UPSTREAM if self._status >= 500 else Ending.REJECTED
        if self._status >= 500 or self._status == 429:
            status = self._status if self._status in {429, 503, 504} else 502
            await self._refuse(self._unavailable(status))
            return
        self._begun = self._done = True
        headers = [
            *self._headers,
            (b"x-guard-reference", self._exchange.head.reference.encode()),
            (b"content-length", b"%d" % len(raw)),
        ]
        await send_whole(self._out, self._status, headers, raw)

    async def _break_off(self, status: int, why: str) -> None:
        """End the answer because the server behind failed: an error before the first byte, an error event after it."""
        if self._beside is not None:
            await self._verdict(self._beside)
        if self._done:
            return
        if self._incoming.gone:
            # The client left, and the server behind was told so: it owes no answer.
            self._ending, self._done = Ending.CLIENT, True
            return
        self._ending = Ending.UPSTREAM
        reference = self._exchange.head.reference
        log.warning("upstream: %s, reference %s", why, reference, extra={"reference": reference})
        if self._begun and self._stream is not None:
            out = self._stream.abort()
            await self._out({"type": "http.response.body", "body": out, "more_body": False})
            self._done = True
        elif not self._begun:
            await self._refuse(self._unavailable(status))
        self._incoming.cut()

    def _unavailable(self, status: int, message: str = UNUSABLE) -> Refusal:
        return Refusal(status, Code.UPSTREAM_UNAVAILABLE, message, reference=self._exchange.head.reference)

    async def _refuse(self, refusal: Refusal) -> None:
        self._begun = self._done = True
        await send_refusal(self._out, refusal, self._surface.refusal)
        self._incoming.cut()
