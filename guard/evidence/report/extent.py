"""How far a month goes: whether it is over, until when it is looked at, and for how much of that gateways ran."""

from typing import NamedTuple

from guard.evidence.report.known import Known
from guard.evidence.report.reading import Evidence

ENOUGH = 0.95
"""The part of the month for which a gateway has to be known to have run, for its counts to be those of the month."""


class Extent(NamedTuple):
    """A month as far as it goes."""

    over: bool
    """A journal or the ledger has something of a later month."""
    until: float
    """Its end, or while it is not over the time of the latest entry of it; 0 if there is none."""
    ran: float
    """Seconds for which a gateway is known to have run."""
    of: float
    """Seconds of the month up to ``until``."""

    @property
    def covered(self) -> bool:
        """True if what was counted is what there was, but for restarts."""
        return self.of > 0 and self.ran >= ENOUGH * self.of


def extent(evidence: Evidence, known: Known) -> Extent:
    """Return how far the month goes."""
    return extent_of(evidence, over=bool(known.usage and known.usage["over"]))


def extent_of(evidence: Evidence, *, over: bool) -> Extent:
    """Return how far the month goes; ``over`` is what the ledger says of that."""
    ended = evidence.later or over
    until = evidence.month.end if ended else evidence.until
    return Extent(ended, until, evidence.runs.ran(until), max(0.0, until - evidence.month.start))
