"""An explanation in words for a terminal, and as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.exchange.refusal import Refusal
    from guard.licensing.citation import Citation
    from guard.licensing.license import License
    from guard.policy.rehearsal.explanation import Explanation
    from guard.policy.rehearsal.recorded import Recorded

WIDTH = 110
NO_TEXT = "No text is kept: of the request there are rules, spans and keyed digests, here and in the audit chain."


def as_lines(found: "Explanation") -> Iterator[str]:
    """Yield a hypothetical request's explanation, line by line."""
    from guard.policy.rehearsal.explanation import headline, model_of, told

    rehearsal = found.rehearsal
    request = rehearsal.request
    yield f"{request.method} {request.path}: {headline(found)}"
    yield from _wrapped(model_of(rehearsal.exchange), "  ")
    if rehearsal.refusal is not None:
        yield from _wrapped(told(rehearsal.refusal), "  ")
    yield from _heading("Steps")
    for step in found.steps:
        yield f"  {step.step:<14} {step.result:<8} {step.asks}"
        for says in step.says:
            yield from _wrapped(says, "      ")
        yield from _cited(step.citations)
    if found.output_use:
        yield from _heading(f"Output use for {found.purpose}")
        for verdict in found.output_use:
            yield from _wrapped(f"{verdict.license} {verdict.clause}: {verdict.kind}: {verdict.reason}", "  ")
            for owed in verdict.obligations:
                yield from _wrapped(f"owed: {owed.text} [{owed.clause}]", "      ")
    yield from _heading("Does the live count trigger a threshold?")
    for count in found.thresholds:
        state = f" ({count.state})" if count.state is not None else ""
        clause = f" [{count.clause}]" if count.clause else ""
        yield from _wrapped(f"{count.license} {count.threshold}{clause}{state}: {count.says}", "  ")
    if not found.thresholds:
        yield "  there is none"
    yield from _heading("What would change the outcome")
    for change in found.changes:
        why = f" ({told(change.refusal)})" if change.refusal is not None else ""
        yield from _wrapped(f"{change.what}: {change.verdict}{why}", "  ")
    if not found.changes:
        yield "  no single change that was tried"


def as_facts(found: "Explanation") -> dict[str, Any]:
    """Return a hypothetical request's explanation as JSON values."""
    from guard.policy.rehearsal.explanation import headline

    rehearsal = found.rehearsal
    return {
        "headline": headline(found),
        "verdict": rehearsal.verdict.value,
        "refusal": _refused(rehearsal.refusal),
        "obligations": list(rehearsal.obligations),
        "steps": [
            {
                "step": step.step,
                "result": step.result,
                "asks": step.asks,
                "says": list(step.says),
                "citations": _facts(step.citations),
            }
            for step in found.steps
        ],
        "unstated": [need._asdict() for need in found.unstated],
        "purpose": found.purpose,
        "output_use": [
            {
                "license": verdict.license,
                "clause": verdict.clause,
                "verdict": str(verdict.kind),
                "reason": verdict.reason,
                "obligations": [{"text": owed.text, "clause": owed.clause} for owed in verdict.obligations],
            }
            for verdict in found.output_use
        ],
        "thresholds": [count._asdict() for count in found.thresholds],
        "changes": [
            {
                "what": change.what,
                "verdict": change.verdict.value,
                "refusal": _refused(change.refusal),
                "obligations": list(change.obligations),
            }
            for change in found.changes
        ],
    }


def recorded_lines(recorded: "Recorded", packs: "Mapping[str, License]") -> Iterator[str]:
    """Yield a real request's explanation, line by line."""
    from guard.policy.rehearsal.recorded import tell

    entry = recorded.decision or recorded.receipts[0]
    facts = entry.facts
    decided = f"{facts['verdict']}, {facts['ending']}, in mode {facts['mode']}" if recorded.decision else "allow"
    moment = datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="seconds")
    yield f"{recorded.reference} at {moment}, surface {facts['surface']}: {decided}"
    yield from _wrapped(f"policy {facts['policy']}", "  ")
    yield from _heading("Decided")
    for told in tell(recorded, packs):
        yield from _wrapped(told.says, "  ")
        yield from _cited(told.citations)
    yield from _heading("Recorded in")
    yield from (f"  {place}" for place in recorded.places)
    yield ""
    yield from _wrapped(NO_TEXT)


def recorded_facts(recorded: "Recorded", packs: "Mapping[str, License]") -> dict[str, Any]:
    """Return a real request's explanation as JSON values."""
    from guard.policy.rehearsal.recorded import tell

    return {
        "reference": recorded.reference,
        "decision": recorded.decision.facts if recorded.decision is not None else None,
        "receipts": [entry.facts for entry in recorded.receipts],
        "places": list(recorded.places),
        "explained": [{"says": told.says, "citations": _facts(told.citations)} for told in tell(recorded, packs)],
        "text": NO_TEXT,
    }


def _refused(refusal: "Refusal | None") -> dict[str, Any] | None:
    if refusal is None:
        return None
    facts = {name: value for name, value in refusal.facts().items() if name != "reference"}
    return {"status": refusal.status, "code": refusal.code.value, "message": refusal.message, **facts}


def _facts(citations: "Iterable[Citation]") -> list[dict[str, Any]]:
    return [citation._asdict() for citation in citations]


def _cited(citations: "Iterable[Citation]") -> Iterator[str]:
    for citation in citations:
        doubt = "" if citation.status == "confirmed" else f" ({citation.status})"
        yield from _wrapped(
            f"{citation.license} {citation.clause}, {citation.about}: {citation.words}{doubt}", "        "
        )


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield text


def _wrapped(text: str, indent: str = "") -> Iterator[str]:
    from textwrap import wrap

    yield from wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False)
