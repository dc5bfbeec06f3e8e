"""The console's pages on the admin port, with the log-in before them and the forms on them."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from guard.console import login as form
from guard.console.about import about
from guard.console.decision import decision, unknown
from guard.console.decisions import Sought, decisions
from guard.console.exports import exports
from guard.console.layout import ICON, STYLE, Frame
from guard.console.obligations import obligations
from guard.console.overview import overview
from guard.console.policy import policy
from guard.transports.access import cookie, own_path
from guard.transports.admin_runtime import MAX_DECISIONS, AdminRuntime
from guard.transports.behind import Behind
from guard.transports.lookup import Lookup
from guard.transports.origin import names_loopback, only, over_https, own_page
from guard.transports.session import Guesses, Sessions

DRAWN = 32
"""Pages that are drawn, and wait for it, at once."""
_FORM_BYTES = 8 * 1024


class Pages:
    """The console of ``runtime``; ``token`` is None where nobody has to log in."""

    def __init__(self, runtime: AdminRuntime, lookup: Lookup, sessions: Sessions, token: str | None) -> None:
        self._runtime, self._lookup = runtime, lookup
        self._drawing = Behind("guard-pages", DRAWN)
        self._sessions = sessions
        self._token = token
        self._guesses = Guesses(time.monotonic)

    def routes(self) -> list[Route]:
        """Return where the pages are."""
        return [
            Route("/", self.overview),
            Route("/decisions", self.decisions),
            Route("/decisions/{reference}", self.decision),
            Route("/policy", self.policy),
            Route("/policy/reload", self.reload, methods=["GET", "POST"]),
            Route("/obligations", self.obligations),
            Route("/exports", self.exports),
            Route("/about", self.about),
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/logout", self.logout, methods=["GET", "POST"]),
            Route("/console.css", self.style),
            Route("/icon.svg", self.icon),
        ]

    async def overview(self, request: Request) -> Response:
        """What stands against the licenses, what is owed next, and how every part is."""
        runtime = self._runtime
        facts = {"usage": runtime.usage(), "due": runtime.due(), "health": runtime.health()["parts"]}
        return await self._drawn(overview, self._frame(request), **facts, warnings=runtime.snapshot.warnings)

    async def decisions(self, request: Request) -> Response:
        """The decisions that are asked for; one whose whole reference is given is shown itself."""
        sought = Sought.parse(request.query_params)
        if await self._lookup.find(sought.reference, request.receive) is not None:
            return RedirectResponse(f"/decisions/{sought.reference}", 303)
        runtime, frame = self._runtime, self._frame(request)

        def drawn() -> str:
            return decisions(frame, recent=runtime.decisions(MAX_DECISIONS), history=runtime.history(), sought=sought)

        return await self._drawn(drawn)

    async def decision(self, request: Request) -> Response:
        """One decision."""
        reference: str = request.path_params["reference"]
        found = await self._lookup.find(reference, request.receive)
        if found is None:
            return _html(unknown(self._frame(request), reference[:64]), 404)
        return await self._drawn(decision, self._frame(request), reference, found)

    async def policy(self, request: Request) -> Response:
        """The policy in force and how it came there."""
        return await self._policy(request)

    async def reload(self, request: Request) -> Response:
        """Load the policy because somebody pressed the button, and show how it went."""
        if request.method != "POST":
            return RedirectResponse("/policy", 303)
        if not await self._is_ours(request):
            return await self._policy(request, {"ok": False, "problems": [form.FOREIGN]}, 403)
        result = await self._runtime.reload()
        return await self._policy(request, result, 200 if result.get("ok") else 422)

    async def obligations(self, request: Request) -> Response:
        """What is owed."""
        runtime = self._runtime
        return await self._drawn(obligations, self._frame(request), due=runtime.due(), owed=runtime.obligations())

    async def exports(self, request: Request) -> Response:
        """The export checks."""
        return await self._drawn(exports, self._frame(request), checks=self._runtime.export_checks())

    async def about(self, request: Request) -> Response:
        """What the numbers mean."""
        return await self._drawn(about, self._frame(request), usage=self._runtime.usage())

    async def login(self, request: Request) -> Response:
        """Ask for the token once; whoever has it gets a session."""
        if self._token is None or (request.method != "POST" and request.scope["guard.session"] is not None):
            return RedirectResponse("/", 303)
        headers = request.scope["headers"]
        exposed = only(headers, b"sec-fetch-site") is None and not names_loopback(headers)
        if request.method != "POST":
            ended = form.ENDED if request.query_params.get("ended") == "1" else ""
            return _html(form.login(own_path(request.query_params.get("next", "/")), message=ended, exposed=exposed))
        given = await _form(request)
        next_ = own_path(given.get("next", "/"))
        if not own_page(headers):
            return _html(form.login(next_, message=form.FOREIGN, error=True, exposed=exposed), 403)
        address = request.client.host if request.client else ""
        if not self._guesses.admit(address):
            return _html(
                form.login(next_, message=form.TOO_MANY, error=True, exposed=exposed), 429, {"retry-after": "60"}
            )
        if not self._sessions.is_secret(self._token, given.get("token", "").strip()):
            return _html(form.login(next_, message=form.WRONG, error=True, exposed=exposed), 403)
        self._guesses.forget(address)
        answer = RedirectResponse(next_, 303)
        answer.headers.append("set-cookie", cookie(headers, self._sessions.begin(), secure=over_https(headers)))
        return answer

    async def logout(self, request: Request) -> Response:
        """End the session, for its browser and for whoever has its cookie."""
        session = request.scope["guard.session"]
        if session is None or request.method != "POST" or not await self._is_ours(request):
            return RedirectResponse("/", 303)
        self._sessions.end(session)
        answer = RedirectResponse("/login?ended=1", 303)
        for secure in (True, False):
            answer.headers.append("set-cookie", cookie(request.scope["headers"], "", secure=secure))
        return answer

    async def style(self, _: Request) -> Response:
        """What the pages look like."""
        return Response(STYLE, media_type="text/css")

    async def icon(self, _: Request) -> Response:
        """What stands beside the page's name in a browser."""
        return Response(ICON, media_type="image/svg+xml")

    async def _drawn(self, page: Callable[..., str], *facts: Any, status: int = 200, **more: Any) -> Response:
        """Return a page of facts that nobody changes any more; drawn in a thread, so that clients need not wait."""
        return _html(await self._drawing.run(lambda _: page(*facts, **more)), status)

    async def _policy(self, request: Request, reloaded: dict[str, Any] | None = None, status: int = 200) -> Response:
        runtime = self._runtime
        return await self._drawn(
            policy,
            self._frame(request),
            found=runtime.policy(),
            candidate=runtime.candidate_facts(),
            unknown_models=runtime.snapshot.allow_unknown_models,
            reloaded=reloaded,
            status=status,
        )

    def _frame(self, request: Request) -> Frame:
        session, snapshot = request.scope["guard.session"], self._runtime.snapshot
        return Frame(
            snapshot.mode.value,
            snapshot.hash,
            self._runtime.ready()[0],
            time.time(),
            self._sessions.form_token(session),
            session is not None,
        )

    async def _is_ours(self, request: Request) -> bool:
        """Return whether a form that changes something is one of ours."""
        given = (await _form(request)).get("form_token", "")
        return self._sessions.is_form_token(request.scope["guard.session"], given)


def _html(page: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(page, status, headers, media_type="text/html")


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form; nothing of one that is larger than any of ours."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _FORM_BYTES:
            return {}
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=16))
    except ValueError:
        return {}
