"""Serves the client port and the admin port from one event loop, until a signal ends it."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from socket import socket
from typing import Any

import uvloop

from guard.observability.logs import note_unhandled
from guard.transports.listener import ADMIN_CONNECTIONS, Address, StartupError, bind, close_silent, release
from guard.transports.quiet import QuietServer

__all__ = ["Bound", "Drain", "StartupError", "run_sidecar", "serve_sidecar"]

log = logging.getLogger("guard.server")

EX_KILLED = 143
"""As shells count the end by SIGTERM: 128 and its number."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The addresses in use, with the ports that were chosen for 0."""

    listen: Address
    admin: Address | None


@dataclass(frozen=True, slots=True)
class Drain:
    """How serving ends: readiness goes at once, the client port ``delay`` seconds later, answers have ``seconds`` more.

    ``begin`` is called when the end begins, ``cut`` when answers that are not whole are to be ended.
    """

    delay: float = 0.0
    seconds: float = 30.0
    begin: Callable[[], None] = lambda: None
    cut: Callable[[], Awaitable[None]] | None = None


def run_sidecar(
    app: Any,
    listen: str,
    admin_app: Any,
    admin_listen: str | None,
    *,
    on_ready: Callable[[Bound], None] | None = None,
    reload: Callable[[], Awaitable[object]] | None = None,
    drain: Drain = Drain(),
) -> None:
    """Serve until SIGTERM or SIGINT on an event loop of its own; see ``serve_sidecar``."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(note_unhandled)
        runner.run(serve_sidecar(app, listen, admin_app, admin_listen, on_ready=on_ready, reload=reload, drain=drain))


async def serve_sidecar(
    app: Any,
    listen: str,
    admin_app: Any,
    admin_listen: str | None,
    *,
    on_ready: Callable[[Bound], None] | None = None,
    reload: Callable[[], Awaitable[object]] | None = None,
    drain: Drain = Drain(),
) -> None:
    """Serve ``app`` on ``listen`` and ``admin_app`` (None: no admin port) on ``admin_listen`` until SIGTERM or SIGINT.

    ``on_ready`` is called once, when the ports accept connections. The first signal begins ``drain``, while the admin
    port goes on answering; a second one ends delay and waiting, a third everything at once. SIGHUP awaits ``reload``.
    ``app`` must speak the lifespan protocol. Returns after all is closed.
    Raises StartupError if an address cannot be bound or the app's startup fails, ValueError for what is no address.
    """
    wanted = [("listen", Address.parse(listen))]
    if admin_app is not None and admin_listen is not None:
        wanted.append(("admin", Address.parse(admin_listen)))
    bound: list[tuple[socket, Address]] = []
    try:
        for name, address in wanted:
            bound.append(bind(address, name))
        servers = [QuietServer(app, grace=drain.seconds, lifespan="on", cut=drain.cut)]
        if len(bound) > 1:
            servers.append(QuietServer(admin_app, grace=1, lifespan="off", most=ADMIN_CONNECTIONS))
        with _signals(servers, reload, drain):
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
def _signals(
    servers: list[QuietServer], reload: Callable[[], Awaitable[object]] | None, drain: Drain
) -> Generator[None, None, None]:
    """Handle SIGTERM, SIGINT and SIGHUP while the servers run."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Future[None]] = set()
    client, signaled = servers[0], 0

    def leave() -> None:
        client.should_exit = True

    def stop() -> None:
        nonlocal signaled
        signaled += 1
        if signaled == 1:
            drain.begin()
            client.server_state.draining = True
            wait = drain.delay if client.up.is_set() else 0.0
            log.info("stopping: accepting for %g s, then %g s for answers in flight", wait, drain.seconds)
            if wait:
                loop.call_later(wait, leave)
                return
        elif signaled == 2:
            log.warning("stopping at once: answers in flight are cut")
            client.hurry.set()
        else:
            log.warning("ending without closing anything")
            os._exit(EX_KILLED)
        leave()

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
