"""What one process holds in memory of the periods it counts: a tally per scope, and its seen cache."""

import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from guard.usage.declaration import Declaration
from guard.usage.ledger import Scope, Totals
from guard.usage.period import Calendar, Kind, Period
from guard.usage.seen import LICENSES, SeenCache

NOTHING = Totals(0, 0, 0, 0)


class Tally:
    """The numbers of one scope. Written under the lock of its ``Tallies``."""

    __slots__ = (
        "allowed",
        "declarations",
        "granted",
        "granted_until",
        "highest",
        "pending",
        "places",
        "scarce",
        "scope",
        "totals",
        "unidentified",
        "unidentified_sent",
        "used",
    )

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.totals = NOTHING
        """What the ledger said last."""
        self.highest = 0
        """The most users the ledger ever had: if it has fewer, it lost some."""
        self.pending = 0
        """First sights of this process that the ledger has not acknowledged."""
        self.unidentified = 0
        """Answered requests of this process that named nobody."""
        self.unidentified_sent = 0
        """Of these, those the ledger knows of."""
        self.declarations: tuple[Declaration, ...] = ()
        self.places: dict[int, int] = {}
        """Newcomers whose requests are in flight, with the number of those requests."""
        self.allowed: int | None = None
        """What places were last claimed under; None: nobody asked for any."""
        self.granted = 0
        """Places that the ledger granted and that are not used up: those of ``held``, and free ones."""
        self.granted_until = 0.0
        """Until when free places may be given away (epoch seconds)."""
        self.scarce = False
        """True if the ledger had fewer places than were asked for: siblings should see users and places soon."""

        self.used = False
        """True if users came into the ledger by places that it still holds for this process."""

    @property
    def users(self) -> int:
        """Users known to this process: those in the ledger and its own on their way there."""
        return self.totals.users + self.pending

    @property
    def held(self) -> int:
        """Places in use: by newcomers in flight, and by those counted here that the ledger does not have yet."""
        return len(self.places) + self.pending

    @property
    def lost(self) -> int:
        """Users that the ledger had and has no more."""
        return max(0, self.highest - self.totals.users)

    @property
    def idle(self) -> bool:
        """True if nothing waits for the ledger, no place is held, and no total of this process's would begin anew."""
        return not (self.pending or self.places or self.unidentified)


class Tallies:
    """The tallies of one process by scope, and the lock under which they are written."""

    def __init__(self, calendar: Calendar) -> None:
        self.lock = threading.Lock()
        self.calendar = calendar
        self.by_scope: dict[Scope, Tally] = {}

    def of(self, scope: Scope) -> Tally:
        """Return the tally of ``scope``, a new one if need be. To be called under the lock."""
        tally = self.by_scope.get(scope)
        if tally is None:
            tally = self.by_scope[scope] = Tally(scope)
        return tally

    def sighted(self, scope: Scope) -> tuple[Tally, ...]:
        """Return the tallies that a sighting filed under ``scope`` adds to at once. To be called under the lock."""
        day = scope.period
        return tuple(self.of(Scope(period, scope.license)) for period in self.calendar.windows(day, day))

    def forget(self, periods: Iterable[str]) -> None:
        """Drop idle tallies of all but ``periods``. To be called under the lock."""
        kept = frozenset(periods)
        for scope in [scope for scope, tally in self.by_scope.items() if tally.idle and scope.period not in kept]:
            del self.by_scope[scope]


class Member(NamedTuple):
    """One license of a stack in one window."""

    bit: int
    """Its bit in the seen cache; 0 for licenses after the 63rd."""
    scope: Scope
    """What sightings are filed under."""
    tallies: tuple[Tally, ...]


class Stack(NamedTuple):
    """The licenses that one model's users are counted under, resolved once per window."""

    mask: int
    """Their bits in the seen cache; 0 if one has none: then every request is a sighting, as nothing is cached."""
    members: tuple[Member, ...]

    def without(self, known: int) -> "Stack":
        """Return the part of the stack that a user is not known under."""
        return Stack(0, tuple(member for member in self.members if not known & member.bit))


class Window:
    """The period that sightings are filed under, as one process sees it."""

    __slots__ = ("_tallies", "end", "members", "period", "periods", "seen", "stacks", "start")

    def __init__(self, period: Period, periods: Mapping[Kind, str], seen_capacity: int, tallies: Tallies) -> None:
        self.period = period
        self.start, self.end = period.start, period.end
        self.periods = periods
        """The id of the current period of each kind."""
        self.seen = SeenCache(seen_capacity)
        self.members: dict[str, Member] = {}
        """By license."""
        self.stacks: dict[tuple[str, ...], Stack] = {}
        self._tallies = tallies

    def member(self, name: str) -> Member:
        """Return the license ``name`` in this window. To be called under the lock of the tallies."""
        member = self.members.get(name)
        if member is None:
            bit = 1 << len(self.members) if len(self.members) < LICENSES else 0
            scope = Scope(self.period.id, name)
            member = self.members[name] = Member(bit, scope, self._tallies.sighted(scope))
        return member

    def resolve(self, names: tuple[str, ...]) -> Stack:
        """Return the stack of the licenses ``names`` and keep it. To be called under the lock of the tallies."""
        members = tuple(self.member(name) for name in dict.fromkeys(names))
        mask = sum(member.bit for member in members) if all(member.bit for member in members) else 0
        self.stacks[names] = stack = Stack(mask, members)
        return stack
