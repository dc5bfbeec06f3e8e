"""CONTRACT (to be implemented in the usage room): sightings in, counts out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from guard.usage.thresholds import AtLimit, Limit, State


class Admission(StrEnum):
    """Whether the usage rules let a user's request through."""

    ADMITTED = "admitted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Reservation:
    """The answer to ``reserve``: give it back with ``settle`` whatever becomes of the request."""

    admission: Admission
    limit: Limit | None = None
    """The limit that refused the request."""
    held: tuple[str, ...] = ()
    """Licenses under which a place was kept for a newcomer."""
    key: int | None = None


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


class UsageCounter:
    """Counts distinct users per license and period; durable before ``sight`` returns; never discards."""

    def reserve(self, limits: Sequence[Limit], key: int | None, at_limit: AtLimit, now: float) -> Reservation:
        """Decide whether a request may go on and keep a place for a newcomer near a standing limit."""
        raise NotImplementedError

    def settle(self, reservation: Reservation) -> None:
        """Give back the place that ``reservation`` holds; idempotent."""
        raise NotImplementedError

    def sight(self, licenses: Sequence[str], key: int | None, now: float) -> bool:
        """Make the sighting of ``key`` durable and return True if it is the first of the period.

        Raises SpoolError when it cannot be made durable: then no byte of a 2xx answer may leave.
        """
        raise NotImplementedError

    def counts(self, now: float) -> Mapping[str, Count]:
        """Return the current period's count by license id, from memory: no I/O."""
        raise NotImplementedError

    def states(self, limits: Sequence[Limit], now: float) -> Mapping[tuple[str, str], State]:
        """Return the state of each limit by (license, limit id)."""
        raise NotImplementedError
