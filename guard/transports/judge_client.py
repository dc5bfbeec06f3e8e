"""Asks a judge's server: within a time limit, a few at a time, not at all while it fails, and nothing twice."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from guard.exchange.assess import Unassessed
from guard.observability.judge import JudgeMetrics
from guard.policy.settings.judge import JudgeConfig
from guard.screening.judge.question import Family, Question, Unreadable
from guard.screening.judge.reading import answer_of
from guard.transports.breaker import Breaker, Turn
from guard.transports.failure import UpstreamBusy, UpstreamError, UpstreamTimeout
from guard.transports.upstream import Upstream
from guard.transports.verdicts import Verdict, VerdictCache

log = logging.getLogger("guard.judge")

LARGEST = 1024 * 1024
"""Bytes of an answer: a few tokens with their alternatives take some thousand."""
SAFE, UNSAFE, CACHED = "safe", "unsafe", "cached"
TIMEOUT, OVERLOAD, BREAKER, ERROR, ANSWER = "timeout", "overload", "breaker", "error", "answer"
"""Outcomes of a question; those of the second line are a check that was not made, for the reason ``judge_...``."""


class _Failed(Exception):
    """The server answered, with nothing to be read; the text is for the log."""

    def __init__(self, what: str, outcome: str = ERROR) -> None:
        super().__init__(what)
        self.outcome = outcome


class _Flight:
    """A question that is being asked, and how many wait for what comes back."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: "asyncio.Task[Verdict]") -> None:
        self.task, self.waiting = task, 0


class JudgeClient:
    """One judge. Raises OSError if the authorities of ``settings.ca`` cannot be read.

    Belongs to one event loop. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        settings: JudgeConfig,
        family: Family,
        key: str | None,
        metrics: JudgeMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        base, path = _split(settings.url)
        self._upstream = Upstream(
            base,
            connect_timeout=settings.timeout,
            read_timeout=settings.timeout,
            write_timeout=settings.timeout,
            max_connections=settings.concurrency,
            max_waiting=settings.waiting,
            ca_file=settings.ca,
        )
        self._url, self._timeout, self._rest = base, settings.timeout, settings.breaker.rest
        self._chat, self._completion = f"{path}/chat/completions", f"{path}/completions"
        self._headers = [(b"content-type", b"application/json"), (b"accept", b"application/json")]
        if key is not None:
            self._headers.append((b"authorization", b"Bearer " + key.encode("ascii")))
        self._model, self._logprobs, self._family = settings.model, settings.logprobs, family
        self._judge = f"{settings.url}\n{settings.family}\n{settings.model}".encode()
        self._breaker = Breaker(
            failures=settings.breaker.failures,
            rate=settings.breaker.rate,
            window=settings.breaker.window,
            rest=settings.breaker.rest,
        )
        self._cache = VerdictCache(settings.cache.size, settings.cache.ttl)
        self._flights: dict[bytes, _Flight] = {}
        self._metrics = metrics
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        metrics.breaker(open_=False)

    @property
    def resting(self) -> bool:
        """True while it is left alone after failures."""
        return self._breaker.open

    async def ask(self, question: Question) -> Verdict:
        """Return what the judge finds. Raises Unassessed; cancelling the last who waits closes the connection."""
        body = self._body(question)
        digest = self._cache.digest(self._judge, body, *(category.encode() for category in question.categories))
        known = self._cache.get(digest, self._clock())
        if known is not None:
            self._metrics.request(CACHED)
            return known
        flight = self._flights.get(digest)
        if flight is None:
            self._loop = asyncio.get_running_loop()
            task = self._loop.create_task(self._asked(question, body, digest))
            flight = self._flights[digest] = _Flight(task)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.task.cancel()
                if self._flights.get(digest) is flight:
                    del self._flights[digest]

    def close(self) -> None:
        """Have every connection closed; what is being asked ends in Unassessed. Any thread may call it."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._upstream.close)
        self._metrics.close()

    def _body(self, question: Question) -> bytes:
        body: dict[str, Any] = {"model": self._model, **question.body, "stream": False}
        if not self._logprobs:
            body.pop("logprobs", None)
            body.pop("top_logprobs", None)
        return msgspec.json.encode(body)

    async def _asked(self, question: Question, body: bytes, digest: bytes) -> Verdict:
        turn = self._breaker.admit(self._clock())
        if turn is None:
            raise self._unassessed(BREAKER)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                document = await self._post(self._chat if question.chat else self._completion, body)
        except UpstreamBusy:
            self._breaker.gave_up(turn)  # that we ask too much says nothing about the judge
            raise self._unassessed(OVERLOAD) from None
        except (TimeoutError, UpstreamTimeout):
            raise self._failed(turn, TIMEOUT, f"no answer in {self._timeout:g} s") from None
        except UpstreamError as error:
            raise self._failed(turn, ERROR, error.reason) from None
        except _Failed as error:
            raise self._failed(turn, error.outcome, str(error)) from None
        except BaseException:
            self._breaker.gave_up(turn)
            raise
        self._metrics.took(time.perf_counter() - began)
        self._succeeded(turn)
        try:
            verdict = self._family.read(question, answer_of(document, question.chat))
        except Unreadable as error:
            log.debug("the judge's answer cannot be read: %s", error)
            raise self._unassessed(ANSWER) from None
        self._metrics.request(UNSAFE if verdict else SAFE)
        self._cache.put(digest, verdict, self._clock())
        return verdict

    async def _post(self, path: str, body: bytes) -> Any:
        """Return the JSON document of a 200. Raises UpstreamError, and _Failed for any other answer."""
        response = await self._upstream.request("POST", path, self._headers, body)
        try:
            parts, size = [], 0
            while data := await response.read():
                size += len(data)
                if size > LARGEST:
                    raise _Failed(f"an answer of more than {LARGEST} bytes")
                parts.append(data)
        finally:
            response.close()
        if response.status != 200:
            raise _Failed(f"status {response.status}", OVERLOAD if response.status == 429 else ERROR)
        try:
            return msgspec.json.decode(b"".join(parts))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _Failed("an answer that is not JSON") from None

    def _succeeded(self, turn: Turn) -> None:
        was_open = self._breaker.open
        self._breaker.succeeded(turn)
        if was_open and not self._breaker.open:
            self._metrics.breaker(open_=False)
            log.info("the judge at %s answers again", self._url)

    def _failed(self, turn: Turn, outcome: str, why: str) -> Unassessed:
        was_open = self._breaker.open
        self._breaker.failed(turn, self._clock())
        if self._breaker.open and not was_open:
            self._metrics.breaker(open_=True)
            log.warning("the judge at %s is left alone for %g s: %s", self._url, self._rest, why)
        return self._unassessed(outcome)

    def _unassessed(self, outcome: str) -> Unassessed:
        self._metrics.request(outcome)
        return Unassessed(f"judge_{outcome}")


def _split(url: str) -> tuple[str, str]:
    """The server of ``url``, and the path that its API is under."""
    if url.startswith("unix://"):
        return url, "/v1"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/") or "/v1"
