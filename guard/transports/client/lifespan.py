"""The lifespan of an application: started before a server accepts, stopped after it has closed."""

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

log = logging.getLogger("guard.server")


class Lifespan:
    """The ``lifespan`` scope of ``app``, which must serve it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._asked: asyncio.Queue[Message] = asyncio.Queue()
        self._told: asyncio.Future[Message] | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> bool:
        """Return True when the application has started, False if it does not."""
        self._task = asyncio.ensure_future(self._run())
        return await self._ask("startup")

    async def shutdown(self) -> None:
        """Return when the application has stopped; one that fails meanwhile has stopped, too."""
        if self._task is None or self._task.done():
            return
        if not await self._ask("shutdown"):
            log.error("the application did not stop in order")
        await asyncio.wait([self._task])

    async def _ask(self, what: str) -> bool:
        assert self._task is not None, "asked only of what runs"
        self._told = asyncio.get_running_loop().create_future()
        self._asked.put_nowait({"type": f"lifespan.{what}"})
        await asyncio.wait((self._task, self._told), return_when=asyncio.FIRST_COMPLETED)
        return self._told.done() and self._told.result()["type"] == f"lifespan.{what}.complete"

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self._app(scope, self._asked.get, self._send)
        except Exception as error:
            log.exception("the application's lifespan failed: %s", type(error).__name__)

    async def _send(self, message: Message) -> None:
        if self._told is not None and not self._told.done():
            self._told.set_result(message)
