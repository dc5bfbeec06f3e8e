"""The count of users in Redis, whatever they are kept in: what the exact and the estimating ledger share."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count as numbers
from typing import Any, NamedTuple

from guard.usage.ledger import LEASE_SECONDS, Claim, Growth, LedgerUnavailable, Scope, Totals, Written
from guard.usage.period import Kind, kind_of, month_before
from guard.usage.redis_url import RedisPlace
from guard.usage.stores.redis_connection import Command, call, command
from guard.usage.stores.redis_layout import Layout, Shape, period_before
from guard.usage.stores.redis_record import RedisRecord
from guard.usage.stores.redis_script import CLAIM, FORGET, RESTATE, TOTAL
from guard.usage.stores.redis_union import unite

TOGETHER = 1024
"""Users that one call of a script adds at most, as Redis does nothing else meanwhile."""
UNLINKED = 512
"""Keys that one command drops."""
ROUNDS = 8
"""How often a write is repeated because the shape of its scope was another one; once is usual, for a new scope."""
SHAPES = 20_000


class Part(NamedTuple):
    """Users of one scope who are in one group, each with the number that picks the set."""

    scope: Scope
    group: int
    users: Sequence[tuple[int, int]]


class RedisCount(RedisRecord, ABC):
    """A Ledger in Redis but for what its users are kept in (see guard.usage.ledger.Ledger and ``redis_layout``).

    A write is one round trip, and two for the first users of a scope. It is no transaction: if it raises, some users
    may be in and some not, each of them counted.
    """

    base: int
    """Sets of a scope in one group, if it is new."""
    fill: int
    """Users of a set that their number is chosen for if the period before had more; 0 if it is always ``base``."""
    count_command: str
    """What counts the users of one set."""
    union_command: str
    """What unites sets."""

    exact: bool

    def __init__(self, place: RedisPlace, layout: Layout, what: str, *, read_only: bool) -> None:
        self.shapes: dict[tuple[Scope, int], Shape] = {}
        """Shapes as they were told last, by scope and group; a script does nothing if one is outdated."""
        self._turns = numbers(1)
        """Numbers this handle's claims: an owner claims by one handle."""
        super().__init__(place, layout, what, read_only=read_only)

    @abstractmethod
    def add(self, part: Part, shape: Shape, head: Sequence[str], told: Sequence[str | int], *, back: bool) -> Command:
        """Return the command that adds ``part``; ``head`` are its first keys, ``told`` its first arguments.

        With ``back`` it looks who was there in the period before.
        """

    @abstractmethod
    def state(self, users: int, unidentified: int, sets: int) -> Totals:
        """Return the totals for a count of ``users``; ``sets`` are in the smallest group."""

    @abstractmethod
    def pass_on(self, source: Scope, group: int, target: Scope) -> None:
        """Write users of ``source`` in ``group`` to ``target``, which has another number of sets there."""

    def write(
        self,
        sightings: Mapping[Scope, Collection[int]],
        unidentified: Mapping[Scope, int],
        *,
        owner: str,
        day: str | None,
    ) -> Mapping[Scope, Written]:
        """Insert users and set unidentified totals (see Ledger)."""
        self._check_writable()
        scopes = list(dict.fromkeys((*sightings, *unidentified)))
        periods = list(dict.fromkeys(scope.period for scope in scopes))
        parts = list(self._parts(sightings))
        first = [self.restate(scope, owner, number) for scope, number in unidentified.items()]
        new = dict.fromkeys(scopes, 0)
        for _ in range(ROUNDS):
            questions = [self._reading(period) for period in periods]
            replies = iter(
                self.ask(
                    (*first, *(self._adding(part, day) for part in parts), *(q for each in questions for q in each))
                )
            )
            for _ in first:
                next(replies)
            again = []
            for part in parts:
                if isinstance(reply := next(replies), str):
                    self._learn(part.scope, part.group, reply)
                    again.append(part)
                else:
                    new[part.scope] += reply
            totals = {
                period: self._read([next(replies) for _ in asked])
                for period, asked in zip(periods, questions, strict=True)
            }
            if not again:
                nothing = Totals(0, 0, 0, 0)
                return {
                    scope: Written(
                        new[scope] if self.exact and not self._is_forgotten(scope) else None,
                        totals[scope.period].get(scope.license, nothing),
                    )
                    for scope in scopes
                }
            first, parts = [], again
        raise LedgerUnavailable(f"ledger {self.place}: the layout of what is written changes again and again")

    def totals(self, period: str) -> Mapping[str, Totals]:
        """Return the totals of ``period`` by license (see Ledger); O(groups), whatever the number of users."""
        return self._read(self.ask(self._reading(period)))

    def users(self, scope: Scope) -> int:
        """Return the number of users in ``scope`` (see Ledger)."""
        totals = self.totals(scope.period).get(scope.license)
        return totals.upper if totals else 0

    def claim(self, scope: Scope, owner: str, *, need: int, extra: int, allowed: int, now: float) -> Claim:  # noqa: ARG002  (the server's own clock decides)
        """Let ``owner`` hold places for newcomers (see Ledger).

        The count is read before the places are given, and others may write in between; still users and places stay
        within ``allowed``. Of the users in the store, those whose owner has claimed since it wrote them are no longer
        covered by a place, so they must be in the count that is used. An owner reads the count after its own writes
        were acknowledged, and the count only grows; so of those owners the one whose writes ended last has read a
        count that holds the users of all of them. The script keeps the highest count that any claimer has read, and
        uses that one.
        """
        self._check_writable()
        users = self.users(scope)
        key = self.layout.meta("claims", *scope)
        lease = int(LEASE_SECONDS * 1000)
        turn = next(self._turns)
        ((granted, most),) = self.ask([call(CLAIM, [key], owner, need, extra, allowed, users, lease, turn)])
        return Claim(int(granted), int(most))

    def merge(self, target: Scope, sources: Sequence[Scope]) -> None:
        """Add the users and unidentified totals of ``sources`` to ``target``, once (see Ledger)."""
        self._check_writable()
        marker = self.layout.meta("merged", *target)
        (done,) = self.ask([command("SMEMBERS", marker)])
        names = {source: " ".join(source) for source in sources if " ".join(source) not in done}
        if not names:
            return
        unite(self, target, list(names))
        stated = {period: self.totals(period) for period in {source.period for source in names}}
        self.ask(
            [
                *(
                    self.restate(target, f"merged {name}", stated[source.period][source.license].unidentified)
                    for source, name in names.items()
                    if source.license in stated[source.period]
                ),
                command("SADD", marker, *names.values()),
            ]
        )

    def forget(self, scope: Scope) -> None:
        """Drop who was in ``scope`` and keep how many (see Ledger)."""
        self._check_writable()
        fields = [f"{kind} {scope.license}" for kind in "kfld"]
        hashes = [self.layout.period(group, scope.period) for group in range(self.layout.groups)]
        found = self.ask(command("HMGET", key, *fields) for key in hashes)
        if not any(sets for sets, *_ in found):
            return  # nobody was ever counted there
        left = [
            group
            for group, (_, forgotten, late, dropped) in enumerate(found)
            if not forgotten or dropped is None or int(dropped) != int(late or 0)
        ]
        before = period_before(scope.period)
        marked = self.ask(
            call(FORGET, [hashes[group], self.layout.period(group, before)], scope.license, self.base, self.fill)
            for group in left
        )
        for group in range(self.layout.groups):
            self.shapes.pop((scope, group), None)
        for group, (sets, late) in zip(left, marked, strict=True):
            keys = [key for how in (False, True) for key in self.layout.sets(group, scope, range(int(sets)), late=how)]
            drops = [command("UNLINK", *keys[at : at + UNLINKED]) for at in range(0, len(keys), UNLINKED)]
            self.ask([*drops, command("HSET", hashes[group], f"d {scope.license}", int(late))])

    def growth(self, license: str, month: str) -> Sequence[Growth]:
        """Return the growth of ``month`` by day (see Ledger)."""
        scope = Scope(month, license)
        keys, *found = self.ask(
            [
                command("HMGET", self.layout.meta(), f"key {month}", f"key {month_before(month)}"),
                *(command("HGETALL", self.layout.growth(group, scope)) for group in range(self.layout.groups)),
            ]
        )
        days: dict[str, dict[str, int]] = {}
        for name, number in (item for fields in found for item in fields.items()):
            kind, _, day = name.partition(" ")
            counts = days.setdefault(day, {"new": 0, "returning": 0, "unknown": 0})
            counts[kind] += int(number)
        told = self.exact and (None in keys or keys[0] == keys[1])
        return [
            Growth(day, counts["new"], counts["returning"])
            if told and not counts["unknown"]
            else Growth(day, counts["new"] + counts["returning"], None)
            for day, counts in sorted(days.items())
        ]

    def periods(self) -> Sequence[str]:
        """Return the periods with any count (see Ledger)."""
        keys = [self.layout.meta("periods"), *map(self.layout.periods, range(self.layout.groups))]
        return sorted(set().union(*self.ask(command("SMEMBERS", key) for key in keys)))

    def restate(self, scope: Scope, owner: str, number: int) -> Command:
        """Return the command that sets an owner's unidentified requests."""
        meta = self.layout.meta
        keys = [meta("unidentified", scope.period), meta("owners", *scope), meta("periods")]
        return call(RESTATE, keys, *scope, owner, number)

    def _parts(self, sightings: Mapping[Scope, Collection[int]]) -> Iterator[Part]:
        spread: dict[int, dict[int, list[tuple[int, int]]]] = {}
        place = self.layout.place
        for scope, users in sightings.items():
            groups = spread.get(id(users))  # a month, a day and its windows are often given the same
            if groups is None:
                groups = spread[id(users)] = {}
                for user in set(users):
                    group, number = place(user)
                    groups.setdefault(group, []).append((number, user))
            for group, placed in groups.items():
                for at in range(0, len(placed), TOGETHER):
                    yield Part(scope, group, placed[at : at + TOGETHER])

    def _adding(self, part: Part, day: str | None) -> Command:
        scope, group = part.scope, part.group
        filed = day if day is not None and kind_of(scope.period) is Kind.MONTH else None
        shape = self.shapes.get((scope, group))
        layout = self.layout
        head = [
            layout.period(group, scope.period),
            layout.periods(group),
            layout.growth(group, scope),
            layout.period(group, period_before(scope.period)),
        ]
        told: list[str | int] = [*scope, self.base, self.fill, str(shape or ""), filed or ""]
        if shape is None:  # asked for without users: they could not be placed
            return self.add(part._replace(users=()), Shape(1, 0, forgotten=False), head, told, back=False)
        return self.add(part, shape, head, told, back=bool(filed and shape.before and not shape.forgotten))

    def _learn(self, scope: Scope, group: int, reply: str) -> None:
        if len(self.shapes) > SHAPES:
            self.shapes.clear()
        self.shapes[scope, group] = Shape.of(reply)

    def _is_forgotten(self, scope: Scope) -> bool:
        shapes = (self.shapes.get((scope, group)) for group in range(self.layout.groups))
        return any(shape.forgotten for shape in shapes if shape)

    def _reading(self, period: str) -> list[Command]:
        keys = [self.layout.period(group, period) for group in range(self.layout.groups)]
        calls = [call(TOTAL, [key]) for key in keys] if self._connection.cluster else [call(TOTAL, keys)]
        return [command("HGETALL", self.layout.meta("unidentified", period)), *calls]

    def _read(self, replies: Sequence[Any]) -> Mapping[str, Totals]:
        unidentified, *counts = replies
        sums: dict[str, tuple[int, int, int]] = {}
        for count in counts:
            for license, users, late, sets in zip(*(count[at::4] for at in range(4)), strict=True):
                before = sums.get(license, (0, 0, sets))
                sums[license] = (before[0] + users, before[1] + late, min(before[2], sets))
        return {
            license: self.state(users, late + int(unidentified.get(license, 0)), sets)
            for license, (users, late, sets) in {**dict.fromkeys(unidentified, (0, 0, 1)), **sums}.items()
        }
