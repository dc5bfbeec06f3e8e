"""Where everything of a ledger is in Redis.

Users are spread over G groups by the bits of their pseudonyms. A group is a hash tag: in a Redis Cluster all its keys
are in one slot, where a script may add and count in one step; the count of a scope is the sum over the groups. In a
group, the users of a scope are spread over K sets (or HyperLogLogs), each small enough to be kept as a sorted array:

    PREFIX:{g}:2026-11                  hash  "k LICENSE" sets, "n LICENSE" users, "f LICENSE" 1 if forgotten,
                                              "l LICENSE" users who came late for what was forgotten,
                                              "d LICENSE" those of them who are forgotten, too
    PREFIX:{g}:2026-11:u17:LICENSE      set   users of set 17 (h17: HyperLogLog; l17: those who came late)
    PREFIX:{g}:growth:2026-11:LICENSE   hash  "new DAY", "returning DAY", "unknown DAY"
    PREFIX:{g}:periods                  set   periods with users in this group
    PREFIX:{meta}                       hash  schema, kind, shards, epoch, zone, "key 2026-11"
    PREFIX:{meta}:unidentified:2026-11  hash  LICENSE -> requests
    PREFIX:{meta}:owners:2026-11:LICENSE    hash  owner -> its unidentified requests
    PREFIX:{meta}:claims:2026-11:LICENSE    hash  places under a limit, see claim.lua; expires
    PREFIX:{meta}:merged:2026-11-22/30d:LICENSE  set  scopes that were merged into it
    PREFIX:{meta}:declared:2026-11      hash  [license, source] -> declaration
    PREFIX:{meta}:periods               set   periods with unidentified requests
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple, Self

from guard.usage.ledger import Scope
from guard.usage.period import Kind, kind_of, month_before

SCHEMA = "1"
GROUPS = 64
FILL = 400
"""Users of a set that K is chosen for: the fill varies by its square root, and up to 512 (``set-max-intset-entries``)
Redis keeps integers as a sorted array of 8 bytes each, beyond that as a hash table of some 56."""
SETS = 65_536
"""Sets of a scope while nobody knows how many users it will have: good for 26 million."""
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


class Shape(NamedTuple):
    """How a scope is laid out in one group (shape.lua)."""

    sets: int
    before: int
    """Sets in the period before; 0 if there is none, or it was forgotten."""
    forgotten: bool

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the shape that shape.lua gave."""
        sets, before, forgotten = text.split()
        return cls(int(sets), int(before), forgotten == "1")

    def __str__(self) -> str:
        return f"{self.sets} {self.before} {int(self.forgotten)}"


class Layout(NamedTuple):
    """The keys under one prefix; ``kind`` is "u" for sets and "h" for HyperLogLogs."""

    prefix: str
    groups: int
    kind: str

    def place(self, user: int) -> tuple[int, int]:
        """Return the group of ``user`` and a number that picks its set there, modulo their number.

        Pseudonyms are random bits already; the multiplication (Knuth, TAOCP 3, 6.4) spreads any other numbers, too.
        """
        mixed = user * _GOLDEN & _MASK
        return (mixed >> 58) % self.groups, mixed >> 16 & 0xFFFFFFFF

    def period(self, group: int, period: str) -> str:
        """The hash of the numbers of ``period``."""
        return f"{self.prefix}:{{{group}}}:{period}"

    def sets(self, group: int, scope: Scope, numbers: Iterable[int], *, late: bool = False) -> list[str]:
        """The sets with these numbers of the users of ``scope``, or of those who came late."""
        head = f"{self.prefix}:{{{group}}}:{scope.period}:{'l' if late else self.kind}"
        return [f"{head}{number}:{scope.license}" for number in numbers]

    def growth(self, group: int, scope: Scope) -> str:
        """The hash of the growth of ``scope``, a month."""
        return f"{self.prefix}:{{{group}}}:growth:{scope.period}:{scope.license}"

    def periods(self, group: int) -> str:
        """The set of the periods with users in ``group``."""
        return f"{self.prefix}:{{{group}}}:periods"

    def meta(self, *parts: str) -> str:
        """A key of what is not spread over groups."""
        return ":".join((f"{self.prefix}:{{meta}}", *parts))


def period_before(period: str) -> str:
    """Return the id of the period of the same kind one month, or one day, before ``period``."""
    if kind_of(period) is Kind.MONTH:
        return month_before(period)
    return f"{date.fromisoformat(period[:10]) - timedelta(1)}{period[10:]}"
