"""What a gateway would do about a reading, in the shape that is printed."""

import msgspec

from guard.cli.screening.tiers import Reading
from guard.exchange.snapshot import ModelPolicy, Ruling, Snapshot
from guard.screening.findings import Action, Finding
from guard.screening.segments import Source


class Found(msgspec.Struct, gc=False, omit_defaults=True):
    """One finding."""

    rule: str
    category: str
    clause: str | None
    """None: no license rules on the category."""
    start: int
    end: int
    transform: str | None = None
    """How the text had to be read; left out where it was as it is."""


class Verdict(msgspec.Struct, gc=False, omit_defaults=True):
    """One printed line."""

    score: float
    categories: dict[str, float]
    action: str
    findings: list[Found]
    not_evaluated: str | None = None
    """Why the rules could not be asked; left out where they were."""


class Rulings:
    """What is done about findings under one model of a snapshot; under none, as much as a finding itself carries."""

    def __init__(self, snapshot: Snapshot, model: ModelPolicy | None) -> None:
        self._snapshot = snapshot
        self._model = model

    def ruling(self, finding: Finding) -> Ruling:
        """Return what is done about ``finding``; the action OFF: nothing."""
        if self._model is None:
            ruling = Ruling(finding.most)
        else:
            ruling = self._snapshot.ruling(self._model, finding) or Ruling(Action.OFF)
        most = self._snapshot.surface.system_prompts
        if finding.source is Source.SYSTEM and ruling.action > most:
            return Ruling(most, ruling.license, ruling.item, ruling.clause)
        return ruling

    def verdict(self, reading: Reading) -> Verdict:
        """Return what is printed of ``reading``.

        Where the rules could not be asked and anything may block, it is as if they had blocked.
        """
        action, shown = Action.OFF, []
        if reading.not_evaluated is not None and (self._model is None or self._snapshot.holding(self._model)):
            action = Action.BLOCK
        for finding in reading.findings:
            ruling = self.ruling(finding)
            action = max(action, ruling.action)
            rule, category, start, end = finding.rule, finding.category, finding.start, finding.end
            shown.append(Found(rule, category, ruling.clause, start, end, finding.transform))
        categories = dict(reading.categories)
        return Verdict(reading.risk, categories, named(action), shown, reading.not_evaluated)


def named(action: Action) -> str:
    """Return the word for ``action``."""
    return "allow" if action is Action.OFF else action.name.lower()
