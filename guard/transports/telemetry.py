"""What a process tells of its exchanges beside metrics and the audit chain: lines in the log, and traces."""

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from guard.observability.decisions import DecisionLog
from guard.policy.config import Config
from guard.transports.throttle import Throttle

if TYPE_CHECKING:
    from guard.observability.tracing import Tracing

LINES_A_SECOND, LINES_AT_ONCE = 10, 100
"""Notable decisions that are logged; the audit chain has all of them."""


class TelemetryError(Exception):
    """Traces cannot be sent as the configuration says; the text says why."""


class Telemetry:
    """Opened from ``config.observability``. Raises TelemetryError."""

    def __init__(self, config: Config, registry: CollectorRegistry) -> None:
        settings = config.observability
        self.decisions: DecisionLog | None = None
        """None where decisions are not logged."""
        if settings.log_decisions == "notable":
            self.decisions = DecisionLog(Throttle(LINES_A_SECOND, LINES_AT_ONCE, time.monotonic))
        self.tracing: Tracing | None = None
        """None where nothing is traced."""
        if settings.traces is not None:
            try:
                from guard.observability import tracing  # noqa: PLC0415 - of the extra otel

                self.tracing = tracing.Tracing(settings.traces, config.upstream, registry)
            except ImportError as error:
                raise TelemetryError(
                    "observability.traces: OpenTelemetry is not installed; allowed: the extra guard[otel], or no traces"
                ) from error
            except (OSError, ValueError) as error:
                raise TelemetryError(f"observability.traces: {error}") from error

    def close(self, seconds: float) -> None:
        """Send the spans that wait, within ``seconds``."""
        if self.tracing is not None:
            self.tracing.close(seconds)
