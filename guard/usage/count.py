"""A count: how many users one license has in a period, and how surely."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Count:
    """Users of one license in the current period."""

    license: str
    period: str
    """``2026-11`` for a calendar month."""
    users: int
    """Distinct users in the ledger plus those still only in the spool (exact for this ledger's gateways)."""
    unidentified: int
    """Answered requests without an identity in this period: with any, ``users`` is a lower bound."""
    pending: int = 0
    """Of ``users``, those on their way to the ledger. One that a sibling process has sighted too is in both numbers
    until it arrives, so the ledger's exact count lies between ``users - pending`` and ``users``."""
