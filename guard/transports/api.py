"""The API of the admin port: metrics, health, reload, and what the console shows as JSON. No answer holds user text."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from guard.observability.metrics import exposition
from guard.transports.admin_runtime import MAX_DECISIONS, AdminRuntime
from guard.transports.lookup import Lookup
from guard.transports.upload import (
    BadDataError,
    BadFormatError,
    NoIndexError,
    Query,
    QueryError,
    TooLargeError,
    received,
)

log = logging.getLogger("guard.admin")

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Api:
    """Answers for ``runtime``; its metrics are those of ``scrape``, or of its registry."""

    def __init__(
        self, runtime: AdminRuntime, lookup: Lookup, scrape: Callable[[], Awaitable[bytes]] | None = None
    ) -> None:
        self._runtime, self._lookup, self._scrape = runtime, lookup, scrape
        self._exporting = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Return where the answers are."""
        return [
            Route("/metrics", self.metrics),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/-/reload", self.reload, methods=["POST"]),
            Route("/api/v1/usage", self.usage),
            Route("/api/v1/policy", self.policy),
            Route("/api/v1/candidate", self.candidate),
            Route("/api/v1/decisions", self.decisions),
            Route("/api/v1/decisions/{reference}", self.decision),
            Route("/api/v1/history", self.history),
            Route("/api/v1/obligations", self.obligations),
            Route("/api/v1/due", self.due),
            Route("/api/v1/health", self.health),
            Route("/api/v1/export/check", self.export_check, methods=["POST"]),
            Route("/api/v1/export/checks", self.export_checks),
        ]

    async def metrics(self, _: Request) -> Response:
        """The metrics in Prometheus' text format."""
        text = exposition(self._runtime.registry) if self._scrape is None else await self._scrape()
        return Response(text, media_type=METRICS_TYPE)

    async def healthz(self, _: Request) -> Response:
        """200: the process lives."""
        return JSONResponse({"alive": True})

    async def readyz(self, request: Request) -> Response:
        """Whether requests can be served; what each part says only for who was checked."""
        ready, parts = self._runtime.ready()
        body: dict[str, Any] = {"ready": ready}
        if request.scope["guard.trusted"]:
            body["parts"] = parts
        return JSONResponse(body, 200 if ready else 503)

    async def reload(self, _: Request) -> Response:
        """Load the policy; 422 with its problems if it is bad."""
        result = await self._runtime.reload()
        return JSONResponse(result, 200 if result.get("ok") else 422)

    async def usage(self, _: Request) -> Response:
        """The users by license."""
        return JSONResponse({"usage": self._runtime.usage()})

    async def policy(self, _: Request) -> Response:
        """The policy in force."""
        return JSONResponse(self._runtime.policy())

    async def candidate(self, _: Request) -> Response:
        """The candidate policy."""
        return JSONResponse(self._runtime.candidate_facts())

    async def decisions(self, request: Request) -> Response:
        """The last decisions."""
        text = request.query_params.get("limit", "50")
        if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_DECISIONS):
            return _error(400, "bad_request", f"limit: allowed: 1 to {MAX_DECISIONS}")
        return JSONResponse({"decisions": self._runtime.decisions(int(text))})

    async def decision(self, request: Request) -> Response:
        """One decision; 404 if nothing is remembered of it."""
        found = await self._lookup.find(request.path_params["reference"], request.receive)
        return _error(404, "not_found", "nothing is remembered of it") if found is None else JSONResponse(found)

    async def history(self, _: Request) -> Response:
        """The decisions by hour."""
        return JSONResponse(self._runtime.history())

    async def obligations(self, _: Request) -> Response:
        """Everything owed."""
        return JSONResponse({"obligations": self._runtime.obligations()})

    async def due(self, _: Request) -> Response:
        """What is open or comes due."""
        return JSONResponse({"due": self._runtime.due()})

    async def health(self, _: Request) -> Response:
        """How every part is."""
        return JSONResponse(self._runtime.health())

    async def export_checks(self, _: Request) -> Response:
        """The last export checks."""
        return JSONResponse({"checks": self._runtime.export_checks()})

    async def export_check(self, request: Request) -> Response:
        """The export gate's statement on the body."""
        parameters, asker = request.query_params.multi_items(), request.client.host if request.client else ""
        try:
            query = Query.parse(parameters, request.headers.get("content-type", ""), asker)
        except QueryError as error:
            return _error(400, "bad_request", str(error))
        if self._exporting.locked():
            return _error(429, "busy", "another data set is being checked; allowed: one at a time")
        async with self._exporting:
            try:
                with await received(request.stream()) as data:
                    return JSONResponse(await asyncio.to_thread(self._runtime.export_check, data, query))
            except TooLargeError as error:
                return _error(413, "too_large", f"allowed: {error.largest} bytes; use `guard export check` for more")
            except BadFormatError as error:
                return _error(400, "bad_request", str(error))
            except BadDataError as error:
                log.info("export check: a data set that cannot be read, line %d", error.line)
                return _error(400, "bad_data", error.what, error.line)
            except NoIndexError:
                return _error(409, "no_index", "nothing was recorded here; allowed: a gateway with outputs.receipts")


def _error(status: int, code: str, message: str, line: int = 0) -> Response:
    place = {"line": line} if line else {}
    return JSONResponse({"error": {"code": code, "message": message, **place}}, status)
