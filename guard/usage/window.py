"""What one process holds in memory of the current period: its seen cache, and a tally per license."""

from typing import NamedTuple

from guard.usage.ledger import Scope
from guard.usage.period import Period
from guard.usage.seen import LICENSES, SeenCache


class Tally:
    """The numbers of one scope. Written under the counter's lock."""

    __slots__ = ("near", "pending", "places", "scope", "unidentified", "unidentified_pending", "users")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.users = 0
        """Users in the ledger when it was last read."""
        self.pending = 0
        """First sights of this process that are in the spool but not in the ledger."""
        self.unidentified = 0
        self.unidentified_pending = 0
        self.places: dict[int, int] = {}
        """Newcomers whose requests are in flight, with the number of those requests."""
        self.near = False
        """True if the last newcomer was near a limit: sibling processes should see the next one soon."""

    @property
    def count(self) -> int:
        """Users known to this process: those in the ledger and its own on their way there."""
        return self.users + self.pending

    @property
    def idle(self) -> bool:
        """True if nothing waits for the ledger and no place is held."""
        return not (self.pending or self.unidentified_pending or self.places)


class Stack(NamedTuple):
    """The licenses that one model's users are counted under, resolved once per period."""

    mask: int
    """Their bits in the seen cache; 0 if one has none: then every request is a sighting, as nothing is cached."""
    tallies: tuple[Tally, ...]
    scopes: tuple[Scope, ...]
    bits: tuple[int, ...]

    def without(self, known: int) -> "Stack":
        """Return the part of the stack that a user is not known under."""
        rest = [(tally, bit) for tally, bit in zip(self.tallies, self.bits, strict=True) if not known & bit]
        return Stack(
            0, tuple(tally for tally, _ in rest), tuple(tally.scope for tally, _ in rest), tuple(bit for _, bit in rest)
        )


class Window:
    """One period as one process sees it. ``tally`` and ``resolve`` are called under the counter's lock."""

    __slots__ = ("_known", "bits", "end", "period", "seen", "stacks", "start", "tallies")

    def __init__(self, period: Period, seen_capacity: int, known: dict[Scope, Tally]) -> None:
        self.period = period
        self.start, self.end = period.start, period.end
        self.seen = SeenCache(seen_capacity)
        self.tallies: dict[str, Tally] = {}
        """By license."""
        self.bits: dict[str, int] = {}
        """The bit of each license in ``seen``; 0 for those after the 63rd."""
        self.stacks: dict[tuple[str, ...], Stack] = {}
        self._known = known
        for scope in [scope for scope in known if scope.period == period.id]:
            self.tally(scope.license)

    def tally(self, name: str) -> Tally:
        """Return the tally of the license ``name``, a new one if need be."""
        tally = self.tallies.get(name)
        if tally is None:
            scope = Scope(self.period.id, name)
            tally = self._known.setdefault(scope, Tally(scope))
            self.bits[name] = 1 << len(self.bits) if len(self.bits) < LICENSES else 0
            self.tallies[name] = tally
        return tally

    def resolve(self, names: tuple[str, ...]) -> Stack:
        """Return the stack of the licenses ``names`` and keep it for the next request."""
        tallies = tuple(self.tally(name) for name in dict.fromkeys(names))
        bits = tuple(self.bits[tally.scope.license] for tally in tallies)
        self.stacks[names] = stack = Stack(
            sum(bits) if all(bits) else 0, tallies, tuple(tally.scope for tally in tallies), bits
        )
        return stack
