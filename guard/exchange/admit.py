"""Is this model served under a known license, and may these fields be used under it?

The field rules are the capability surface (L1): fields that give teacher-grade output.
"""

from collections.abc import Mapping

from guard.exchange.exchange import Exchange
from guard.exchange.inquiry import FieldUse
from guard.exchange.refusal import Code, Refusal
from guard.exchange.snapshot import FieldAction, FieldRule, ModelPolicy
from guard.exchange.unscanned import PartAction
from guard.licensing.capability import Setting
from guard.licensing.need import Need

TEXT_FIELDS = frozenset({"messages", "prompt", "input"})
"""Fields that carry the request itself: a use inside them cannot be stripped, so it is refused."""

CLAMPED_FIELDS = frozenset(
    {"n", "max_tokens", "max_completion_tokens", "max_output_tokens", "min_tokens", "top_logprobs", "logprobs"}
)
"""Fields whose own value a clamp lowers; a use of any other field that is over a limit is refused."""


LENGTH_FIELDS = {
    "chat": "max_completion_tokens",
    "batch": "max_completion_tokens",
    "completions": "max_tokens",
    "responses": "max_output_tokens",
    "messages": "max_tokens",
}
"""Where each surface states the length of an answer."""
MOST_TOKENS = frozenset({*LENGTH_FIELDS.values(), "max_tokens"})
"""Fields that bound an answer from above; the other uses of ``length`` only draw it out."""


def admit(exchange: Exchange) -> Refusal | None:
    """Resolve the model and apply its field rules to the document: deny refuses, strip and clamp edit it in place."""
    inquiry, surface = exchange.inquiry, exchange.snapshot.surface
    model = exchange.snapshot.serving(inquiry.model)
    if model is None:
        refusal = exchange.refuse(_unserved(inquiry.model))
        if refusal is not None:
            return refusal
        # Only recorded, so it goes on: as a model of an undetermined license, screened and counted like any other.
        model = exchange.snapshot.unlisted
    exchange.model = model
    tenant = exchange.tenant
    if tenant is not None and tenant.models is not None and model.name not in tenant.models:
        refusal = exchange.refuse(Refusal(404, Code.LICENSE_TERMS, "This model is not served to this tenant."))
        if refusal is not None:
            return refusal
    if model.unstated is not None:
        refusal = exchange.refuse(_unstated(model.unstated))
        if refusal is not None:
            return refusal
    if inquiry.unknown and surface.unknown_fields == "deny":
        names = ", ".join(sorted(inquiry.unknown)[:5])[:120]
        return exchange.refuse(
            Refusal(400, Code.FIELD_DENIED, f"Unknown request fields are not accepted here: {names}.")
        )
    if inquiry.unscannable:
        exchange.unscanned = [(part, surface.unscannable[part.kind]) for part in inquiry.unscannable]
        denied = next((part for part, action in exchange.unscanned if action is PartAction.DENY), None)
        if denied is not None:
            message = f"Only what can be read is checked here, and so served; {denied.path} is of kind {denied.kind}."
            return exchange.refuse(Refusal(403, Code.FIELD_DENIED, message))
    rules = model.fields if exchange.entitlement is None else rules_of(exchange, model)
    for use in inquiry.uses:
        rule = rules.get(use.capability)
        if rule is None or rule.action is FieldAction.ALLOW:
            continue
        refusal = apply_rule(exchange, use, rule)
        if refusal is not None:
            return refusal
    if "length" in rules:
        limit_length(exchange, rules["length"])
    return None


def rules_of(exchange: Exchange, model: ModelPolicy) -> Mapping[str, FieldRule]:
    """Return the field rules of the model, or those that the caller's key has in their place.

    What the caller's tenant says of a capability bounds its keys: of the two the stricter holds.
    """
    entitlement = exchange.entitlement
    own = entitlement.fields.get(model.counted) if entitlement is not None and entitlement.fields else None
    if own is None:
        return model.fields
    bounds = exchange.tenant.fields if exchange.tenant is not None else frozenset()
    return {**own, **{name: _stricter(own.get(name), model.fields.get(name)) for name in bounds}} if bounds else own


def _stricter(one: FieldRule | None, other: FieldRule | None) -> FieldRule:
    rules = (one or FieldRule(FieldAction.ALLOW), other or FieldRule(FieldAction.ALLOW))
    return max(rules, key=lambda rule: Setting(rule.action.value, rule.limit).strictness)


def limit_length(exchange: Exchange, rule: FieldRule | None) -> None:
    """Write the largest allowed length into a request that states none: the server's default is the whole context."""
    inquiry = exchange.inquiry
    field = LENGTH_FIELDS.get(inquiry.surface)
    if rule is None or rule.action is not FieldAction.CLAMP or rule.limit is None or field is None:
        return
    if not exchange.shadows(Code.FIELD_DENIED) and not any(use.field in MOST_TOKENS for use in inquiry.uses):
        inquiry.edit()[field] = rule.limit


def _unserved(name: str | None) -> Refusal:
    """Return the refusal for a model that has no policy: 404, as OpenAI-compatible servers answer an unknown model."""
    if name is None:
        return Refusal(400, Code.MALFORMED, "model: missing; allowed: the name of a model, see GET /v1/models.")
    return Refusal(
        404, Code.LICENSE_TERMS, "This model is not served here: no license is known for it; see GET /v1/models."
    )


_UNSTATED = {
    "attestation": "its license looks at the operator's users of one past month, and no statement of them is on record",
    "rights": "by the statement on record of the operator's users its license gives no rights in it",
}
"""What is wanted of the operator, where it is no statement of another kind."""


def _unstated(need: Need) -> Refusal:
    why = _UNSTATED.get(need.about, "its license wants something of the operator that is not on record")
    return Refusal(
        403,
        Code.LICENSE_TERMS,
        f"This model is not served here: {why}.",
        license=need.license,
        clause=need.clause,
    )


def _note(exchange: Exchange, use: FieldUse, rule: FieldRule) -> None:
    """Shadow mode: note what would be edited, and leave the traffic alone."""
    if rule.action is FieldAction.CLAMP and isinstance(use.value, int) and use.value <= (rule.limit or 0):
        return
    message = f"The field '{use.field}' would be changed ({rule.action.value})."
    noted = Refusal(403, Code.FIELD_DENIED, message, license=rule.license, clause=rule.clause)
    exchange.shadowed.append(noted.referenced(exchange.head.reference))


def apply_rule(exchange: Exchange, use: FieldUse, rule: FieldRule) -> Refusal | None:
    """Apply one rule to one use: it is refused, stripped, clamped, or left alone; edits are made in the document."""
    document = exchange.inquiry.edit()
    if exchange.shadows(Code.FIELD_DENIED) and rule.action is not FieldAction.DENY:
        _note(exchange, use, rule)
        return None
    if rule.action is FieldAction.STRIP and use.field not in TEXT_FIELDS:
        n = document.pop(use.field, None)
        if use.field == "n":
            exchange.inquiry.asked = exchange.inquiry.choices
            exchange.inquiry.choices //= n
        return None
    if rule.action is FieldAction.CLAMP and rule.limit is not None:
        if isinstance(use.value, int) and use.value <= rule.limit:
            return None
        if use.field in CLAMPED_FIELDS:
            # n multiplies with the number of prompts: scale it so that the total stays within the limit.
            per_unit = max(1, exchange.inquiry.choices // max(1, document.get("n") or 1)) if use.field == "n" else 1
            if per_unit <= rule.limit:
                document[use.field] = max(1, rule.limit // per_unit)
                if use.field == "n":
                    exchange.inquiry.asked = exchange.inquiry.choices
                    exchange.inquiry.choices = per_unit * int(document["n"])
                return None
        reason = f"at most {rule.limit}"
    else:
        reason = "not available"
    return exchange.refuse(
        Refusal(
            403,
            Code.FIELD_DENIED,
            f"The field '{use.field}' is {reason} for this model.",
            license=rule.license,
            clause=rule.clause,
        )
    )
