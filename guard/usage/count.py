"""A count: how many users one license has in a period, and how surely."""

from dataclasses import dataclass

from guard.usage.declaration import Declaration
from guard.usage.ledger import Totals
from guard.usage.period import Kind


@dataclass(frozen=True, slots=True)
class Count:
    """Users of one license in a current period, as far as one process knows."""

    license: str
    kind: Kind
    period: str
    """``2026-11`` for a calendar month."""
    users: int
    """Distinct users in the ledger plus those of this process still on their way there."""
    totals: Totals
    """What the ledger said last; its bounds are an estimate's where it estimates."""
    unidentified: int
    """Answered requests without an identity in this period: with any, ``users`` is a lower bound."""
    pending: int = 0
    """Of ``users``, those on their way to the ledger. One that a sibling process has sighted too is in both numbers
    until it arrives, so the ledger's count lies between ``users - pending`` and ``users``."""
    lost: int = 0
    """Users that the ledger had and lost: the count is at least ``lost`` too low."""
    declarations: tuple[Declaration, ...] = ()
    """Numbers from outside for this period."""
    complete: bool = True
    """False for a rolling window whose earlier days are not merged, or were not tracked."""

    known: bool = True
    """False while the ledger was not read in this period since the process began: it may have any number of users."""

    @property
    def lower(self) -> int:
        """The fewest users there can be."""
        return self.totals.lower

    @property
    def upper(self) -> int:
        """The most users that can have been seen here; who was unidentified or lost comes on top."""
        return self.totals.upper + self.pending + self.lost
