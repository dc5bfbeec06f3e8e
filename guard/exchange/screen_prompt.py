"""Screen the prompt against the acceptable use policy of the model's licenses."""

from collections.abc import Iterable
from dataclasses import replace

from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Code, Refusal
from guard.exchange.snapshot import ModelPolicy, Ruling
from guard.screening.automaton import TooManyMatches
from guard.screening.findings import Action, Finding
from guard.screening.neural.settling import divided
from guard.screening.segments import Direction, Source


def screen_prompt(exchange: Exchange) -> Refusal | None:
    """Note every finding with the ruling of the model's licenses and refuse the first that blocks."""
    model = exchange.model
    if model is None:
        return None
    try:
        findings = exchange.snapshot.rules.scan(exchange.inquiry.segments)
        exchange.scanned = len(exchange.inquiry.segments)
        learned = _learned(exchange)
    except Exception as error:  # noqa: BLE001 - whatever broke, a skipped check is never a pass (invariant 6)
        exchange.services.on_failure("screening.prompt", error)
        exchange.not_evaluated.append("too_many_matches" if isinstance(error, TooManyMatches) else "error")
        return exchange.refuse(unavailable()) if exchange.snapshot.holding(model) else None
    refusal = judge_prompt(exchange, model, findings)
    if refusal is None and any(check.settles and check.wanted(exchange) for check in exchange.services.assessors):
        # A check beside the call to the model decides in the learned tier's place, where it can.
        exchange.deferred, learned = divided(learned, exchange.inquiry.segments)
    later = judge_prompt(exchange, model, learned)
    if refusal is not None:
        exchange.refused = refusal  # a rule cites the clause of what it found, the learned tier those of a whole hazard
    return refusal or later


def _learned(exchange: Exchange) -> list[Finding]:
    """Note the risk of the prompt by the learned tier, and return what it found."""
    policy = exchange.snapshot.learned
    if policy is None or policy.prompts is Action.OFF:
        return []
    exchange.risk, findings = policy.model.scan(exchange.inquiry.segments)
    return [finding._replace(most=min(finding.most, policy.prompts)) for finding in findings]


def judge_prompt(exchange: Exchange, model: ModelPolicy, findings: Iterable[Finding]) -> Refusal | None:
    """Note every one of ``findings`` with its ruling; the first that blocks refuses, the first in shadow is noted."""
    blocked: Refusal | None = None
    noted = False
    for finding in findings:
        ruling = prompt_ruling(exchange, model, finding)
        if ruling is None or ruling.action is Action.OFF:
            exchange.unruled.append((Direction.PROMPT, finding))
            continue
        exchange.findings.append((Direction.PROMPT, finding, ruling))
        if ruling.action is Action.MASK:
            enforced = exchange.snapshot.enforced(model, finding)
            exchange.masking |= enforced and not exchange.shadows(Code.AUP)
        if ruling.action is not Action.BLOCK:
            continue
        if not exchange.snapshot.enforced(model, finding):
            if not noted:
                exchange.shadowed.append(aup_refusal(finding, ruling).referenced(exchange.head.reference))
                noted = True
        elif blocked is None:
            blocked = aup_refusal(finding, ruling)
    return exchange.refuse(blocked) if blocked is not None else None


def prompt_ruling(exchange: Exchange, model: ModelPolicy, finding: Finding) -> Ruling | None:
    """Return what is done about ``finding`` of a prompt; None: nothing. In system prompts it is less."""
    ruling = exchange.snapshot.ruling(model, finding)
    if ruling is not None and finding.source is Source.SYSTEM:
        return replace(ruling, action=min(ruling.action, exchange.snapshot.surface.system_prompts))
    return ruling


def aup_refusal(finding: Finding, ruling: Ruling) -> Refusal:
    """Return the refusal for a blocking finding: it names license, clause and category, never the words."""
    by = f"the acceptable use policy of {ruling.license}" if ruling.license else "this service's policy"
    return Refusal(
        403,
        Code.AUP,
        f"Not served: {by} does not allow this.",
        license=ruling.license,
        clause=ruling.clause,
        category=finding.category,
    )


def unavailable() -> Refusal:
    """Return the refusal for a blocking check that could not be made."""
    return Refusal(503, Code.SCREENING_UNAVAILABLE, "The request cannot be checked right now.")
