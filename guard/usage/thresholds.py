"""Limits on users and the state a count puts them in."""

from dataclasses import dataclass
from enum import StrEnum

from guard.usage.period import Kind

LET_GO = 0.98
"""A state is left when the count falls below this share of where it was entered: an estimate's jitter changes none."""


class State(StrEnum):
    """How near a count is to its limit."""

    OK = "ok"
    APPROACHING = "approaching"
    OVER = "over"


class AtLimit(StrEnum):
    """What happens to requests once a standing limit is reached."""

    OBSERVE = "observe"
    REFUSE_NEWCOMERS = "refuse_newcomers"
    REFUSE_ALL = "refuse_all"


@dataclass(frozen=True, slots=True)
class Limit:
    """One user threshold of one license, on the count of one kind of period.

    ``standing`` limits act at run time (Qwen clause 4); the others (Llama clause 2, a snapshot of the month before
    release) can be neither triggered nor cured by a live count: for them the count is early warning and evidence.
    """

    license: str
    id: str
    value: int
    """The number in the license: with ``exclusive`` False the value itself still passes (greater_than)."""
    exclusive: bool
    """True for must_be_less_than: the value itself is already over."""
    standing: bool
    clause: str
    consequence: str
    approaching_ratio: float = 0.8
    kind: Kind = Kind.MONTH
    products: str = "all"
    """Whose users the license counts: ``all`` products of the licensee, those ``with_model``, or ``each`` by itself."""
    affiliates: str = "included"
    """The license's word: ``included``, ``excluded``, or ``unmentioned``."""
    affiliates_read: str = ""
    """Where it is ``unmentioned``, the operator's reading: ``included`` or ``excluded``; empty where there is none."""

    @property
    def counts_affiliates(self) -> bool:
        """True if declared users of affiliates count; where nobody says so they do, which is the cautious reading."""
        return "excluded" not in {self.affiliates, self.affiliates_read}

    @property
    def names_affiliates(self) -> bool:
        """True if the license, or the operator's reading of its silence, says that affiliates count."""
        return "included" in {self.affiliates, self.affiliates_read}

    @property
    def acts(self) -> bool:
        """True if passing it can stop the service: a duty to display a name (Kimi K2) ends no right to serve."""
        return self.standing and self.consequence != "display_duty"

    @property
    def allowed(self) -> int:
        """The largest count that is not over the limit."""
        return self.value - 1 if self.exclusive else self.value

    def state(self, count: int, before: "State | None" = None) -> State:
        """Return the state that ``count`` active users put this limit in.

        With the state ``before`` it is kept within two percent below where it begins, so that an estimate or a rolling
        count that goes up and down does not make it flap.
        """
        if count > self.allowed or (before is State.OVER and count > LET_GO * self.allowed):
            return State.OVER
        begins = self.approaching_ratio * self.allowed
        if count >= begins or (before in {State.OVER, State.APPROACHING} and count > LET_GO * begins):
            return State.APPROACHING
        return State.OK
