"""The ledger in Redis that counts exactly, at some nine bytes a user: users are integers in small sorted arrays."""

from collections.abc import Iterator, Sequence

from guard.usage.ledger import LedgerUnavailable, Scope, Totals
from guard.usage.redis_url import RedisPlace
from guard.usage.stores.redis_connection import Command, call, command
from guard.usage.stores.redis_count import ROUNDS, Part, RedisCount
from guard.usage.stores.redis_layout import FILL, GROUPS, SETS, Layout, Shape, period_before
from guard.usage.stores.redis_script import ADD, MEMBERS

PAGE = 32
"""Sets whose users are read at a time; with ``FILL`` users each some thousands."""
PAGES = 8
"""Pages that are asked for together."""


class RedisLedger(RedisCount):
    """An exact Ledger in Redis (see guard.usage.ledger.Ledger and ``redis_count``)."""

    exact = True
    fill = FILL
    count_command = "SCARD"
    union_command = "SUNIONSTORE"

    def __init__(self, place: RedisPlace, *, read_only: bool = False) -> None:
        sets = SETS if place.users is None else place.users / FILL
        self.base = max(1, -int(-sets // GROUPS))
        super().__init__(place, Layout(place.prefix, GROUPS, "u"), "exact", read_only=read_only)

    def contains(self, scope: Scope, user: int) -> bool:
        """Return True if ``user`` is counted in ``scope`` (see Ledger)."""
        group, number = self.layout.place(user)
        shape = self.shapes.get((scope, group))
        sets = shape.sets if shape else 1
        for _ in range(ROUNDS):
            (key,) = self.layout.sets(group, scope, [number % sets])
            found, there = self.ask(
                [
                    command("HGET", self.layout.period(group, scope.period), f"k {scope.license}"),
                    command("SISMEMBER", key, user),
                ]
            )
            if found is None or int(found) == sets:
                return found is not None and bool(there)
            sets = int(found)
        raise LedgerUnavailable(f"ledger {self.place}: the layout of {scope.period} changes again and again")

    def pseudonyms(self, scope: Scope) -> Iterator[Sequence[int]]:
        """Yield the users of ``scope`` (see Ledger)."""
        for group in range(self.layout.groups):
            yield from self._members(scope, group)

    def add(self, part: Part, shape: Shape, head: Sequence[str], told: Sequence[str | int], *, back: bool) -> Command:
        """Return the call of ``add.lua`` (see RedisCount)."""
        scope, group = part.scope, part.group
        keys = [*head, *self.layout.sets(group, scope, [n % shape.sets for n, _ in part.users], late=shape.forgotten)]
        if back:
            earlier = Scope(period_before(scope.period), scope.license)
            keys += self.layout.sets(group, earlier, [n % shape.before for n, _ in part.users])
        return call(ADD, keys, *told, *(user for _, user in part.users))

    def state(self, users: int, unidentified: int, sets: int) -> Totals:  # noqa: ARG002  (an estimate asks for them)
        """Return exact totals (see RedisCount)."""
        return Totals(users, unidentified, users, users)

    def pass_on(self, source: Scope, group: int, target: Scope) -> None:
        """Write the users of ``source`` in ``group`` to ``target`` (see RedisCount)."""
        for users in self._members(source, group):
            self.write({target: users}, {}, owner="", day=None)

    def _members(self, scope: Scope, group: int) -> Iterator[Sequence[int]]:
        (found,) = self.ask([command("HGET", self.layout.period(group, scope.period), f"k {scope.license}")])
        keys = self.layout.sets(group, scope, range(int(found or 0)))
        pages = [keys[at : at + PAGE] for at in range(0, len(keys), PAGE)]
        for at in range(0, len(pages), PAGES):
            for members in self.ask(call(MEMBERS, page) for page in pages[at : at + PAGES]):
                if members:
                    yield [int(user) for user in members]
