"""What a policy changes in a request's fields, without changing them."""

from guard.exchange.admit import CLAMPED_FIELDS, LENGTH_FIELDS, TEXT_FIELDS
from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Code
from guard.exchange.snapshot import FieldAction


def edits(exchange: Exchange) -> tuple[str, ...]:
    """Return which of the request's fields its model's policy changes, and how.

    None where it only records that, and of a request that is refused: nobody gets to see those.
    """
    model, inquiry = exchange.model, exchange.inquiry
    if model is None or not model.fields or exchange.refused is not None or exchange.shadows(Code.FIELD_DENIED):
        return ()
    found = []
    for use in inquiry.uses:
        rule = model.fields.get(use.capability)
        if rule is None:
            continue
        if rule.action is FieldAction.STRIP and use.field not in TEXT_FIELDS:
            found.append(f"{use.field}: strip")
        elif rule.action is FieldAction.CLAMP and use.field in CLAMPED_FIELDS:
            low = isinstance(use.value, int) and use.value <= (rule.limit or 0)
            found += [] if low else [f"{use.field}: at most {rule.limit}"]
    rule, field = model.fields.get("length"), LENGTH_FIELDS.get(inquiry.surface)
    stated = any(use.capability == "length" for use in inquiry.uses)
    if rule is not None and rule.action is FieldAction.CLAMP and field is not None and not stated:
        found.append(f"{field}: {rule.limit} where none is stated")
    return tuple(found)
