"""Figures as JSON: the shapes that ``guard usage`` prints them in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.cli.usage.grounds import Grounds
    from guard.usage.declaration import Declaration
    from guard.usage.figure import Figure, Tested
    from guard.usage.period import Calendar, Period


def period_document(calendar: "Calendar", period: "Period") -> dict[str, Any]:
    """Return what ``period`` is, with the sentence that says what is counted in it."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from guard.usage.period import kind_of

    zone, kind = ZoneInfo(calendar.zone), kind_of(period.id)
    return {
        "period": period.id,
        "kind": kind.value,
        "zone": calendar.zone,
        "start": datetime.fromtimestamp(period.start, zone).isoformat(),
        "end": datetime.fromtimestamp(period.end, zone).isoformat(),
        "definition": calendar.definition(kind),
    }


def figure_document(figure: "Figure", reading: str | None, attested: "Grounds") -> dict[str, Any]:
    """Return ``figure`` with everything it rests on: ``reading`` is that of "active user"."""
    return {
        "license": figure.license,
        "reading": reading,
        "counted": figure.counted,
        "users": figure.users if figure.counted else None,
        "lower": figure.lower,
        "upper": figure.upper,
        "exact": figure.exact,
        "reasons": list(figure.reasons),
        "measured": {
            "lower": figure.measured.lower,
            "upper": figure.measured_upper,
            "exact": figure.measured_exactly,
        },
        "unidentified_requests": figure.measured.unidentified,
        "in_spool": figure.in_spool,
        "declared": [declaration_document(each) for each in figure.declarations],
        "limits": None if figure.tests is None else [tested_document(each, attested) for each in figure.tests],
    }


def tested_document(tested: "Tested", attested: "Grounds") -> dict[str, Any]:
    """Return a limit, whose users it counts, and the state that those who are known of put it in.

    A limit that looks at one past month has no state: no count of today tests it, an attestation does.
    """
    limit = tested.limit
    ground = attested.get((limit.license, limit.id))
    return {
        "id": limit.id,
        "value": limit.value,
        "state": tested.state.value if limit.standing else None,
        "attestation": ground.ground.value if ground else None,
        "lower": tested.lower,
        "upper": None if tested.omits else tested.upper,
        "held_against": tested.upper,
        "not_included": list(tested.omits),
        "products": limit.products,
        "affiliates": limit.affiliates,
        "affiliates_read": limit.affiliates_read or None,
        "standing": limit.standing,
        "clause": limit.clause,
        "consequence": limit.consequence,
    }


def declaration_document(declaration: "Declaration") -> dict[str, Any]:
    """Return a number from outside, with who answers for it."""
    return {
        "license": declaration.license,
        "period": declaration.period,
        "source": declaration.source,
        "part": declaration.part.value,
        "users": declaration.users,
        "unidentified_requests": declaration.unidentified,
        "owner": declaration.owner,
        "stated": declaration.stated,
    }
