"""A usage counter for one hypothetical request: the real one, over a ledger that says how many users there were."""

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from guard.usage.counter import UsageCounter
from guard.usage.ledger import Scope, Totals, Written
from guard.usage.period import Calendar
from guard.usage.spool import Spool

_FINGERPRINT = "hypothetical"


class Census:
    """A ledger in which every license has ``users`` users, and one more, whoever asks, if ``known``."""

    key_fingerprint = _FINGERPRINT
    survives_power_loss = False

    def __init__(self, licenses: Collection[str], users: int, known: bool) -> None:
        self._licenses, self._users, self._known = licenses, users + known, known

    def bind(self, zone: str) -> None:
        """Any zone will do."""

    def write(
        self,
        sightings: Mapping[Scope, Collection[int]],  # noqa: ARG002 - as in Ledger
        unidentified: Mapping[Scope, int],  # noqa: ARG002 - as in Ledger
    ) -> Mapping[Scope, Written]:
        """Nothing is kept."""
        return {}

    def totals(self, period: str) -> Mapping[str, Totals]:  # noqa: ARG002 - as in Ledger
        """Return the same totals for every license."""
        return dict.fromkeys(self._licenses, Totals(self._users, 0))

    def users(self, scope: Scope) -> int:  # noqa: ARG002 - as in Ledger
        """Return the number of users."""
        return self._users

    def contains(self, scope: Scope, user: int) -> bool:  # noqa: ARG002 - as in Ledger
        """Return True if the user who asks is counted already."""
        return self._known

    def periods(self) -> list[str]:
        """No period is over."""
        return []

    def zone(self) -> str | None:
        """No zone was recorded."""
        return None

    def close(self) -> None:
        """Nothing is held."""


class _Nowhere:
    """A spool that keeps nothing and refuses nothing."""

    key_fingerprint = _FINGERPRINT
    fsync = False

    def append(self, scopes: Sequence[Scope], user: int, now: float) -> None:
        """Forget the sighting."""


def counter(licenses: Collection[str], users: int, known: bool, now: float) -> UsageCounter:
    """Return a counter that counted ``users`` others under each of ``licenses`` in the period of ``now``."""
    ledger = Census(licenses, users, known)
    found = UsageCounter(ledger, cast("Spool", _Nowhere()), Calendar(), seen_capacity=2, clock=lambda: now)
    found.refresh()
    return found
