"""Guard inside vLLM: ``vllm serve MODEL --middleware guard.transports.vllm.Guard`` with ``GUARD_CONFIG=guard.yaml``.

``GUARD_STATE_DIR`` and ``GUARD_LAST_GOOD=1`` mean what they mean to ``guard serve``. SIGHUP is vLLM's own: a policy is
reloaded when its files change, or over the admin port.

vLLM builds the class with the app as its only argument, once per API process, when the server starts. It must be the
last ``--middleware`` named, which makes it the outermost. It then sits outside vLLM's own API-key check, and so counts
a user only once a 2xx answer starts.

Requests with an X-Forwarded-For header come from nobody in particular here, so identity headers (``trusted_from``) are
not believed on them, unless vLLM runs with ``FORWARDED_ALLOW_IPS=`` (empty): then its uvicorn leaves the peer alone.
"""

import logging
import os
from pathlib import Path

from guard.observability.logs import log_inside
from guard.transports.admin import build_admin, read_token
from guard.transports.admin_port import AdminPort
from guard.transports.asgi import ASGIApp, GuardMiddleware, Receive, Scope, Send
from guard.transports.runtime import Runtime

log = logging.getLogger("guard")


class InsideRuntime(Runtime):
    """A Runtime whose first process on a state directory also serves the admin port.

    With ``--api-server-count`` the other processes share its ledger and its metric files (PROMETHEUS_MULTIPROC_DIR,
    which vLLM sets then), and follow the policy's files by themselves.
    """

    _admin: AdminPort | None = None

    async def start(self) -> None:
        """Open the stores and, in the first process, the admin port. Raises StartupError if that is taken."""
        log_inside(self.config.observability)  # vLLM configures its own loggers only
        await super().start()
        if self.config.admin == "off" or not self.stores.first:
            return
        token = read_token(Path(self.config.admin_token_file)) if self.config.admin_token_file else None
        app = build_admin(self, token=token, listen=self.config.admin)
        self._admin = await AdminPort.open(app, self.config.admin)
        log.info("admin on %s", self._admin.address)

    async def stop(self) -> None:
        """Close the admin port, then flush and close the stores; idempotent."""
        if self._admin is not None:
            await self._admin.close()
            self._admin = None
        await super().stop()


class Guard(GuardMiddleware):
    """GuardMiddleware configured from the environment; with a bad configuration the server does not start."""

    def __init__(self, app: ASGIApp) -> None:
        # vLLM's uvicorn believes X-Forwarded-For from FORWARDED_ALLOW_IPS (default: loopback). Only where that is set
        # to nothing is the peer's address the peer's own.
        self.peer_from_header = os.environ.get("FORWARDED_ALLOW_IPS") != ""
        self._failure: Exception | None = None
        path = os.environ.get("GUARD_CONFIG")
        try:
            if not path:
                raise RuntimeError("GUARD_CONFIG is not set; it must name the guard.yaml that guards this server")
            state = os.environ.get("GUARD_STATE_DIR")
            last_good = os.environ.get("GUARD_LAST_GOOD", "").lower() in {"1", "true", "yes", "on"}
            super().__init__(app, InsideRuntime(Path(path), {"state_dir": state} if state else {}, last_good=last_good))
        except Exception as error:  # noqa: BLE001 - kept for the lifespan, see below
            # The stack is built during the lifespan call, where uvicorn takes an exception for "no lifespan support"
            # and serves on. Only lifespan.startup.failed stops the server.
            self._failure = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope, or none at all if the configuration is bad."""
        if self._failure is None:
            await super().__call__(scope, receive, send)
            return
        message = f"guard cannot start: {self._failure}"
        log.critical(message)
        if scope["type"] != "lifespan":
            raise RuntimeError(message)
        await receive()
        await send({"type": "lifespan.startup.failed", "message": message})
