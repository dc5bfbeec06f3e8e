"""Which spans of a prompt have to be replaced before it is sent."""

from collections.abc import Iterable, Iterator

from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Code, Refusal
from guard.exchange.screen_prompt import prompt_ruling
from guard.screening.findings import Action
from guard.screening.rules import MASK
from guard.screening.segments import Segment
from guard.screening.stream.masks import Masks


def masks(exchange: Exchange, segments: Iterable[Segment]) -> Iterator[tuple[Segment, Masks]]:
    """Yield every segment in which something has to be replaced, and what.

    Raises TooManyMatches as ``RuleSet.scan``.
    """
    snapshot, model = exchange.snapshot, exchange.model
    if model is None:
        return
    for segment in segments:
        found = Masks()
        for finding in snapshot.rules.scan([segment]):
            ruling = prompt_ruling(exchange, model, finding)
            if ruling is not None and ruling.action is Action.MASK and snapshot.enforced(model, finding):
                found.add(finding.rule, finding.start, finding.end, snapshot.rules.masks.get(finding.rule) or MASK)
        if found:
            yield segment, found


def unmaskable() -> Refusal:
    """Return the refusal of a prompt with something to mask where nothing can be replaced."""
    return Refusal(
        400, Code.MALFORMED, "The prompt holds what has to be masked where it cannot be; allowed: plain text prompts."
    )
