"""Serves the client port and the admin port from one event loop, until a signal ends it."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from socket import socket
from typing import Any

import uvicorn
import uvloop

from guard.transports.listener import Address, ClientProtocol, StartupError, bind, close_silent, release

__all__ = ["Bound", "StartupError", "run_sidecar", "serve_sidecar"]

log = logging.getLogger("guard.server")


@dataclass(frozen=True, slots=True)
class Bound:
    """The addresses in use, with the ports that were chosen for 0."""

    listen: Address
    admin: Address | None


class QuietServer(uvicorn.Server):
    """A uvicorn server whose signals are handled by ``serve_sidecar``, and that says when it is up."""

    def __init__(self, app: Any, *, grace: float, lifespan: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=ClientProtocol,
                ws="none",
                interface="asgi3",
                lifespan=lifespan,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # X-Forwarded-For is a claim; the identity policy decides whom to believe
                timeout_keep_alive=75,
                timeout_graceful_shutdown=max(1, round(grace)),
            )
        )
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start and say so."""
        await super().startup(sockets)
        self.up.set()


def run_sidecar(
    app: Any,
    listen: str,
    admin_app: Any,
    admin_listen: str | None,
    *,
    on_ready: Callable[[Bound], None] | None = None,
    reload: Callable[[], Awaitable[object]] | None = None,
    grace: float = 30.0,
) -> None:
    """Serve until SIGTERM or SIGINT on an event loop of its own; see ``serve_sidecar``."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_sidecar(app, listen, admin_app, admin_listen, on_ready=on_ready, reload=reload, grace=grace))


async def serve_sidecar(
    app: Any,
    listen: str,
    admin_app: Any,
    admin_listen: str | None,
    *,
    on_ready: Callable[[Bound], None] | None = None,
    reload: Callable[[], Awaitable[object]] | None = None,
    grace: float = 30.0,
) -> None:
    """Serve ``app`` on ``listen`` and ``admin_app`` (None: no admin port) on ``admin_listen`` until SIGTERM or SIGINT.

    ``on_ready`` is called once, when the ports accept connections. On the first signal the client port stops accepting
    and answers in flight have ``grace`` seconds to finish, while the admin port goes on answering; a second signal ends
    both at once. SIGHUP awaits ``reload``. ``app`` must speak the lifespan protocol. Returns after all is closed.
    Raises StartupError if an address cannot be bound or the app's startup fails, ValueError for what is no address.
    """
    wanted = [("listen", Address.parse(listen))]
    if admin_app is not None and admin_listen is not None:
        wanted.append(("admin", Address.parse(admin_listen)))
    bound: list[tuple[socket, Address]] = []
    try:
        for name, address in wanted:
            bound.append(bind(address, name))
        servers = [QuietServer(app, grace=grace, lifespan="on")]
        if len(bound) > 1:
            servers.append(QuietServer(admin_app, grace=1, lifespan="off"))
        with _signals(servers, reload):
            await _serve(
                servers,
                [listener for listener, _ in bound],
                Bound(bound[0][1], bound[1][1] if len(bound) > 1 else None),
                on_ready,
            )
    finally:
        for listener, address in bound:
            release(listener, address)


async def _serve(
    servers: list[QuietServer], listeners: list[socket], bound: Bound, on_ready: Callable[[Bound], None] | None
) -> None:
    serving = [asyncio.ensure_future(_run(*pair)) for pair in zip(servers, listeners, strict=True)]
    beside = [asyncio.ensure_future(close_silent(server.server_state.connections)) for server in servers]
    up = asyncio.ensure_future(_all_up(servers))
    try:
        await asyncio.wait([up, *serving], return_when=asyncio.FIRST_COMPLETED)
        if up.done() and on_ready is not None:
            on_ready(bound)
        await asyncio.wait([serving[0]])
    finally:
        for server in servers:
            server.should_exit = True
        await asyncio.wait(serving)  # each closes its own connections
        for future in (up, *beside):
            future.cancel()
    for task in serving:
        task.result()


@contextlib.contextmanager
def _signals(servers: list[QuietServer], reload: Callable[[], Awaitable[object]] | None) -> Generator[None, None, None]:
    """Handle SIGTERM, SIGINT and SIGHUP while the servers run."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Future[None]] = set()

    def stop() -> None:
        if servers[0].should_exit:  # the second time: at once
            for server in servers:
                server.should_exit = server.force_exit = True
        servers[0].should_exit = True

    def hang_up() -> None:
        if reload is not None and not reloads:  # one at a time; the one that runs reads what is there now
            task = asyncio.ensure_future(_reload(reload))
            reloads.add(task)
            task.add_done_callback(reloads.discard)

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: hang_up}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
        for task in reloads:
            task.cancel()


async def _all_up(servers: list[QuietServer]) -> None:
    for server in servers:
        await server.up.wait()


async def _run(server: QuietServer, listener: socket) -> None:
    try:
        await server.serve(sockets=[listener])
    except SystemExit as error:  # how uvicorn says that the app's startup failed
        raise StartupError("the application did not start; the log says why") from error
    if not server.started:
        raise StartupError("the application did not start; the log says why")


async def _reload(reload: Callable[[], Awaitable[object]]) -> None:
    try:
        await reload()
    except Exception:
        log.exception("reload failed; the policy in force stays")
