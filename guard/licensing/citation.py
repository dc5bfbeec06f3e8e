"""What a license says under a clause: the pack's own words, for whoever is told that the clause decided something."""

from collections.abc import Iterator
from typing import NamedTuple

from guard.licensing.license import License, Status


class Citation(NamedTuple):
    """One fact of a license and the clause it stands under."""

    license: str
    clause: str
    about: str
    """``output use``, ``threshold``, ``territory``, ``commercial use``, ``hosting``, an item's id or a duty's kind."""
    words: str
    """The pack's paraphrase."""
    status: Status


def cite(license_: License, clause: str | None, category: str | None = None) -> tuple[Citation, ...]:
    """Return what ``license_`` says under ``clause``, which may join several clauses by commas, as refusals do.

    With ``category`` only items of the acceptable use policy: those mapped to it, or, where none stands there that is,
    those that a rule of the category may be evidence of all the same.
    """
    if not clause:
        return ()
    if category is not None:
        items = [item for item in license_.aup if _within(item.clause, clause)]
        return tuple(
            Citation(license_.id, item.clause, item.id.replace("_", " "), item.paraphrase, license_.aup_status)
            for item in [item for item in items if category in item.categories] or items
        )
    return tuple(fact for fact in _facts(license_) if _within(fact.clause, clause))


def cite_duty(license_: License, text: str) -> tuple[Citation, ...]:
    """Return the duties of ``license_`` that are owed in the words ``text``."""
    return tuple(
        Citation(license_.id, duty.clause, duty.kind.replace("_", " "), f"{duty.text} (when: {duty.trigger})",
                 duty.status)
        for duty in license_.duties
        if duty.text == text
    )  # fmt: skip


def output_use_words(license_: License) -> str:
    """Return the rule on outputs in the pack's words: what it is, what it covers, what it excepts."""
    use = license_.output_use
    parts = (use.detail, use.scope and f"covers {use.scope}", use.exception and f"except {use.exception}")
    return "; ".join(part for part in parts if part) or use.rule.value.replace("_", " ")


def _within(clause: str, cited: str) -> bool:
    return bool(clause) and (clause == cited or f", {clause}, " in f", {cited}, ")


def _facts(license_: License) -> Iterator[Citation]:
    use, status = license_.output_use, license_.status
    yield Citation(license_.id, use.clause, "output use", output_use_words(license_), use.status)
    for threshold in license_.thresholds:
        words = f"{threshold.scope}; beyond it: {threshold.consequence_text}"
        yield Citation(license_.id, threshold.clause, "threshold", words, threshold.status)
    if license_.territory is not None:
        territory = license_.territory
        yield Citation(license_.id, territory.clause, "territory", territory.applies_to, territory.status)
    yield Citation(license_.id, license_.commercial_clause, "commercial use", license_.commercial_text, status)
    yield Citation(license_.id, license_.hosting_clause, "hosting", license_.hosting_text, status)
    for duty in license_.duties:
        yield Citation(license_.id, duty.clause, duty.kind.replace("_", " "), duty.text, duty.status)
    for item in license_.aup:
        yield Citation(license_.id, item.clause, item.id.replace("_", " "), item.paraphrase, license_.aup_status)
