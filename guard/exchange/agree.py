"""Has whoever sends the request accepted the terms that the model's licenses make flow down to users of a service?

Where hosting counts as distribution, whoever is given access has to be bound by the use restrictions (Gemma 3.1,
DeepSeek 1.0 clauses 4.a and 5, BigScience RAIL 4.a and 5). Guard knows of an acceptance what the configuration says.
"""

from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Code, Refusal


def agree(exchange: Exchange) -> Refusal | None:
    """Note the licenses whose terms nobody accepted for this caller; with ``terms: require`` refuse the request."""
    model = exchange.model
    if model is None or not model.flow_down:
        return None
    accepted = exchange.entitlement.terms if exchange.entitlement is not None else frozenset()
    by_tenant = exchange.tenant.terms if exchange.tenant is not None else frozenset()
    for license, clause in model.flow_down:
        if license in accepted or license in by_tenant:
            continue
        exchange.unaccepted.append((license, clause))
        if exchange.snapshot.identity.terms == "require":
            message = "This model's license binds its users by its terms: their acceptance is not on record here."
            refusal = exchange.refuse(Refusal(403, Code.LICENSE_TERMS, message, license=license, clause=clause))
            if refusal is not None:
                return refusal
    return None
