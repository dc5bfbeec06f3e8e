"""A license in words, for a terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guard.licensing.license import License, Threshold

WIDTH = 100


def describe(license_: "License") -> Iterator[str]:
    """Yield what ``license_`` says, line by line, every fact with its clause."""
    yield f"{license_.name} ({license_.id})"
    yield f"dated {license_.date}; {established(license_.status.value)}; not legal advice, read the license text"
    for source in license_.sources:
        yield from _wrapped(f"source: {source}")
    if license_.models:
        yield from _wrapped(f"models: {', '.join(license_.models)}")
    for derivation in license_.derived:
        stack = " + ".join(derivation.licenses)
        yield from _wrapped(f"models under {stack}: {', '.join(derivation.models)} ({derivation.reason})")
    yield from _heading("Use")
    yield from _fact(f"commercial use: {license_.commercial}", license_.commercial_text, license_.commercial_clause)
    hosting = license_.hosting.replace("_", " ")
    yield from _fact(f"hosting: {hosting}", license_.hosting_text, license_.hosting_clause)
    if license_.territory is not None:
        territory = license_.territory
        places = f" ({', '.join(territory.excluded)} excluded)" if territory.excluded else ""
        kind = territory.kind.replace("_", " ")
        yield from _fact(f"territory, {kind}{places}", territory.applies_to, territory.clause, territory.status.value)
    yield from _heading("Thresholds")
    for threshold in license_.thresholds:
        month = f", {threshold.reference_month}" if threshold.reference_month else ""
        text = f"{threshold.scope}; {threshold.counted_entities}."
        if threshold.products:
            text += f" Whose users: {whose(threshold)}."
        text += f" Beyond it: {threshold.consequence_text}"
        if threshold.exempt:
            text += f". Exempt: {threshold.exempt}"
        yield from _fact(threshold_line(threshold) + month, text, threshold.clause, threshold.status.value)
    if not license_.thresholds:
        yield "  none"
    yield from _heading("Outputs")
    use = license_.output_use
    parts = [use.detail, use.scope and f"covers {use.scope}", use.exception and f"except {use.exception}"]
    yield from _fact(
        use.rule.value.replace("_", " "), "; ".join(part for part in parts if part), use.clause, use.status.value
    )
    yield from _heading("Owed")
    for duty in license_.duties:
        text = f"{duty.text} (for {', '.join(duty.owed_for)}; when: {duty.trigger})"
        yield from _fact(duty.kind.replace("_", " "), text, duty.clause, duty.status.value)
    yield from _policy(license_)
    if license_.notes:
        yield from _heading("Notes")
        for note in license_.notes:
            yield from _wrapped(note, "  ")


def whose(threshold: "Threshold") -> str:
    """Return whose users ``threshold`` counts, in words; empty for one on money."""
    products = {
        "all": "all products, with or without the model",
        "with_model": "the products with the model, taken together",
        "each": "each product with the model by itself",
    }
    affiliates = {"included": "included", "excluded": "not included", "unmentioned": "not mentioned"}
    if not threshold.products:
        return ""
    return f"{products[threshold.products]}; affiliates {affiliates[threshold.affiliates]}"


def threshold_line(threshold: "Threshold") -> str:
    """Return ``threshold`` in a few words: ``MAU > 700,000,000 (release snapshot)``."""
    units = {"monthly_active_users": "MAU", "daily_active_users": "DAU"}
    sign = "<" if threshold.comparator == "must_be_less_than" else ">"
    value = "?" if threshold.value is None else f"{threshold.value:,}"
    metric = units.get(threshold.metric, threshold.metric.replace("_", " "))
    return f"{metric} {sign} {value} ({threshold.window.value.replace('_', ' ')})"


def _policy(license_: "License") -> Iterator[str]:
    yield from _heading("Acceptable use policy")
    if not license_.aup_text:
        yield "  none"
        return
    yield from _fact("", license_.aup_text, "", license_.aup_status.value)
    for item in license_.aup:
        if item.categories:
            actions: dict[str, list[str]] = {}
            for category in item.categories:
                actions.setdefault(item.action_for(category).name.lower(), []).append(category)
            done = ", ".join(f"{action} {' '.join(categories)}" for action, categories in actions.items())
            how = f"{done}; coverage {item.coverage}"
        else:
            how = f"not visible in text. Instead: {item.duty}"
        yield from _fact(item.id.replace("_", " "), f"{item.paraphrase} [{how}]", item.clause)


def established(status: str) -> str:
    """Return how a fact of ``status`` was established, in words."""
    return {
        "confirmed": "read in the licensor's own file",
        "copy": "read in a faithful copy",
        "excerpt": "only part of the text was read",
        "unconfirmed": "UNCONFIRMED, not seen in a license text",
    }[status]


def _fact(name: str, text: str, clause: str, status: str = "") -> Iterator[str]:
    tail = f" [{clause}]" if clause else ""
    if status and status != "confirmed":
        tail += f" ({established(status)})"
    yield from _wrapped(": ".join(part for part in (name, text) if part) + tail, "  ")


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield text


def _wrapped(text: str, indent: str = "") -> Iterator[str]:
    from textwrap import wrap

    yield from wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False)
