"""The ledger in Redis that estimates: at most 12 KiB a HyperLogLog, however many users there are.

The users of a scope are shared out among N HyperLogLogs, whose estimates are added: they are never united into one, as
that would be as wrong as one. Redis's HyperLogLog has 16,384 registers and a standard error of 1.04 / sqrt(16384) =
0.81 % (Heule, Nunkesser, Hall, "HyperLogLog in Practice", EDBT 2013; the estimator is Ertl's, "New cardinality
estimation algorithms for HyperLogLog sketches", arXiv:1702.01284; https://redis.io/docs/latest/develop/data-types/
probabilistic/hyperloglogs/). The errors of N independent ones add up to 0.81 % / sqrt(N) of their sum.

Each estimate is rounded to a whole number. While a HyperLogLog has few users, its estimates lie just above whole
numbers, by n^2 / 2m for n users and m registers, so all are rounded down, and the sum is off by that much for each of
them and by half a user at most. And where so few fall into one register that their expected number is not in the error,
there may be one.

What is added are pseudonyms under the ledger's key: who knows how Redis hashes, which is public, cannot craft names
that inflate the count or hide in it.
"""

from collections.abc import Iterator, Sequence
from math import ceil, floor, sqrt

from guard.usage.ledger import LedgerError, Scope, Totals
from guard.usage.redis_url import RedisPlace
from guard.usage.stores.redis_connection import Command, call
from guard.usage.stores.redis_count import Part, RedisCount
from guard.usage.stores.redis_layout import GROUPS, Layout, Shape
from guard.usage.stores.redis_script import ESTIMATE

REGISTERS = 16_384
STANDARD_ERROR = 1.04 / sqrt(REGISTERS)
"""Of one HyperLogLog."""
DEVIATIONS = 3
"""Standard errors that the bounds are away from the estimate."""
NEGLIGIBLE = 0.00135
"""What is less likely than to be so many standard errors too high."""


class HllLedger(RedisCount):
    """An estimating Ledger in Redis (see guard.usage.ledger.Ledger and ``redis_count``)."""

    exact = False
    fill = 0
    count_command = "PFCOUNT"
    union_command = "PFMERGE"

    def __init__(self, place: RedisPlace, *, read_only: bool = False) -> None:
        groups = min(GROUPS, place.shards)
        self.base = place.shards // groups
        super().__init__(place, Layout(place.prefix, groups, "h"), f"hll {place.shards}", read_only=read_only)

    def contains(self, scope: Scope, user: int) -> bool:  # noqa: ARG002  (nobody can tell)
        """Raise LedgerError: an estimate does not know who is in it."""
        raise self._estimates()

    def pseudonyms(self, scope: Scope) -> Iterator[Sequence[int]]:  # noqa: ARG002  (nobody can tell)
        """Raise LedgerError: an estimate does not know who is in it."""
        raise self._estimates()

    def add(self, part: Part, shape: Shape, head: Sequence[str], told: Sequence[str | int], *, back: bool) -> Command:  # noqa: ARG002  (nobody can tell)
        """Return the call of ``estimate.lua`` (see RedisCount)."""
        users: dict[int, list[int]] = {}
        for number, user in part.users:
            users.setdefault(number % shape.sets, []).append(user)
        keys = self.layout.sets(part.group, part.scope, users, late=shape.forgotten)
        shares = (word for each in users.values() for word in (len(each), *each))
        return call(ESTIMATE, [*head, *keys], *told, *shares)

    def state(self, users: int, unidentified: int, sets: int) -> Totals:
        """Return the totals, with bounds of three standard errors and the rounding (see RedisCount)."""
        sketches = max(sets, 1) * self.layout.groups
        error = DEVIATIONS * STANDARD_ERROR / sqrt(sketches)
        rounding = sketches * min(0.5, (users / sketches + 1) ** 2 / (2 * REGISTERS))
        collisions = users**2 / (2 * sketches * REGISTERS)
        rounding += collisions > NEGLIGIBLE
        lower, upper = ceil((users - rounding) / (1 + error)), floor((users + rounding) / (1 - error))
        return Totals(users, unidentified, lower, upper)

    def pass_on(self, source: Scope, group: int, target: Scope) -> None:  # noqa: ARG002  (no user is known)
        """Raise LedgerError: HyperLogLogs can only be united one by one (see RedisCount)."""
        raise LedgerError(
            f"ledger {self.place}: {source.period} and {target.period} have different numbers of HyperLogLogs and "
            "cannot be merged; allowed: the same number (?shards=) for both"
        )

    def _estimates(self) -> LedgerError:
        return LedgerError(
            f"ledger {self.place}: an estimate cannot tell who is in it; allowed: an exact ledger, without +hll"
        )
