"""Who may use the admin port.

On loopback the network is the credential, so a web page in the operator's browser must not be able to borrow it: the
Host header has to name loopback (a rebound DNS name does not) and a POST has to come from the page itself or from no
page at all. With a token, every request carries it; only the two probes are free.
"""

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from guard.transports.listener import Address

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MIN_TOKEN = 16
"""Characters."""
PROBES = frozenset({"/healthz", "/readyz"})
_READING = frozenset({"GET", "HEAD"})
_NO_SCRIPT = b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS: list[tuple[bytes, bytes]] = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", _NO_SCRIPT),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


class AdminExposedError(ValueError):
    """The admin port would be open to the network without a token."""


def read_token(path: Path) -> str:
    """Return the token in ``path``. Raises ValueError, which names the file and what is allowed, and OSError."""
    token = path.read_text(encoding="ascii").strip()
    if len(token) < MIN_TOKEN or not token.isprintable() or " " in token:
        raise ValueError(f"{path}: not a token; allowed: at least {MIN_TOKEN} printable characters without a space")
    return token


class Access:
    """An ASGI wrapper that lets only permitted requests reach ``app`` and puts security headers on every answer.

    ``scope["guard.trusted"]`` tells the app whether the caller was checked (False only for the free probes). Raises
    AdminExposedError for an address other than loopback without a token.
    """

    def __init__(self, app: ASGIApp, *, listen: Address, token: str | None) -> None:
        if token is None and not listen.loopback:
            raise AdminExposedError(
                f"admin: {listen} can be reached from the network; allowed: a loopback address, or an admin_token_file"
            )
        self._app = app
        self._token = None if token is None else token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 401 or 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        status = self._denied(scope)
        if status and not (scope["path"] in PROBES and scope["method"] in _READING):
            await _refuse(guarded, status)
            return
        scope["guard.trusted"] = not status
        await self._app(scope, receive, guarded)

    def _denied(self, scope: Scope) -> int:
        """Return 0, or the status the request is refused with."""
        headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        if self._token is not None:
            return 0 if self._authorized(scope["method"], _only(headers, b"authorization") or b"") else 401
        host = _only(headers, b"host")
        if host is None or not _names_loopback(host.decode("latin-1")):
            return 403
        if scope["method"] in _READING:
            return 0
        origin, site = _only(headers, b"origin"), _only(headers, b"sec-fetch-site")
        own = origin is None or origin == b"http://" + host
        return 0 if own and site in {None, b"none", b"same-origin"} else 403

    def _authorized(self, method: str, value: bytes) -> bool:
        """True for the bearer token, and, so that a browser can show the console, for a password to read with."""
        scheme, _, given = value.partition(b" ")
        given = given.strip()
        if scheme.lower() == b"basic":
            if method not in _READING:  # browsers attach passwords to other sites' forms too
                return False
            try:
                given = b64decode(given, validate=True).partition(b":")[2]
            except NotBase64:
                return False
        elif scheme.lower() != b"bearer":
            return False
        return hmac.compare_digest(given, self._token or b"")


def _only(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the value of ``name``; several values of one name count as a wrong one."""
    found = [value for key, value in headers if key == name]
    return None if not found else found[0] if len(found) == 1 else b""


def _names_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


async def _refuse(send: Send, status: int) -> None:
    body = b'{"error":{"code":"%s"}}' % (b"unauthorized" if status == 401 else b"forbidden")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="guard", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
