"""Traces: that they can be made and somebody takes them."""

import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from guard.cli.doctor.check import Check, fail, ok, warn

if TYPE_CHECKING:
    from guard.policy.config import Config

SECONDS = 3.0


def checks(config: "Config") -> Iterator[Check]:
    """Yield what is to be said of ``observability.traces``; nothing where it is not set."""
    traces = config.observability.traces
    if traces is None:
        return
    if find_spec("opentelemetry") is None:
        detail = "observability.traces is set and OpenTelemetry is not installed"
        yield fail("traces", detail, "install the extra guard[otel]; without it Guard does not start")
        return
    if traces.headers_file is not None:
        from guard.observability.tracing import read_headers

        try:
            read_headers(Path(traces.headers_file))
        except (OSError, ValueError) as error:
            yield fail("traces", str(error), "one `name: value` a line; without it Guard does not start")
            return
    parts = urlsplit(traces.endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), SECONDS).close()
    except OSError as error:
        detail = f"{traces.endpoint} cannot be reached: {error.strerror or error}"
        yield warn("traces", detail, "start the collector; until then spans are dropped and counted")
        return
    yield ok("traces", f"{traces.endpoint} takes connections; {traces.sample:g} of the requests are sampled")
