"""Who may use the admin port.

On loopback the network is the credential, so a web page in the operator's browser must not be able to borrow it: the
Host header has to name loopback (a rebound DNS name does not) and a request has to come from the page itself or from no
page at all, but for a link that is followed. With a token, every request carries it, or the cookie of a session that
began with it. A cookie is sent by the browser whatever page asks, so it opens pages and their forms, never a POST of
the API. Free are the two probes, the log-in and what that page is drawn with.
"""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from guard.console.layout import PAGES
from guard.transports.listener import Address
from guard.transports.origin import OWN_SITES, Headers, names_loopback, only, own_page, port, read_by_own_page
from guard.transports.session import SECONDS, Session, Sessions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MIN_TOKEN = 16
"""Characters."""
PROBES = frozenset({"/healthz", "/readyz"})
FORMS = frozenset({"/policy/reload", "/logout"})
"""Paths that a form of the console is posted to; its token is checked where it is read."""
_DRAWN = frozenset({"/console.css", "/icon.svg"})
_READING = frozenset({"GET", "HEAD"})
_NO_SCRIPT = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: list[tuple[bytes, bytes]] = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", _NO_SCRIPT),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer a browser hides the Origin of our own forms, too
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


class _Ruling(NamedTuple):
    status: int = 0
    """0, or what the request is refused with."""
    session: Session | None = None
    trusted: bool = True


class Access:
    """An ASGI wrapper that lets only permitted requests reach ``app`` and puts security headers on every answer.

    ``scope["guard.trusted"]`` tells the app whether the caller was checked (False for what is free),
    ``scope["guard.session"]`` the session whose cookie it was, or None. Raises AdminExposedError for an address other
    than loopback without a token.
    """

    def __init__(self, app: ASGIApp, *, listen: Address, token: str | None, sessions: Sessions) -> None:
        if token is None and not listen.loopback:
            raise AdminExposedError(
                f"admin: {listen} can be reached from the network; allowed: a loopback address, or an admin_token_file"
            )
        self._app = app
        self._token = None if token is None else token.encode("ascii")
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, refuse it with 401 or 403, or send a browser to the log-in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        ruling = self._local(scope) if self._token is None else self._remote(scope, self._token)
        if ruling.status and scope["path"] in PROBES and scope["method"] in _READING:
            ruling = _Ruling(trusted=False)
        if ruling.status == 401 and _is_browser(scope):
            await _log_in(guarded, scope)
        elif ruling.status:
            await _refuse(guarded, ruling.status)
        else:
            scope["guard.trusted"], scope["guard.session"] = ruling.trusted, ruling.session
            await self._app(scope, receive, guarded)

    def _local(self, scope: Scope) -> _Ruling:
        """Rule where the network is the credential."""
        headers: Headers = scope["headers"]
        if not names_loopback(headers):
            return _Ruling(403)
        if scope["method"] in _READING:
            return _Ruling(0 if read_by_own_page(headers) else 403)
        origin, host = only(headers, b"origin"), only(headers, b"host") or b""
        own = origin is None or origin == b"http://" + host
        return _Ruling(0 if own and only(headers, b"sec-fetch-site") in OWN_SITES else 403)

    def _remote(self, scope: Scope, token: bytes) -> _Ruling:
        """Rule where the token is the credential."""
        headers, path, reading = scope["headers"], scope["path"], scope["method"] in _READING
        scheme, _, given = (only(headers, b"authorization") or b"").partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token):
            return _Ruling()
        session = self._session(headers)
        if session is not None and reading and read_by_own_page(headers):
            return _Ruling(session=session)
        if session is not None and not reading and path in FORMS:
            return _Ruling(session=session) if own_page(headers) else _Ruling(403)
        if path == "/login" or (path in _DRAWN and reading):
            return _Ruling(session=session, trusted=False)
        return _Ruling(401)

    def _session(self, headers: Headers) -> Session | None:
        names = {cookie_name(headers, secure=secure) for secure in (True, False)}
        for key, line in headers:
            if key != b"cookie":
                continue
            for pair in line.decode("latin-1").split(";"):
                name, _, value = pair.strip().partition("=")
                found = self._sessions.find(value) if name in names else None
                if found is not None:
                    return found
        return None


def cookie_name(headers: Headers, *, secure: bool) -> str:
    """Return the name of the session's cookie at the address that was asked for.

    Cookies do not know ports: with the port in its name, the consoles of two Guards on one host do not overwrite each
    other's. A secure one begins with ``__Host-``, which no other host and no page without HTTPS can set.
    """
    asked = port(headers)
    return ("__Host-guard" if secure else "guard") + (f"-{asked}" if asked else "")


def cookie(headers: Headers, value: str, *, secure: bool) -> str:
    """Return the ``Set-Cookie`` line that begins a session, or, with an empty ``value``, forgets its cookie."""
    seconds = SECONDS if value else 0
    line = f"{cookie_name(headers, secure=secure)}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}"
    return f"{line}; Secure" if secure else line


def own_path(next_: str) -> str:
    """Return ``next_`` if it is a page of the console, else the first page: a log-in leads nowhere else."""
    path = next_.partition("?")[0]
    plain = next_.isascii() and next_.isprintable() and not {" ", "\\"} & set(next_)
    known = path in PAGES or (path.startswith("/decisions/") and "//" not in path)
    return next_ if plain and known else "/"


def _is_browser(scope: Scope) -> bool:
    """Return whether a person waits for a page: whoever else asks for one is told that a token is missing."""
    accepts = any(key == b"accept" and b"text/html" in value for key, value in scope["headers"])
    path: str = scope["path"]
    return accepts and scope["method"] in _READING and (path in PAGES or path.startswith("/decisions/"))


async def _log_in(send: Send, scope: Scope) -> None:
    query = scope.get("query_string", b"").decode("latin-1")
    next_ = own_path(quote(scope["path"]) + (f"?{query}" if query else ""))
    target = "/login" if next_ == "/" else f"/login?next={quote(next_)}"
    headers = [(b"location", target.encode("ascii")), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(send: Send, status: int) -> None:
    body = b'{"error":{"code":"%s"}}' % (b"unauthorized" if status == 401 else b"forbidden")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="guard"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
