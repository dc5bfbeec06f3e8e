"""Figures as JSON: the shapes that ``guard usage`` prints them in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def figure_document(figure: "Figure") -> dict[str, Any]:
    """Return ``figure`` with everything it rests on."""
    return {
        "license": figure.license,
        "users": figure.users,
        "lower": figure.lower,
        "upper": figure.upper,
        "exact": figure.exact,
        "reasons": list(figure.reasons),
        "measured": {"lower": figure.measured.lower, "upper": figure.measured.upper},
        "unidentified_requests": figure.measured.unidentified,
        "in_spool": figure.in_spool,
        "declared": [declaration_document(each) for each in figure.declarations],
        "limits": None if figure.tests is None else [tested_document(each) for each in figure.tests],
    }


def tested_document(tested: "Tested") -> dict[str, Any]:
    """Return a limit, whose users it counts, and the state that the upper bound of those puts it in."""
    limit = tested.limit
    return {
        "id": limit.id,
        "value": limit.value,
        "state": tested.state.value,
        "lower": tested.lower,
        "upper": tested.upper,
        "products": limit.products,
        "affiliates": limit.affiliates,
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
