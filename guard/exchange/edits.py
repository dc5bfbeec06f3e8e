"""What a policy changes in a request's fields, without changing them."""

from guard.exchange.admit import CLAMPED_FIELDS, LENGTH_FIELDS, MOST_TOKENS, TEXT_FIELDS, rules_of
from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Code
from guard.exchange.snapshot import FieldAction


def edits(exchange: Exchange) -> tuple[str, ...]:
    """Return which of the request's fields its model's policy changes, and how.

    None where it only records that, and of a request that is refused: nobody gets to see those.
    """
    model, inquiry = exchange.model, exchange.inquiry
    if model is None or exchange.refused is not None or exchange.shadows(Code.FIELD_DENIED):
        return ()
    rules, found = rules_of(exchange, model), []
    for use in inquiry.uses:
        rule = rules.get(use.capability)
        if rule is None:
            continue
        if rule.action is FieldAction.STRIP and use.field not in TEXT_FIELDS:
            found.append(f"{use.field}: strip")
        elif rule.action is FieldAction.CLAMP and use.field in CLAMPED_FIELDS:
            low = isinstance(use.value, int) and use.value <= (rule.limit or 0)
            found += [] if low else [f"{use.field}: at most {rule.limit}"]
    rule, field = rules.get("length"), LENGTH_FIELDS.get(inquiry.surface)
    stated = any(use.field in MOST_TOKENS for use in inquiry.uses)
    if rule is not None and rule.action is FieldAction.CLAMP and field is not None and not stated:
        found.append(f"{field}: {rule.limit} where none is stated")
    return tuple(found)
