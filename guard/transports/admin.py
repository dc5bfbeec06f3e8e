"""The admin port: metrics, health, reload, the API and the console. No answer holds user text."""

import asyncio
import logging
from io import BufferedRandom
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from guard.console.page import STYLE, render
from guard.exchange.snapshot import Snapshot
from guard.observability.metrics import exposition
from guard.transports.access import Access, AdminExposedError, read_token
from guard.transports.listener import Address
from guard.transports.upload import (
    BadDataError,
    BadFormatError,
    NoIndexError,
    Query,
    QueryError,
    TooLargeError,
    received,
)

__all__ = ["AdminExposedError", "AdminRuntime", "build_admin", "read_token"]

log = logging.getLogger("guard.admin")

MAX_DECISIONS = 1000
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class AdminRuntime(Protocol):
    """What the admin port shows and does. Everything but ``reload`` and ``export_check`` answers from memory."""

    @property
    def snapshot(self) -> Snapshot:
        """The policy in force."""

    @property
    def registry(self) -> CollectorRegistry:
        """Where the metrics are."""

    def usage(self) -> list[dict[str, Any]]:
        """Return by license: license, period, users, lower, upper, exact, reasons, limits.

        ``limits`` is a list of id, value, state, standing, clause.
        """

    def policy(self) -> dict[str, Any]:
        """Return what the policy in force is and how the last reload went."""

    def decisions(self, limit: int) -> list[dict[str, Any]]:
        """Return the last decisions other than plain allows, newest first."""

    def candidate_facts(self) -> dict[str, Any]:
        """Return the candidate policy, None if there is none, and the last decisions it would have made otherwise."""

    def obligations(self) -> list[dict[str, Any]]:
        """Return what is owed: kind, text, trigger, license, clause, status."""

    async def reload(self) -> dict[str, Any]:
        """Load the policy anew and return ok, hash, problems."""

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether requests can be served, and what each part says."""

    def export_check(self, data: BufferedRandom, query: Query) -> dict[str, Any]:
        """Return the export gate's statement on a data set; takes its time and runs in a thread.

        Raises what ``guard.transports.export.check_body`` raises.
        """


def build_admin(runtime: AdminRuntime, *, token: str | None, listen: str = "127.0.0.1:9090") -> Access:
    """Return the admin port's ASGI app, to be served on ``listen``.

    Without a ``token`` it answers loopback only. Raises AdminExposedError for any other address without one.
    """
    admin = _Admin(runtime)
    routes = [
        Route("/metrics", admin.metrics),
        Route("/healthz", admin.healthz),
        Route("/readyz", admin.readyz),
        Route("/-/reload", admin.reload, methods=["POST"]),
        Route("/api/v1/usage", admin.usage),
        Route("/api/v1/policy", admin.policy),
        Route("/api/v1/candidate", admin.candidate),
        Route("/api/v1/decisions", admin.decisions),
        Route("/api/v1/obligations", admin.obligations),
        Route("/api/v1/export/check", admin.export_check, methods=["POST"]),
        Route("/", admin.console),
        Route("/console.css", admin.style),
    ]
    app = Starlette(routes=routes, exception_handlers={Exception: _failed})
    return Access(app, listen=Address.parse(listen), token=token)


class _Admin:
    def __init__(self, runtime: AdminRuntime) -> None:
        self._runtime = runtime
        self._exporting = asyncio.Lock()

    async def metrics(self, _: Request) -> Response:
        return Response(exposition(self._runtime.registry), media_type=METRICS_TYPE)

    async def healthz(self, _: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(self, request: Request) -> Response:
        ready, parts = self._runtime.ready()
        body: dict[str, Any] = {"ready": ready}
        if request.scope["guard.trusted"]:
            body["parts"] = parts
        return JSONResponse(body, 200 if ready else 503)

    async def reload(self, _: Request) -> Response:
        result = await self._runtime.reload()
        return JSONResponse(result, 200 if result.get("ok") else 422)

    async def usage(self, _: Request) -> Response:
        return JSONResponse({"usage": self._runtime.usage()})

    async def policy(self, _: Request) -> Response:
        return JSONResponse(self._runtime.policy())

    async def candidate(self, _: Request) -> Response:
        return JSONResponse(self._runtime.candidate_facts())

    async def decisions(self, request: Request) -> Response:
        text = request.query_params.get("limit", "50")
        if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_DECISIONS):
            return _error(400, "bad_request", f"limit: allowed: 1 to {MAX_DECISIONS}")
        return JSONResponse({"decisions": self._runtime.decisions(int(text))})

    async def obligations(self, _: Request) -> Response:
        return JSONResponse({"obligations": self._runtime.obligations()})

    async def export_check(self, request: Request) -> Response:
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

    async def console(self, _: Request) -> Response:
        runtime = self._runtime
        ready, parts = runtime.ready()
        page = render(
            runtime.snapshot,
            usage=runtime.usage(),
            obligations=runtime.obligations(),
            decisions=runtime.decisions(25),
            candidate=runtime.candidate_facts(),
            ready=ready,
            parts=parts,
        )
        return Response(page, media_type="text/html; charset=utf-8")

    async def style(self, _: Request) -> Response:
        return Response(STYLE, media_type="text/css; charset=utf-8")


def _error(status: int, code: str, message: str, line: int = 0) -> Response:
    place = {"line": line} if line else {}
    return JSONResponse({"error": {"code": code, "message": message, **place}}, status)


async def _failed(_: Request, error: Exception) -> Response:
    if not isinstance(error, ClientDisconnect):
        log.error("admin request failed", exc_info=error)
    return _error(500, "internal", "see the log")
