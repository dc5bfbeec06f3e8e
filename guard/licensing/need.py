"""What a license wants of the operator that no gateway can see: a permission, a registration, a revenue, a domicile."""

from collections.abc import Sequence
from typing import NamedTuple

from guard.licensing.license import License, Status
from guard.licensing.obligations import threshold_text

OF_OBLIGATION = {
    "purpose": "commercial",
    "hosting": "hosting",
    "permission": "permission",
    "threshold": "threshold",
    "territory": "territory",
}
"""What a statement that answers an obligation is about, by the obligation's kind."""

ABOUT = ("commercial", "hosting", "permission", "threshold", "territory")
"""What a statement of the operator's may be about."""


class Need(NamedTuple):
    """Something that only a statement of the operator's answers."""

    license: str
    about: str
    """One of ``ABOUT``; or ``attestation`` of the users of one past month, and ``rights`` where there were too many."""
    text: str
    clause: str
    status: Status


def needs(license_: License) -> tuple[Need, ...]:
    """Return everything ``license_`` wants stated; territory apart, because it depends on the model and the traffic."""
    found = []
    if license_.commercial == "prohibited":  # a condition stands by itself: a threshold, a permission, a territory
        found.append(Need(license_.id, "commercial", license_.commercial_text, license_.commercial_clause,
                          license_.status))  # fmt: skip
    if license_.hosting not in {"allowed", "distribution"}:
        found.append(Need(license_.id, "hosting", license_.hosting_text, license_.hosting_clause, license_.status))
    found += [
        Need(license_.id, "permission", duty.text, duty.clause, duty.status)
        for duty in license_.duties
        if duty.kind == "permission" and "serving" in duty.owed_for
    ]
    found += [
        Need(license_.id, "threshold", threshold_text(threshold), threshold.clause, threshold.status)
        for threshold in license_.thresholds
        if not threshold.counts_users and threshold.consequence != "display_duty"
    ]
    return tuple(found)


def territory_need(license_: License) -> Need | None:
    """Return the need to state where the licensee or the users are, if the license gives rights in some places only."""
    territory = license_.territory
    if territory is None or territory.kind not in {"licensee_domicile", "place_of_use"}:
        return None
    return Need(license_.id, "territory", territory.applies_to, territory.clause, territory.status)


def unmet(found: Sequence[Need], stated: frozenset[tuple[str, str]]) -> list[Need]:
    """Return the needs that no statement answers; ``stated`` holds (license id, about)."""
    return [need for need in found if (need.license, need.about) not in stated]
