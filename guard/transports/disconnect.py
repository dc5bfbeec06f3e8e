"""Notices that the client has gone while the task that serves it waits for something else."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, cast

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Tell = Callable[[], None]

EXTENSION = "guard.disconnect"
"""The ASGI extension (a key of ``scope["extensions"]``) whose value is the Disconnect of the request's client."""


class Disconnect:
    """Whether somebody has gone, and who is to be told: by a call, so that nobody has to wait in ``receive``."""

    __slots__ = ("_tells", "gone")

    def __init__(self) -> None:
        self.gone = False
        """True once they have gone."""
        self._tells: list[Tell] = []

    def watch(self, tell: Tell) -> None:
        """Have ``tell`` called when they go. Who has ``gone`` already does not go again: look there first."""
        self._tells.append(tell)

    def forget(self, tell: Tell) -> None:
        """Call ``tell`` no more. Idempotent."""
        if tell in self._tells:
            self._tells.remove(tell)

    def leave(self) -> None:
        """They have gone. Idempotent."""
        if not self.gone:
            self.gone = True
            tells, self._tells = self._tells, []
            for tell in tells:
                tell()


def disconnect_of(scope: MutableMapping[str, Any]) -> Disconnect | None:
    """Return the Disconnect of a request's client, None where the server in front tells by ``receive`` only."""
    extensions = scope.get("extensions")
    return extensions.get(EXTENSION) if extensions else None


class DisconnectWatch:
    """Cancels ``task``, the current one, when the client goes: as ``told``, else when ``receive`` says so.

    ``receive`` is stepped by hand from its futures' callbacks, which costs half of what a task of its own does on every
    request. It must be a coroutine function that waits for nothing but asyncio futures and does not ask for the current
    task; uvicorn's is one.
    """

    __slots__ = ("_coroutine", "_future", "_handle", "_receive", "_task", "_told", "gone")

    def __init__(self, receive: Receive, task: "asyncio.Task[Any]", told: Disconnect | None = None) -> None:
        self.gone = False
        """True once the client has gone. If it had when the watch began, the task is not canceled: look here first."""
        self._receive = receive
        self._task: asyncio.Task[Any] | None = None
        self._future: asyncio.Future[Any] | None = None
        self._handle: asyncio.Handle | None = None
        self._told = told
        self._coroutine: Coroutine[Any, Any, Message] | None = None
        if told is None:
            self._coroutine = cast("Coroutine[Any, Any, Message]", receive())
            self._step(None)
        elif told.gone:
            self.gone = True
        else:
            told.watch(self._hear)
        self._task = task

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if self._told is not None:
            self._told.forget(self._hear)
            if self._handle is not None:
                self._handle.cancel()
            return
        future, self._future = self._future, None
        if future is not None:
            future.remove_done_callback(self._step)
        if self._coroutine is not None:
            self._coroutine.close()

    def _hear(self) -> None:
        # Not at once: it may be the task itself that cuts the request off, and goes on to its end without waiting.
        self._handle = asyncio.get_running_loop().call_soon(self._leave)

    def _step(self, _: object) -> None:
        self._future = None
        future: Any = self
        while future is self:
            assert self._coroutine is not None, "stepped only where nobody tells"
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
