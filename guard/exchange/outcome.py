"""What was decided about a request, in the few words by which two policies are compared."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from guard.exchange.edits import edits
from guard.exchange.exchange import Exchange
from guard.exchange.record import verdict
from guard.screening.findings import Action

SEVERITY = ("allow", "flag", "not_evaluated", "deny")


class Outcome(NamedTuple):
    """Two outcomes are equal if nobody could tell the policies apart by them."""

    verdict: str
    """``allow``, ``deny``, ``flag`` or ``not_evaluated``."""
    reason: str
    """Code of the refusal, or of what is only recorded; else ``finding``, ``not_evaluated``, ``edited`` or ``none``."""
    license: str | None = None
    clause: str | None = None
    category: str | None = None
    rules: tuple[str, ...] = ()
    """Ids of the rules with findings that are flagged or blocked, sorted."""
    edits: tuple[str, ...] = ()
    """Request fields that are changed, and how."""

    def facts(self) -> dict[str, Any]:
        """Return it as an audit entry holds it."""
        return {**self._asdict(), "rules": list(self.rules), "edits": list(self.edits)}


def outcome(exchange: Exchange) -> Outcome:
    """Return what was decided about ``exchange``."""
    refusal = exchange.refused or (exchange.shadowed[0] if exchange.shadowed else None)
    rules = {finding.rule for _, finding, ruling in exchange.findings if ruling.action >= Action.FLAG}
    changed = edits(exchange)
    decided = verdict(exchange).value
    if refusal is not None:
        reason = refusal.code.value
        return Outcome(
            decided, reason, refusal.license, refusal.clause, refusal.category, tuple(sorted(rules)), changed
        )
    return Outcome(decided, _reason(decided, changed), rules=tuple(sorted(rules)), edits=changed)


def recorded_outcome(facts: Mapping[str, Any]) -> Outcome:
    """Return what the audit entry of a decision says was decided."""
    refusal = facts["refused"] or next(iter(facts["shadowed"]), None)
    rules = {item["rule"] for item in facts["findings"] if Action.parse(item["action"]) >= Action.FLAG}
    changed = tuple(facts.get("given", {}).get("edits", ()))
    decided = facts["verdict"]
    if refusal is not None:
        return Outcome(
            decided,
            refusal["code"],
            refusal["license"],
            refusal["clause"],
            refusal["category"],
            tuple(sorted(rules)),
            changed,
        )
    return Outcome(decided, _reason(decided, changed), rules=tuple(sorted(rules)), edits=changed)


def stricter(one: Outcome, other: Outcome) -> Outcome:
    """Return the stricter of two outcomes that differ; of two verdicts that are the same, what edits, or ``other``."""
    strictness = [(SEVERITY.index(each.verdict), each.reason != "none") for each in (one, other)]
    return one if strictness[0] > strictness[1] else other


def _reason(decided: str, changed: tuple[str, ...]) -> str:
    words = {"flag": "finding", "not_evaluated": "not_evaluated"}
    return words.get(decided) or ("edited" if changed else "none")
