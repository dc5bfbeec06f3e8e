"""CONTRACT (to be implemented in the screening room): compiled tier 1 rules."""

from collections.abc import Iterable, Sequence

from guard.screening.findings import Finding
from guard.screening.holdback import ChannelScreen
from guard.screening.rules import Rule
from guard.screening.segments import Segment, Source


class RuleSet:
    """Rules compiled once per snapshot to a multi-pattern automaton; immutable, shared by every request."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        raise NotImplementedError

    def scan(self, segments: Iterable[Segment]) -> list[Finding]:
        """Return every finding of the prompt rules in ``segments``, in order."""
        raise NotImplementedError

    def open(self, source: Source, blocking: frozenset[str]) -> ChannelScreen:
        """Return a fresh incremental screen of the output rules for one channel of one choice."""
        raise NotImplementedError
