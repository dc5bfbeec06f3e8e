"""May the answers be used for what the caller says it does with them? (declared purpose and entitlement, L2)."""

from dataclasses import replace

from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Code, Refusal
from guard.licensing.purpose import PLAIN, Purpose, narrow
from guard.licensing.verdict import Verdict, stack_verdict


def entitle(exchange: Exchange) -> Refusal | None:
    """Settle the request's purpose and refuse one that the model's licenses do not allow.

    A tenant's purpose bounds that of its callers: one that says nothing has the tenant's, one that says more is
    refused. ``x-guard-purpose`` may narrow the purpose that the policy gives the identity, never widen it. Only a
    purpose that trains a model is judged: an undetermined verdict refuses as well, because it is no permission.
    """
    granted = exchange.tenant.purpose if exchange.tenant is not None else None
    if granted is not None:
        bounded = narrow(granted, exchange.identity.purpose)
        if bounded is None:
            message = "This caller's purpose is more than its tenant is entitled to."
            return exchange.refuse(Refusal(403, Code.OUTPUT_USE, message))
        exchange.identity = replace(exchange.identity, purpose=bounded)
    stated = exchange.head.header(b"x-guard-purpose")
    if stated is not None:
        try:
            purpose = narrow(exchange.identity.purpose, stated)
        except ValueError:
            return exchange.refuse(
                Refusal(
                    400,
                    Code.MALFORMED,
                    "x-guard-purpose is no purpose; allowed: serve, evaluate, train:TARGET, synthetic-data:TARGET.",
                )
            )
        if purpose is None:
            return exchange.refuse(
                Refusal(403, Code.OUTPUT_USE, "x-guard-purpose asks for more than this identity is entitled to.")
            )
        exchange.identity = replace(exchange.identity, purpose=purpose)
    if exchange.model is None or exchange.identity.purpose in PLAIN:
        return None
    declared = Purpose.parse(exchange.identity.purpose)
    verdict = stack_verdict(exchange.model.licenses, declared, exchange.snapshot.target_of(declared.target or ""))
    if verdict.kind in {Verdict.DENY, Verdict.UNDETERMINED}:
        why = "does not allow" if verdict.kind is Verdict.DENY else "is not known to allow"
        return exchange.refuse(
            Refusal(
                403,
                Code.OUTPUT_USE,
                f"The model's license {why} training this target on its outputs.",
                license=verdict.license,
                clause=verdict.clause,
            )
        )
    exchange.obligations.extend(obligation.text for obligation in verdict.obligations)
    return None
