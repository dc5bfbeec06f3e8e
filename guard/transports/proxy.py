"""The sidecar's inner application: what Guard lets through goes to the inference server, its answer comes back."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

from guard.transports.disconnect import DisconnectWatch, disconnect_of
from guard.transports.upstream import Response, Upstream, UpstreamBroken, UpstreamError, UpstreamGarbled

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 section 7.6.1; whatever a Connection header names comes on top."""
_NOT_FORWARDED = HOP_BY_HOP | {b"host", b"content-length", b"accept-encoding", b"expect"}
_NOT_RETURNED = HOP_BY_HOP | {b"date", b"server"}  # the server in front writes its own
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.~-]+").fullmatch


class ProxyApp:
    """An ASGI app that forwards each request to ``upstream``.

    Raises an UpstreamError before ``http.response.start`` was sent, or UpstreamBroken after it; sends nothing by itself
    in either case. When the client has gone it closes the upstream connection and returns. The path is encoded anew
    from the decoded ``scope["path"]``: the one the policy decided on is the one that is sent.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: ``http``, or ``lifespan``, at whose end the pool is closed."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"scope type {scope['type']!r}; allowed: http, lifespan")
        body = await _whole_body(receive)
        if body is None:
            return
        task = asyncio.current_task()
        assert task is not None, "an ASGI app runs in a task"
        watch = DisconnectWatch(receive, task, disconnect_of(scope))
        response: Response | None = None
        started = False
        try:
            if watch.gone:
                return
            response = await self._upstream.request(
                scope["method"], _target(scope), end_to_end(scope["headers"], _NOT_FORWARDED), body
            )
            headers = end_to_end(response.headers, _NOT_RETURNED)
            for name, value in headers:
                if name == b"content-encoding" and value.lower() != b"identity":
                    raise UpstreamGarbled("a content coding although none was accepted: it cannot be screened")
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            started = True
            more = True
            while more:
                data = await response.read()
                more = not response.ended
                await send({"type": "http.response.body", "body": data, "more_body": more})
        except UpstreamError as error:
            if started:
                raise UpstreamBroken(error.reason) from error
            raise
        except asyncio.CancelledError:
            if not watch.gone or task.uncancel():
                raise
        finally:
            watch.close()
            if response is not None:
                response.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self._upstream.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _whole_body(receive: Receive) -> bytes | None:
    """Return the request's body, or None if the client went away first."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = [body]
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
    return b"".join(parts)


def _target(scope: Scope) -> str:
    path: str = scope["path"]
    if not _PLAIN_PATH(path):
        path = quote(path, safe="/~:@!$&'()*+,;=")
    query: bytes = scope.get("query_string", b"")
    return f"{path}?{query.decode('ascii')}" if query else path


def end_to_end(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> Headers:
    """Return ``headers`` (lower-case names) without ``dropped`` and without those a Connection header names."""
    kept: Headers = []
    named: set[bytes] = set()
    for header in headers:
        name = header[0]
        if name not in dropped:
            kept.append(header)
        if name == b"connection":
            named.update(token.strip().lower() for token in header[1].split(b","))
    if named - {b"keep-alive", b"close"}:
        kept = [header for header in kept if header[0] not in named]
    return kept
