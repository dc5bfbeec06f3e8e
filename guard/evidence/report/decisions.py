"""What was decided in the month, from ``decision`` and ``late_findings`` entries."""

from collections.abc import Mapping
from typing import Any

from guard.evidence.report.counts import Counts, Place, Spans

CAUSE = ("license", "clause", "category", "code")
FOUND = ("license", "clause", "category", "direction", "action")


class Decisions:
    """Refusals, cut streams, flags and what was not evaluated, by license and clause."""

    def __init__(self) -> None:
        self.entries = Spans("decision")
        self.verdicts = Counts("decision", ("verdict", "ending"))
        self.refused = Counts("decision", CAUSE)
        self.shadowed = Counts("decision", CAUSE)
        """What would have been refused, and was let pass because its rule or the whole policy was in shadow."""
        self.cut = Counts("decision", CAUSE)
        self.flagged = Counts("decision", FOUND)
        self.unevaluated = Counts("decision", ("reason",))
        self.late = Counts("late_findings", FOUND)
        self.late_unevaluated = Counts("late_findings", ("reason",))
        self.noted = Counts("decision", ("note",))
        self.tenants = Counts("decision", ("tenant", "verdict"))
        self.places = Counts("decision", ("country", "license", "clause"))
        self.shadow_mode = Counts("decision", ("mode",))
        """Decisions by the mode of the policy that made them."""
        self.unlisted = Spans("decision")
        self.held_back = 0
        """Refusals of callers without credentials that stand in no entry of their own."""

    def take(self, place: Place, facts: Mapping[str, Any]) -> None:
        """Take the facts of a ``decision`` entry."""
        self.entries.add(place)
        verdict, ending = _text(facts.get("verdict")), _text(facts.get("ending"))
        self.verdicts.add((verdict, ending), place)
        refused = facts.get("refused")
        if isinstance(refused, dict):
            (self.cut if ending == "cut" else self.refused).add(_cause(refused), place)
            if refused.get("code") == "territory":
                country = (facts.get("given") or {}).get("country")
                self.places.add((_text(country), _text(refused.get("license")), _text(refused.get("clause"))), place)
        for shadowed in facts.get("shadowed") or ():
            self.shadowed.add(_cause(shadowed), place)
        for reason in dict.fromkeys(facts.get("not_evaluated") or ()):
            self.unevaluated.add((_text(reason),), place)
        for note in dict.fromkeys(facts.get("obligations") or ()):
            self.noted.add((_text(note),), place)
        for key in dict.fromkeys(map(_finding, facts.get("findings") or ())):
            if key[-1] != "block":  # once for a request, however often its text has it
                self.flagged.add(key, place)
        if facts.get("mode"):
            self.shadow_mode.add((_text(facts["mode"]),), place)
        tenant = (facts.get("identity") or {}).get("tenant")
        if tenant is not None:
            self.tenants.add((_text(tenant), verdict), place)
        held_back = facts.get("not_listed_before")
        if isinstance(held_back, int) and held_back:
            self.held_back += held_back
            self.unlisted.add(place)

    def take_late(self, place: Place, facts: Mapping[str, Any]) -> None:
        """Take the facts of a ``late_findings`` entry."""
        for key in dict.fromkeys(map(_finding, facts.get("findings") or ())):
            self.late.add(key, place)
        for reason in dict.fromkeys(facts.get("not_evaluated") or ()):
            self.late_unevaluated.add((_text(reason),), place)


def _cause(refusal: Mapping[str, Any]) -> tuple[str | None, ...]:
    return tuple(_text(refusal.get(name)) for name in CAUSE)


def _finding(finding: Mapping[str, Any]) -> tuple[str | None, ...]:
    return tuple(_text(finding.get(name)) for name in FOUND)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
