"""Whoever asks the admin port for something that is kept in files gets it as the files are now."""

from guard.transports.access import ASGIApp, Receive, Scope, Send
from guard.transports.admin_runtime import AdminRuntime

UNREAD = frozenset({"/metrics", "/healthz", "/readyz", "/login", "/console.css", "/icon.svg"})
"""Paths whose answers are from memory alone: those that are asked for all the time, and those without facts."""


class Fresh:
    """Has ``runtime`` bring its facts up to date before ``app`` answers a GET."""

    def __init__(self, app: ASGIApp, runtime: AdminRuntime) -> None:
        self._app = app
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"] not in UNREAD:
            await self._runtime.refresh()
        await self._app(scope, receive, send)
