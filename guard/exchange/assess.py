"""Checks that take milliseconds or a call elsewhere, and run beside the call to the model.

The model takes longer to its first token than they do. Nothing of the answer is released before they have spoken.
"""

from collections.abc import Sequence
from typing import Protocol

from guard.exchange.exchange import Exchange
from guard.screening.findings import Finding
from guard.screening.segments import Segment


class Unassessed(Exception):
    """A check was not made, or not in full.

    ``reason`` is one of few words: a label of guard_screen_not_evaluated_total. ``findings`` are those of the part that
    was made: they hold all the same.
    """

    def __init__(self, reason: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.findings = tuple(findings)


class Assessor(Protocol):
    """A check of a whole prompt, made off the event loop or elsewhere."""

    @property
    def holds(self) -> bool:
        """True if nothing of the answer leaves before this check has spoken; False: it only notes what it finds."""

    @property
    def settles(self) -> bool:
        """True if what it finds stands in place of what the learned tier found (``Exchange.deferred``)."""

    @property
    def required(self) -> bool:
        """True if a request whose model's policy blocks is refused when this check could not be made (``on_error:
        refuse``); False: it is served, and says that it was not evaluated.
        """

    def wanted(self, exchange: Exchange) -> bool:
        """Return whether this exchange's prompt is to be assessed: cheap, on the event loop, after the rules ran."""

    async def assess(self, segments: Sequence[Segment]) -> list[Finding]:
        """Return what it finds in ``segments``. Raises Unassessed on overload, time-out or failure; cancellable."""


class AnswerAssessor(Protocol):
    """A check of finished answers, made off the event loop or elsewhere."""

    @property
    def holds(self) -> bool:
        """True if an unstreamed answer does not leave before this check has spoken; a streamed one has left by then."""

    @property
    def required(self) -> bool:
        """As of an Assessor."""

    def wanted(self, exchange: Exchange) -> bool:
        """Return whether the answers of this exchange are to be assessed: cheap, on the event loop."""

    async def assess_answer(self, segments: Sequence[Segment], answer: Segment) -> list[Finding]:
        """Return what it finds in ``answer`` to ``segments``. Raises Unassessed; cancellable."""
