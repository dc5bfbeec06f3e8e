"""What a process tells about itself: its log, and traces."""

import re
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator

from guard.policy.settings.section import Section


def _collector(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"https?://[^/?#@\s]+(/[A-Za-z0-9._~/-]*)?", value):
        with suppress(ValueError):  # a port that is no number
            parts = urlsplit(value)
            if parts.hostname and parts.port != 0:
                return value
    raise ValueError("http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]")


class TracesConfig(Section):
    """Where spans go; without this section nothing is traced."""

    example = '{endpoint: "http://127.0.0.1:4318", sample: 0.1}'

    endpoint: Annotated[str, PlainValidator(_collector)] = Field(
        description="OTLP/HTTP collector. Without a path, `/v1/traces` is added."
    )
    headers_file: str | None = Field(
        default=None, description="File with headers for the collector, one `name: value` a line: its credentials."
    )
    sample: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of requests that are traced where the caller's `traceparent` does not say.",
    )
    service: str = Field(default="guard", min_length=1, max_length=64, description="`service.name` of the spans.")


class ObservabilityConfig(Section):
    """Log and traces."""

    example = "{log_format: json}"

    log_format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or one JSON object per line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="The least that is logged. `debug` adds the text of exceptions, which may quote what users wrote.",
    )
    log_decisions: Literal["notable", "none"] = Field(
        default="notable",
        description="A line for every exchange that was refused, flagged, cut or not evaluated (100 at once, 10 a "
        "second), or none.",
    )
    traces: TracesConfig | None = Field(default=None, description="OpenTelemetry traces (extra `otel`).")
