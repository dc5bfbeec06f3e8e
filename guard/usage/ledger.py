"""The ledger: which users were active in which period, under which license. Every write is a set insertion."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from guard.usage.declaration import Declaration

LEASE_SECONDS = 3600.0
"""How long places that a process holds under a limit outlive it: see ``Ledger.claim``."""


class Scope(NamedTuple):
    """What a user is counted in: a period (``2026-11``, ``2026-11-22``, ``2026-11-22/30d``) of a license."""

    period: str
    license: str


class Totals(NamedTuple):
    """The count of one scope: distinct users, and answered requests that nobody could be named for.

    ``lower`` and ``upper`` are equal to ``users`` in an exact ledger; an estimating one gives three standard errors.
    """

    users: int
    unidentified: int
    lower: int
    upper: int


class Written(NamedTuple):
    """What a write did to one scope, and the totals after it."""

    new: int | None
    """Users who were not there before; None where the ledger cannot tell."""
    totals: Totals


class Growth(NamedTuple):
    """How one month of a license grew on one day."""

    day: str
    """``2026-11-22`` in the ledger's zone."""
    new: int
    """Users first seen in the month on that day who were not there in the month before either."""
    returning: int | None
    """Users first seen in the month on that day who had been there in the month before; None where the ledger cannot
    tell them apart: then they are among ``new``."""


class Claim(NamedTuple):
    """The answer to ``Ledger.claim``."""

    granted: int
    """Places that the owner holds from now on."""
    users: int
    """Users in the scope: an exact ledger's count, an estimating one's upper bound."""


class LedgerError(Exception):
    """A ledger that cannot be used as configured; the text says what was found, where, and what is allowed."""


class LedgerMismatch(LedgerError):
    """The ledger was written under another key, zone or schema; counting into it would mix two counts."""


class LedgerUnavailable(Exception):
    """The ledger cannot be read or written now. Nothing is lost: what was not acknowledged stays in the spool."""


class Ledger(Protocol):
    """A store of sightings. Safe for one writing and any number of reading threads, and for several processes.

    Every method but ``close`` raises LedgerUnavailable, and may have done what it was asked for in part; all of them
    may be repeated: none counts anything twice.
    """

    exact: bool
    """False if the count is an estimate: then ``contains`` and ``pseudonyms`` raise LedgerError."""
    survives_power_loss: bool
    """True if what ``write`` returned for is on the medium; False if it survives kill -9 but maybe no power cut."""
    forgetful: bool
    """True if the store may lose what it acknowledged (a server restarted without its data): then ``incarnation``
    changes, and whoever kept the sightings writes them again."""

    def bind(self, zone: str) -> None:
        """Record that the ledger's periods are those of ``zone``. Raises LedgerMismatch if they are another zone's."""

    def claim_key(self, month: str, fingerprint: str) -> None:
        """Record that users of ``month`` (``2026-11``) are pseudonyms under the key with that fingerprint.

        Raises LedgerMismatch if they are another key's: the two counts cannot be told apart any more once mixed.
        """

    def key_of(self, month: str) -> str | None:
        """Return the fingerprint that ``claim_key`` recorded for ``month``, None if there is none."""

    def write(
        self,
        sightings: Mapping[Scope, Collection[int]],
        unidentified: Mapping[Scope, int],
        *,
        owner: str,
        day: str | None,
    ) -> Mapping[Scope, Written]:
        """Insert users and set ``owner``'s unidentified totals; durable on return. Returns every scope named.

        A user (signed 64-bit) who is there already changes nothing, and the unidentified numbers are absolute, so a
        write may be repeated. Users who are new in a month are filed as its growth on ``day``; with None they are not.
        ``owner`` names the writing counter, unique per process start.
        """

    def totals(self, period: str) -> Mapping[str, Totals]:
        """Return the totals of ``period`` by license; O(licenses), whatever the number of users."""

    def users(self, scope: Scope) -> int:
        """Return the number of distinct users in ``scope`` (the upper bound of an estimate); O(1)."""

    def contains(self, scope: Scope, user: int) -> bool:
        """Return True if ``user`` is counted in ``scope``."""

    def claim(self, scope: Scope, owner: str, *, need: int, extra: int, allowed: int, now: float) -> Claim:
        """Let ``owner`` hold places for newcomers, so that users and all owners' places stay within ``allowed``.

        Escrow (O'Neil, "The Escrow Transactional Method", ACM TODS 11.4, 1986): who holds a place may add one user
        without asking. The number replaces the one the owner held: ``need`` places if there is room, otherwise as many
        as there is room for (0 to ``need``); and, of the room that is left, up to ``extra`` more but at most a quarter.
        The places of users the owner has written since its last claim are to be left out of ``need``. An owner that
        does not claim for ``LEASE_SECONDS`` holds none; ``now`` is epoch seconds, for stores without a clock of their
        own. ``need`` 0 and ``extra`` 0 give everything back.
        """

    def merge(self, target: Scope, sources: Sequence[Scope]) -> None:
        """Add the users of ``sources`` and the sum of their unidentified totals to ``target``, the first time only."""

    def forget(self, scope: Scope) -> None:
        """Drop who was in ``scope`` and keep how many.

        A later sighting in it adds one to the unidentified total, as nobody can tell any more whether it is a new user.
        """

    def growth(self, license: str, month: str) -> Sequence[Growth]:
        """Return the growth of ``month`` by day, in order; days without growth are missing."""

    def declare(self, declaration: Declaration) -> None:
        """Keep a number from outside; one of the same source, license and period takes its place."""

    def declarations(self, period: str) -> Sequence[Declaration]:
        """Return the numbers from outside for ``period``, by license and source."""

    def pseudonyms(self, scope: Scope) -> Iterator[Sequence[int]]:
        """Yield the users of ``scope``, each once, some thousands at a time, in any order."""

    def incarnation(self) -> str:
        """Return what changes when the store may have lost what it acknowledged; ``""`` if it never does."""

    def periods(self) -> Sequence[str]:
        """Return the periods with any count, oldest first."""

    def zone(self) -> str | None:
        """Return the zone the ledger is bound to, None if it never was."""

    def close(self) -> None:
        """Release the store; what was written stays."""
