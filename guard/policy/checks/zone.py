"""The time zone exists."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from guard.policy.config import Config
from guard.policy.document import Document, Problem


def zone(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for a time zone that does not exist."""
    try:
        ZoneInfo(config.usage.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield document.problem(
            ("usage", "zone"), f"unknown time zone '{config.usage.zone}'", "an IANA name such as UTC or Europe/Berlin"
        )
