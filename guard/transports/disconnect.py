"""Notices that the client has gone while the task that serves it waits for something else."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, cast

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class DisconnectWatch:
    """Runs an ASGI ``receive`` beside the current task and cancels that task when it returns ``http.disconnect``.

    ``receive`` is stepped by hand from its futures' callbacks, which costs half of what a task of its own does on every
    request. It must be a coroutine function that waits for nothing but asyncio futures and does not ask for the current
    task; uvicorn's is one.
    """

    __slots__ = ("_coroutine", "_future", "_receive", "_task", "gone")

    def __init__(self, receive: Receive, task: "asyncio.Task[Any]") -> None:
        self.gone = False
        """True once the client has gone. If it had when the watch began, the task is not canceled: look here first."""
        self._receive = receive
        self._task: asyncio.Task[Any] | None = None
        self._future: asyncio.Future[Any] | None = None
        self._coroutine = cast("Coroutine[Any, Any, Message]", receive())
        self._step(None)
        self._task = task

    def close(self) -> None:
        """Stop watching. Idempotent."""
        future, self._future = self._future, None
        if future is not None:
            future.remove_done_callback(self._step)
        self._coroutine.close()

    def _step(self, _: object) -> None:
        self._future = None
        future: Any = self
        while future is self:
            try:
                future = self._coroutine.send(None)
            except StopIteration as stop:
                if stop.value["type"] == "http.disconnect":
                    self._leave()
                    return
                self._coroutine = cast("Coroutine[Any, Any, Message]", self._receive())
            except Exception:  # noqa: BLE001 - a receive that fails has no client to speak of
                self._leave()
                return
        if future is None:  # a bare yield (asyncio.sleep(0)): go on in the next turn of the loop
            future = asyncio.get_running_loop().create_future()
            future.set_result(None)
        else:
            future._asyncio_future_blocking = False  # noqa: SLF001 - what awaiting it set, as a task would clear it
        future.add_done_callback(self._step)
        self._future = future

    def _leave(self) -> None:
        self.gone = True
        if self._task is not None:
            self._task.cancel()
