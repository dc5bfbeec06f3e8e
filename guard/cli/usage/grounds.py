"""What is attested of the limits that look at the users of one past month."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

from guard.cli.usage.source import Source

if TYPE_CHECKING:
    from guard.policy.attestations import Attested

Grounds: TypeAlias = Mapping[tuple[str, str], "Attested"]
"""By license and limit."""


def grounds(where: Source, licenses: Iterable[str], day: date, *, by_clock: bool) -> "Grounds":
    """Return what the attestations that the configuration names say on ``day``; nothing without a configuration.

    ``by_clock`` is True where ``day`` is what a clock says: see ``guard.policy.attestations.misfit``.
    """
    if where.config is None:
        return {}
    from guard.policy.attestations import attested, filed

    known = [where.packs[name] for name in licenses if name in where.packs]
    found = attested(known, filed(where.config, where.packs, day, by_clock=by_clock))
    return {(each.license.id, each.threshold.id): each for each in found}


def stated_days(where: Source, today: date) -> list[date]:
    """Return the days up to ``today`` on which the attestations that the configuration names were stated."""
    if where.config is None:
        return []
    from guard.policy.attestations import filed

    files = filed(where.config, where.packs, today)
    stated = [date.fromisoformat(each.signed.attestation.stated) for each in files if each.signed]
    return [day for day in stated if day <= today]
