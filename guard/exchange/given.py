"""What a decision was given: everything it rested on but the texts, so that another policy can be held against it."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from guard.exchange.edits import edits
from guard.exchange.exchange import Exchange
from guard.exchange.locate import country_of
from guard.licensing.purpose import Purpose
from guard.screening.findings import Finding
from guard.screening.segments import Direction
from guard.usage.period import Kind
from guard.usage.reservation import Admission
from guard.usage.thresholds import AtLimit

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:+-]{0,199}")
"""A model name that may be written down as it was sent: no sentence and no address of a person."""

LARGEST = 2**53 - 1


def given(exchange: Exchange) -> dict[str, Any]:
    """Return the facts of ``exchange`` that ``guard policy diff`` decides from: names, numbers, spans and no text."""
    inquiry = exchange.inquiry
    name = inquiry.model
    return {
        "model": name if name is not None and _NAME.fullmatch(name) else None,
        "named": name is not None,
        "tenant": exchange.tenant.name if exchange.tenant is not None else None,
        "uses": [[use.capability, use.field, _number(use.value)] for use in inquiry.uses],
        "choices": inquiry.choices if inquiry.asked is None else inquiry.asked,
        "unscannable": dict(Counter(part.kind.value for part in inquiry.unscannable)),
        "unknown": len(inquiry.unknown),
        "purpose": _stated(exchange.head.header(b"x-guard-purpose")),
        "token_purpose": _stated(exchange.token_purpose),
        "country": country_of(exchange) if exchange.snapshot.surface.country_headers else None,
        "located": bool(exchange.snapshot.surface.country_headers),
        "rules": exchange.snapshot.rules.digest,
        "unruled": [_span(direction, finding) for direction, finding in exchange.unruled],
        "edits": list(edits(exchange)),
        "users": _users(exchange),
        "newcomer": _newcomer(exchange),
    }


def _stated(value: str | None) -> str | None:
    """The purpose that ``value`` states; None without one, "" for what is no purpose."""
    if value is None:
        return None
    try:
        return str(Purpose.parse(value))
    except ValueError:
        return ""


def _number(value: Any) -> int:
    """What a clamp compares, or True; JSON has no larger whole numbers that every reader reads alike (RFC 8259, 6)."""
    return max(-LARGEST, min(value, LARGEST)) if isinstance(value, int) else True


def _span(direction: Direction, finding: Finding) -> dict[str, Any]:
    return {
        "direction": direction.value,
        "rule": finding.rule,
        "category": finding.category,
        "source": finding.source.value,
        "path": finding.path,
        "start": finding.start,
        "end": finding.end,
        "transform": finding.transform,
        "most": finding.most.name.lower(),
        "score": finding.score,
    }


def _users(exchange: Exchange) -> dict[str, int]:
    """The users of this month under the model's licenses that have a limit, without one whom this answer counted."""
    model, services = exchange.model, exchange.services
    if model is None or not model.limits:
        return {}
    counts = services.counter.counts(services.now())
    named = dict.fromkeys(limit.license for limit in model.limits if limit.kind is Kind.MONTH)
    before = {license: counts[license].users - exchange.newcomer if license in counts else 0 for license in named}
    return with_places(exchange, before)


def with_places(exchange: Exchange, users: Mapping[str, int]) -> dict[str, int]:
    """Return ``users`` by license as they stood in the way of ``exchange``.

    Where a limit refused it they are at least as many as that allows: newcomers in flight had taken the other places.
    """
    found, reservation = dict(users), exchange.reservation
    limit = reservation.limit if reservation is not None and reservation.admission is Admission.REFUSED else None
    if limit is not None and limit.kind is Kind.MONTH:
        found[limit.license] = max(found.get(limit.license, 0), limit.allowed)
    return found


def _newcomer(exchange: Exchange) -> bool | None:
    """Whether the user was new in the period; None where the request ended before that was known."""
    if exchange.identity.key is None:
        return True
    if exchange.answered:
        return exchange.newcomer
    reservation = exchange.reservation
    if reservation is None or exchange.snapshot.at_limit is not AtLimit.REFUSE_NEWCOMERS:
        return None
    return True if reservation.admission is Admission.REFUSED or reservation.held else None
