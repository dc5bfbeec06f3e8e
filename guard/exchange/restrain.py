"""Is the identity on the ladder, and what does its step leave it? (behavior over time, L4)."""

from guard.behavior.ladder import BehaviorPolicy, Step
from guard.exchange.admit import apply_rule, limit_length
from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Code, Refusal
from guard.exchange.snapshot import FieldAction, FieldRule
from guard.licensing.purpose import UNKNOWN


def restrain(exchange: Exchange) -> Refusal | None:
    """Refuse or clamp the request of an identity whose behavior over time asked for that; others pass untouched.

    The step was taken earlier, behind other answers; here it is one look-up in memory.
    """
    behavior, policy, key = exchange.services.behavior, exchange.snapshot.behavior, exchange.identity.key
    if behavior is None or policy is None or not policy.enforce or key is None:
        return None
    step = behavior.step(key)
    if step < Step.CLAMP:
        return None
    if step is Step.SUSPEND:
        return exchange.refuse(
            _refusal("This identity is suspended for how it uses outputs; ask this service's operator.")
        )
    if step is Step.REQUIRE_PURPOSE and exchange.identity.purpose == UNKNOWN:
        return exchange.refuse(
            _refusal(
                "Requests of this identity need a stated purpose: send the header x-guard-purpose with serve, "
                "evaluate, train:TARGET or synthetic-data:TARGET, or have the purpose recorded for the API key."
            )
        )
    if exchange.shadows(Code.OUTPUT_USE):
        return None
    if not behavior.admit(key, policy.clamp.requests_per_minute):
        return exchange.refuse(_refusal("Too many requests of this identity in a minute; try again later.", 429))
    return _clamp(exchange, policy)


def _clamp(exchange: Exchange, policy: BehaviorPolicy) -> Refusal | None:
    """Lower samples and length, as the capability surface does under a license."""
    rules = {
        "samples": FieldRule(FieldAction.CLAMP, policy.clamp.samples),
        "length": FieldRule(FieldAction.CLAMP, policy.clamp.length),
    }
    for use in exchange.inquiry.uses:
        rule = rules.get(use.capability)
        refusal = apply_rule(exchange, use, rule) if rule is not None else None
        if refusal is not None:
            return refusal
    limit_length(exchange, rules["length"])
    return None


def _refusal(message: str, status: int = 403) -> Refusal:
    return Refusal(status, Code.OUTPUT_USE, message)
