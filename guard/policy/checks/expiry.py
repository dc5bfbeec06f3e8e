"""Whatever excepts from a rule has an owner and a last day, and the last day is near enough to be meant."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem, show
from guard.policy.settings.section import Section

FAR = timedelta(days=2 * 366)
"""An exception that is to hold for longer than two years was never meant to be looked at again."""


def owners(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for every exception that nobody answers for."""
    for at, section in _owned(config, ()):
        if not section.owner.strip():
            yield document.problem((*at, "owner"), "nobody", "who answers for it")


def expiries(config: Config, document: Document, today: date) -> Iterator[Caution]:
    """Yield a caution for every exception that expires absurdly late; one that has expired, its own check tells."""
    for at, section in _owned(config, ()):
        if section.expires >= today:
            told = lapse(document, (*at, "expires"), section.expires, today, f"owned by {section.owner},", show(at))
            if told is not None:
                yield told


def lapse(document: Document, at: Location, expires: date, today: date, what: str, subject: str) -> Caution | None:
    """Return what there is to say of ``what``, which stands at ``at`` and holds until ``expires``."""
    if expires < today:
        found = f"{what} expired on {expires} and no longer applies"
        return document.caution(at, found, subject=subject, strict=True)
    if expires - today > FAR:
        found = f"{what} holds until {expires}, more than two years from now"
        return document.caution(at, found, subject=subject)
    return None


def _owned(value: Any, at: Location) -> Iterator[tuple[Location, Any]]:
    """Every section in ``value`` that has an owner and a last day, with its location."""
    if isinstance(value, Section):
        names = type(value).model_fields
        if "owner" in names and "expires" in names:
            yield at, value
        for name in names:
            yield from _owned(getattr(value, name), (*at, name))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _owned(item, (*at, key))
    elif isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            yield from _owned(item, (*at, index))
