"""Terms that flow down: where hosting counts as distribution, callers have to be bound by a license's restrictions."""

from guard.licensing.license import License


def flow_down_clause(license_: License) -> str | None:
    """Return the clause by which whoever uses a hosted model is to be bound; None where hosting is no distribution."""
    if license_.hosting != "distribution":
        return None
    duties = (duty for duty in license_.duties if duty.kind == "flow_down" and "serving" in duty.owed_for)
    return next((duty.clause for duty in duties), license_.hosting_clause)
