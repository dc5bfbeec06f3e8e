"""Work behind the admin port that takes its time: in a thread of its own, one piece at a time, few in line.

Not in the event loop's executor: there reloads and the end of the process would stand in line behind it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Event, Thread
from typing import TypeVar

PAUSE = 0.0005
"""Seconds that the work lets everybody else run whenever it asks whether to go on."""

T = TypeVar("T")


class BusyError(Exception):
    """Too many are in line."""


class Behind:
    """Does what it is given in turn; ``most`` pieces are under way or in line at once."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._turn = asyncio.Lock()
        self._line = 0

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """Return what ``work`` returns; raises what it raises, and BusyError at once if too many are in line.

        ``work`` is given what it should ask often: False means that nobody waits for it any more. The process does not
        wait for it either.
        """
        if self._line >= self._most:
            raise BusyError
        self._line += 1
        try:
            async with self._turn:
                return await _in_thread(self._name, work)
        finally:
            self._line -= 1


async def _in_thread(name: str, work: Callable[[Callable[[], bool]], T]) -> T:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    left = Event()

    def tell(set_outcome: Callable[[], None]) -> None:
        if not future.done():
            set_outcome()

    def run() -> None:
        try:
            outcome = partial(future.set_result, work(lambda: not left.wait(PAUSE)))
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            loop.call_soon_threadsafe(tell, outcome)

    Thread(target=run, name=name, daemon=True).start()
    try:
        return await future
    finally:
        left.set()
