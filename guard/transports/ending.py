"""How a server's connections end: answers finish, or are cut, and nobody waits for ever."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

TICK = 0.05
CUT_SECONDS = 2.0
"""Within which answers that were cut short have to be taken by their clients."""
LEAVE_SECONDS = 1.0
"""Within which whatever is then still at work has to notice that its client is gone."""


class Open(Protocol):
    """What a server has open."""

    @property
    def connections(self) -> "set[Any]":
        """Each with ``shutdown`` (close when idle, else with the answer) and a ``transport``."""

    @property
    def tasks(self) -> "set[asyncio.Task[None]]":
        """What answers requests."""

    draining: bool


async def end_connections(
    state: Open,
    grace: float,
    cut: Callable[[], Awaitable[None]] | None = None,
    hurry: asyncio.Event | None = None,
) -> None:
    """Let answers finish or cut them, and close every connection.

    Takes at most ``grace``, CUT_SECONDS and twice LEAVE_SECONDS. ``hurry`` ends the wait for answers.
    """
    state.draining = True
    for connection in list(state.connections):
        connection.shutdown()  # closes what is idle; the others close with their answers
    await _quiet(state, grace, hurry)
    if not _at_rest(state) and cut is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CUT_SECONDS):
                await cut()
                await _quiet(state, CUT_SECONDS)
    for connection in list(state.connections):
        connection.transport.abort()
    await _quiet(state, LEAVE_SECONDS)
    left = list(state.tasks)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LEAVE_SECONDS)


def _at_rest(state: Open) -> bool:
    return not state.connections and not state.tasks


async def _quiet(state: Open, seconds: float, hurry: asyncio.Event | None = None) -> None:
    """Return when nothing is open any more, ``seconds`` are over or ``hurry`` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            # servers keep sets of what is open, and tell nobody of changes
            while not (_at_rest(state) or (hurry is not None and hurry.is_set())):  # noqa: ASYNC110 - see above
                await asyncio.sleep(TICK)
