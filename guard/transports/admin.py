"""The admin port: the API, the console before it, and who may use them."""

import logging
import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from guard.transports.access import Access, AdminExposedError, read_token
from guard.transports.admin_runtime import AdminRuntime
from guard.transports.api import Api
from guard.transports.behind import BusyError
from guard.transports.fresh import Fresh
from guard.transports.listener import Address
from guard.transports.lookup import Lookup
from guard.transports.pages import Pages
from guard.transports.session import Sessions

__all__ = ["AdminExposedError", "AdminRuntime", "build_admin", "read_token"]

log = logging.getLogger("guard.admin")


def build_admin(
    runtime: AdminRuntime,
    *,
    token: str | None,
    listen: str = "127.0.0.1:9090",
    exposition: Callable[[], Awaitable[bytes]] | None = None,
) -> Access:
    """Return the admin port's ASGI app, to be served on ``listen``.

    ``exposition`` returns the metrics where they are more than those of ``runtime``'s registry. Without a ``token`` it
    answers loopback only. Raises AdminExposedError for any other address without one.
    """
    sessions = Sessions(time.time)
    lookup = Lookup(runtime)
    routes = [*Api(runtime, lookup, exposition).routes(), *Pages(runtime, lookup, sessions, token).routes()]
    app = Starlette(routes=routes, exception_handlers={BusyError: _busy, ClientDisconnect: _gone, Exception: _failed})
    app.router.redirect_slashes = False  # it would name the host that the request names, and http
    return Access(Fresh(app, runtime), listen=Address.parse(listen), token=token, sessions=sessions)


async def _busy(_: Request, __: Exception) -> Response:
    error = {"code": "busy", "message": "too many ask for what takes time; ask again"}
    return JSONResponse({"error": error}, 503, {"retry-after": "1"})


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _failed(_: Request, error: Exception) -> Response:
    log.error("admin request failed", exc_info=error)
    return JSONResponse({"error": {"code": "internal", "message": "see the log"}}, 500)
