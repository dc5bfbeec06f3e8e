"""A usage counter for one hypothetical request: the real one, over a ledger that says how many users there were."""

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from guard.usage.counter import UsageCounter
from guard.usage.declaration import Declaration
from guard.usage.ledger import Claim, Ledger, Scope, Totals
from guard.usage.period import Calendar, Kind
from guard.usage.spool import Spool


class Census:
    """A ledger in which every license has ``users`` users, and one more, whoever asks, if ``known``."""

    exact = True
    survives_power_loss = forgetful = False

    def __init__(self, licenses: Collection[str], users: int, known: bool) -> None:
        self._licenses, self._users, self._known = licenses, users + known, known

    def totals(self, _period: str) -> Mapping[str, Totals]:
        """Return the same totals for every license."""
        return dict.fromkeys(self._licenses, Totals(self._users, 0, self._users, self._users))

    def contains(self, _scope: Scope, _user: int) -> bool:
        """Return True if the user who asks is counted already."""
        return self._known

    def claim(self, _scope: Scope, _owner: str, *, need: int, extra: int, allowed: int, now: float) -> Claim:  # noqa: ARG002 - as in Ledger
        """Grant what there is room for."""
        return Claim(max(0, min(need, allowed - self._users)), self._users)

    def declarations(self, _period: str) -> Sequence[Declaration]:
        """Nothing was declared."""
        return ()

    def bind(self, zone: str) -> None:
        """Any zone will do."""


class _Nowhere:
    """A spool that keeps nothing and refuses nothing."""

    fsync = False

    def append(self, scopes: Sequence[Scope], user: int, now: float) -> None:
        """Forget the sighting."""


def counter(
    licenses: Collection[str], users: int, known: bool, now: float, kinds: Collection[Kind] = ()
) -> UsageCounter:
    """Return a counter that counted ``users`` others under each of ``licenses`` in the periods of ``now``.

    Those are its month, and beside it the periods of ``kinds``.
    """
    ledger = Census(licenses, users, known)
    found = UsageCounter(
        cast("Ledger", ledger), cast("Spool", _Nowhere()), Calendar(kinds=kinds), seen_capacity=2, clock=lambda: now
    )
    found.refresh()
    return found
