"""Serves the client port and the admin port from one event loop, until a signal ends it."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from socket import socket
from typing import Any

import uvloop

from guard.observability.logs import note_unhandled
from guard.transports.client.server import ClientServer
from guard.transports.listener import Address, StartupError, bind, release
from guard.transports.quiet import ADMIN_CONNECTIONS, QuietServer

__all__ = ["Bound", "Drain", "Handed", "StartupError", "run", "run_sidecar", "serve_handed", "serve_sidecar"]

log = logging.getLogger("guard.server")

YOUNG = 10_000
"""Objects more than before at which the process looks for cycles among the young ones. Requests leave none behind, but
many of them at once are many objects, and every look costs as long as nothing is found (Python's own number is 700)."""
EX_KILLED = 143
"""As shells count the end by SIGTERM: 128 and its number."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The addresses in use, with the ports that were chosen for 0."""

    listen: Address
    admin: Address | None


@dataclass(frozen=True, slots=True)
class Handed:
    """Sockets that somebody else made, which are closed here and whose files stay, and what others have to do with it.

    ``client`` need not listen yet: it does when the application has started.
    """

    client: socket
    listen: Address
    admin: socket | None = None
    admin_listen: Address | None = None
    linger: Callable[[], Awaitable[None]] | None = None
    """Awaited before the admin port is closed."""


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
    run(serve_sidecar(app, listen, admin_app, admin_listen, on_ready=on_ready, reload=reload, drain=drain))


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Run ``serving`` to its end on an event loop of its own."""
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(note_unhandled)
        runner.run(serving)


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
        client, admin = bound[0], bound[1] if len(bound) > 1 else (None, None)
        await serve_handed(app, Handed(*client, *admin), admin_app, on_ready=on_ready, reload=reload, drain=drain)
    finally:
        for listener, address in bound:
            release(listener, address)


async def serve_handed(
    app: Any,
    handed: Handed,
    admin_app: Any = None,
    *,
    on_ready: Callable[[Bound], None] | None = None,
    reload: Callable[[], Awaitable[object]] | None = None,
    drain: Drain = Drain(),
) -> None:
    """Serve on the sockets ``handed``, as ``serve_sidecar`` does on those that it binds."""
    client = ClientServer(app, grace=drain.seconds, cut=drain.cut)
    servers: list[ClientServer | QuietServer] = [client]
    listeners = [handed.client]
    if handed.admin is not None:
        servers.append(QuietServer(admin_app, most=ADMIN_CONNECTIONS))
        listeners.append(handed.admin)
    with _signals(client, reload, drain):
        await _serve(servers, listeners, Bound(handed.listen, handed.admin_listen), on_ready, handed.linger)


async def _serve(
    servers: list[ClientServer | QuietServer],
    listeners: list[socket],
    bound: Bound,
    on_ready: Callable[[Bound], None] | None,
    linger: Callable[[], Awaitable[None]] | None,
) -> None:
    serving = [asyncio.ensure_future(_run(*pair)) for pair in zip(servers, listeners, strict=True)]
    up = asyncio.ensure_future(_all_up(servers))
    try:
        await asyncio.wait([up, *serving], return_when=asyncio.FIRST_COMPLETED)
        # What is there now stays: a full look for cycles would stop all answers while it walks through a whole policy.
        gc.collect()
        gc.freeze()
        if up.done() and on_ready is not None:
            on_ready(bound)
        await asyncio.wait([serving[0]])
        if linger is not None and not serving[0].cancelled() and serving[0].exception() is None:
            await linger()
    finally:
        gc.unfreeze()
        for server in servers:
            server.should_exit = True
        await asyncio.wait(serving)  # each closes its own connections
        up.cancel()
    for task in serving:
        task.result()


@contextlib.contextmanager
def _signals(
    client: ClientServer, reload: Callable[[], Awaitable[object]] | None, drain: Drain
) -> Generator[None, None, None]:
    """Handle SIGTERM, SIGINT and SIGHUP while the servers run."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Future[None]] = set()
    signaled = 0

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


async def _all_up(servers: list[ClientServer | QuietServer]) -> None:
    for server in servers:
        await server.up.wait()


async def _run(server: ClientServer | QuietServer, listener: socket) -> None:
    await server.serve(sockets=[listener])
    if not server.started:
        raise StartupError("the application did not start; the log says why")


async def _reload(reload: Callable[[], Awaitable[object]]) -> None:
    try:
        await reload()
    except Exception:
        log.exception("reload failed; the policy in force stays")
