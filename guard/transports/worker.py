"""One of several processes on a client port: it serves on the sockets it was handed and answers its supervisor.

It ends as ``guard serve`` does by SIGTERM, which the supervisor sends it, or when the line to the supervisor ends.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from typing import Any

from guard.observability.metrics import exposition
from guard.transports.fleet import Fleet
from guard.transports.line import Answer, Line, LineBrokenError
from guard.transports.listener import Address, reserve
from guard.transports.post import Post
from guard.transports.runtime import Runtime
from guard.transports.server import Bound, Drain, Handed, serve_handed

log = logging.getLogger("guard.workers")

SECONDS = 10.0


async def serve_worker(
    app: Any,
    runtime: Runtime,
    post: Post,
    *,
    admin_app: Any = None,
    fleet: Fleet | None = None,
    drain: Drain,
) -> None:
    """Serve ``app``, and ``admin_app`` for all workers in the one that was handed the admin port, until SIGTERM.

    ``fleet`` is what the admin app asks. Raises StartupError as ``serve_sidecar`` does.
    """
    client, listen = _client(post)
    line = await Line.open(post.socket(post.line), _answers(runtime, post, fleet))
    if fleet is not None:
        fleet.line = line
    following = asyncio.ensure_future(_follow(line, runtime))
    said: set[asyncio.Task[None]] = set()

    def up(_: Bound) -> None:
        said.add(asyncio.ensure_future(_tell(line)))

    admin = post.socket(post.admin) if post.admin >= 0 else None
    handed = Handed(client, listen, admin, linger=_linger(line) if admin is not None else None)
    try:
        await serve_handed(app, handed, admin_app, on_ready=up, drain=drain)
    finally:
        following.cancel()
        await _leave(line, runtime)
        await line.close()
        client.close()


def _client(post: Post) -> tuple[Any, Address]:
    """Return this worker's socket of the client port."""
    if post.client >= 0:
        handed = post.socket(post.client)
        return handed, Address(path=handed.getsockname())
    return reserve(Address(post.host, post.port), "listen", shared=True)


def _answers(runtime: Runtime, post: Post, fleet: Fleet | None) -> Mapping[str, Answer]:
    async def ready(_: Any) -> Any:
        return runtime.ready()

    async def metrics(_: Any) -> str:
        return exposition(runtime.registry).decode()

    async def reload(_: Any) -> Any:
        return await runtime.reload()

    async def facts(_: Any) -> Any:
        return {
            "number": post.number, "health": runtime.health()["parts"], "candidate": runtime.candidate_facts(),
        }  # fmt: skip

    answers: dict[str, Answer] = {"ready": ready, "metrics": metrics, "reload": reload, "facts": facts}
    return answers if fleet is None else {**answers, "fleet": fleet.hear}


def _linger(line: Line) -> Callable[[], Any]:
    async def linger() -> None:
        """Let the admin port answer until no other worker is left, or no supervisor to say so."""
        try:
            await line.ask("others", seconds=3600)
        except LineBrokenError as error:
            log.debug("no waiting for the other workers: %s", error)

    return linger


async def _tell(line: Line) -> None:
    """Say that connections are accepted."""
    try:
        await line.ask("up", seconds=SECONDS)
    except LineBrokenError as error:
        log.warning("the supervisor does not hear that this worker is up: %s", error)


async def _leave(line: Line, runtime: Runtime) -> None:
    """Say what was counted to the end: nobody can ask any more."""
    try:
        await line.ask("last", exposition(runtime.registry).decode(), seconds=SECONDS)
    except LineBrokenError as error:
        log.debug("the last metrics are not heard: %s", error)


async def _follow(line: Line, runtime: Runtime) -> None:
    """End with the supervisor: without it nobody would replace this process, or pass a signal on to it."""
    await line.gone()
    if not runtime.draining:  # else it ends already, and a second signal would hurry it
        log.error("the supervisor is gone; this worker ends")
        signal.raise_signal(signal.SIGTERM)
