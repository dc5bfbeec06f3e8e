"""Write down what happened: metrics, an audit entry for anything but a plain allow, receipts for what was served."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from guard.exchange.exchange import Exchange
from guard.exchange.given import given
from guard.exchange.observe import observe
from guard.exchange.refusal import Code, Refusal
from guard.exchange.unscanned import PartAction
from guard.screening.findings import Action
from guard.screening.segments import Source

OUTCOMES = {PartAction.DENY: "denied", PartAction.ALLOW: "allowed", PartAction.MARK: "marked"}
"""Of parts that no rule reads."""


class Verdict(StrEnum):
    """The four outcomes (invariant 6): a skipped check is never a pass."""

    ALLOW = "allow"
    DENY = "deny"
    FLAG = "flag"
    NOT_EVALUATED = "not_evaluated"


class Ending(StrEnum):
    """How the exchange ended on the wire."""

    SERVED = "served"
    REFUSED = "refused"
    CUT = "cut"
    """A choice of the answer was ended early by a rule."""
    REJECTED = "rejected"
    """The inference server found a mistake in the request (4xx)."""
    UPSTREAM = "upstream"
    """The inference server failed."""
    CLIENT = "client"
    """The client went away."""
    DRAINED = "drained"
    """Guard was told to end, and the answer was not whole when its time was over."""


class ServedChoice(NamedTuple):
    """What left of one finished choice."""

    choice: int
    texts: tuple[str, ...]
    """Content, reasoning, tool arguments ...: one text each."""
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None


def verdict(exchange: Exchange) -> Verdict:
    """Return the outcome of ``exchange``; deny outranks not_evaluated, which outranks flag."""
    if exchange.refused is not None:
        return Verdict.DENY
    if exchange.not_evaluated:
        return Verdict.NOT_EVALUATED
    if exchange.shadowed:
        return Verdict.FLAG
    for _, _, ruling in exchange.findings:
        if ruling.action >= Action.FLAG:
            return Verdict.FLAG
    return Verdict.ALLOW


def record(exchange: Exchange, ending: Ending, served: Sequence[ServedChoice] = ()) -> None:
    """Report the finished exchange; call exactly once, after the last byte left."""
    services, decided = exchange.services, verdict(exchange)
    meter, refused = services.meter, exchange.refused
    if refused is None and ending is Ending.UPSTREAM:
        # Nobody was denied anything by a rule, but nothing was served either: an alert must see it.
        word, reason = Verdict.DENY.value, Code.UPSTREAM_UNAVAILABLE.value
    else:
        # What ``value`` is read from: reading that itself costs as much as counting does.
        word, reason = decided._value_, (ending if refused is None else refused.code)._value_
    model = exchange.model
    label = exchange.license if model is None else model.label
    meter.exchanged(word, reason, label, exchange.identity.source, exchange.scanned)
    _identified(exchange)
    for direction, finding, ruling in exchange.findings:
        meter.finding(finding.category, direction.value, ruling.action.name.lower())
    for why in exchange.not_evaluated:
        meter.not_evaluated(why)
    for part, action in exchange.unscanned:
        meter.parts(part.kind.value, OUTCOMES[action], 1)
    for license, _ in exchange.unaccepted:
        meter.unaccepted(license)
    audit, remarkable = services.audit, decided is not Verdict.ALLOW or ending is Ending.DRAINED
    if audit is not None and (
        remarkable or exchange.obligations or exchange.marked or exchange.snapshot.every_decision
    ):
        audit.append("decision", facts(exchange, decided, ending))
    if remarkable and services.notable is not None:
        services.notable(exchange, decided, ending)
    if exchange.trace is not None:
        exchange.trace.decided(exchange, decided, ending)
    if exchange.answered:
        _account(exchange, served)
    observe(exchange, served)
    if services.candidate is not None:
        services.candidate.offer(exchange)


def _identified(exchange: Exchange) -> None:
    services, identity = exchange.services, exchange.identity
    if identity.key is None:
        services.meter.unidentified()
    elif exchange.answered:
        if exchange.newcomer:
            services.meter.newcomer(identity.source)
        if services.churn is not None:
            services.churn.note(identity.source, identity.key, services.now())


def facts(exchange: Exchange, decided: Verdict, ending: Ending) -> dict[str, Any]:
    """Return the audit entry's facts: ids, clauses, rules and spans; no user text, no raw identity (invariant 8)."""
    inquiry, identity, model = exchange.inquiry, exchange.identity, exchange.named
    return {
        "reference": exchange.head.reference,
        "verdict": decided.value,
        "ending": ending.value,
        "surface": inquiry.surface,
        "model": model.name if model is not None else None,
        "licenses": [license.id for license in model.licenses] if model is not None else [],
        "policy": exchange.snapshot.hash,
        "mode": exchange.snapshot.mode.value,
        "identity": {
            "source": identity.source,
            "assurance": identity.assurance.value,
            "tenant": identity.tenant,
            "application": exchange.entitlement.name if exchange.entitlement is not None else None,
            "purpose": identity.purpose,
            "user": format(identity.key & 0xFFFFFFFFFFFFFFFF, "016x") if identity.key is not None else None,
        },
        "refused": _refusal_facts(exchange.refused) if exchange.refused is not None else None,
        "shadowed": [_refusal_facts(refusal) for refusal in exchange.shadowed],
        "not_evaluated": exchange.not_evaluated,
        "obligations": [
            *exchange.obligations,
            *([f"not read by any rule: {exchange.marked}"] if exchange.marked else []),
            *(f"terms of {license} ({clause}): no acceptance on record" for license, clause in exchange.unaccepted),
        ],
        "findings": finding_facts(exchange),
        "given": given(exchange),
        **({"trace": exchange.trace.id} if exchange.trace is not None else {}),
    }


def finding_facts(exchange: Exchange) -> list[dict[str, Any]]:
    """Return the facts of every finding with its ruling."""
    return [
        {
            "direction": direction.value,
            "rule": finding.rule,
            "category": finding.category,
            "action": ruling.action.name.lower(),
            "license": ruling.license,
            "clause": ruling.clause,
            "source": finding.source.value,
            "path": finding.path,
            "start": finding.start,
            "end": finding.end,
            "transform": finding.transform,
            "most": finding.most.name.lower(),
            "score": finding.score,
        }
        for direction, finding, ruling in exchange.findings
    ]


def _refusal_facts(refusal: Refusal) -> dict[str, str | None]:
    return {
        "code": refusal.code.value,
        "license": refusal.license,
        "clause": refusal.clause,
        "category": refusal.category,
    }


def _account(exchange: Exchange, served: Sequence[ServedChoice]) -> None:
    """Hand over what was answered; where receipts are off only how much it was."""
    provenance, unrecorded = exchange.services.provenance, exchange.services.unrecorded
    if provenance is not None:
        _receipts(exchange, served)
        provenance.ended()
    elif unrecorded is not None:
        if exchange.model is not None:
            unrecorded.unrecorded(len(served))
        unrecorded.ended()


def _receipts(exchange: Exchange, served: Sequence[ServedChoice]) -> None:
    provenance, model, identity = exchange.services.provenance, exchange.model, exchange.identity
    if provenance is None or model is None:
        return
    prompt = "\n".join(
        [
            segment.text
            for segment in exchange.texts
            if segment.source is not Source.TOOL_DEFINITION and not segment.again
        ]
    )
    for choice in served:
        exchange.services.meter.receipt()
        provenance.finished(
            reference=exchange.head.reference,
            choice=choice.choice,
            time=exchange.services.now(),
            tenant=identity.tenant,
            user=identity.key,
            model=model.name,
            licenses=model.licenses,
            policy=exchange.snapshot.hash,
            purpose=identity.purpose,
            surface=exchange.inquiry.surface,
            prompt=prompt,
            output=choice.texts,
            finish_reason=choice.finish_reason,
            prompt_tokens=choice.prompt_tokens,
            completion_tokens=choice.completion_tokens,
        )
