"""Finds a decision by its reference, in memory or in the journals."""

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect

from guard.transports.access import Receive
from guard.transports.admin_runtime import AdminRuntime
from guard.transports.behind import Behind
from guard.transports.reference import REFERENCE

IN_LINE = 4
"""References that are looked for in files, and wait for it, at once: each may take a second."""


class Lookup:
    """Asks ``runtime``, for the API and the pages."""

    def __init__(self, runtime: AdminRuntime) -> None:
        self._runtime = runtime
        self._behind = Behind("guard-lookup", IN_LINE)

    async def find(self, reference: str, receive: Receive) -> dict[str, Any] | None:
        """Return the decision, None if nothing is remembered of it; whatever is no reference of Guard's is looked for
        nowhere.

        ``receive`` tells when the client has gone: then the search ends, with ClientDisconnect. Raises BusyError if too
        many are being looked for.
        """
        if not REFERENCE.fullmatch(reference):
            return None
        known = self._runtime.decision(reference)
        if known is not None:
            return known
        looking = asyncio.ensure_future(self._behind.run(lambda go_on: self._runtime.look_up(reference, go_on)))
        gone = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((looking, gone), return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                return looking.result()
            raise ClientDisconnect
        finally:
            looking.cancel()
            gone.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
