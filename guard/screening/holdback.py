"""CONTRACT (to be implemented in the screening room): text is released up to the slowest blocking rule."""

from guard.screening.findings import Finding


class ChannelScreen:
    """Screens one growing text (the content, the reasoning, the arguments of one tool call ... of one choice).

    ``cleared`` depends on the text alone, never on how it was split into ``feed`` calls.
    """

    seen: int
    """Characters fed so far."""
    cleared: int
    """Characters that may be released: nothing before this offset can become part of a blocking match any more."""
    blocked: Finding | None
    """The first finding of a blocking category; from then on ``cleared`` stands still."""
    findings: list[Finding]
    """Every finding so far, whatever its action."""

    def feed(self, text: str) -> None:
        """Screen ``text`` as the continuation of what was fed before."""
        raise NotImplementedError

    def finish(self) -> None:
        """Screen the end of the text: partial matches can no longer complete, so ``cleared`` reaches ``seen``."""
        raise NotImplementedError
