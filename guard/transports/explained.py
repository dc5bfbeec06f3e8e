"""Why a recorded request was decided as it was, by its entry and the packs: what the console and the API show."""

from collections.abc import Mapping, Sequence
from typing import Any

from guard.evidence.hours import gravest, ground_of
from guard.evidence.timeline import Found
from guard.licensing.citation import Citation, cite_duty
from guard.licensing.license import License, Status
from guard.policy.rehearsal.explanation import citations, narrowed
from guard.policy.rehearsal.recorded import tell_decision
from guard.screening.categories import CATEGORIES

_ENDINGS = {
    "cut": "the answer was ended early",
    "rejected": "the inference server found a mistake in the request",
    "upstream": "the inference server failed",
    "client": "the client went away before the end",
}


def decision_facts(found: Found, packs: Mapping[str, License]) -> dict[str, Any]:
    """Return ``entry`` (the decision as it was recorded) and ``explained`` (what it rests on, by ``packs``)."""
    entry = found.decision or _allowed(found)
    licensed = [packs[id_] for id_ in entry.get("licenses") or () if id_ in packs]
    ground = ground_of(entry)
    category = ground.get("category") if ground is not None else None
    return {
        "entry": entry,
        "explained": {
            "summary": _summary(entry, ground, packs),
            "says": [told.says for told in tell_decision(entry, packs)] if found.decision is not None else [],
            "clause": _clause(ground, licensed) if ground is not None else None,
            "category": {"id": category, "name": CATEGORIES.get(category, "")} if category else None,
            "rule": _rule(entry, category),
            "duties": [_duty(text, licensed) for text in entry.get("obligations") or ()],
            "policy": entry.get("policy"),
            "late": list(found.late),
            "receipts": list(found.receipts),
        },
    }


def _allowed(found: Found) -> dict[str, Any]:
    """Return what is known of a plain allow without an entry of its own, by what else it left."""
    first = (found.receipts or found.late)[0]
    known = ("model", "surface", "policy", "time", "instance", "seq")
    licenses = [id_ for id_, *_ in first.get("licenses") or ()]
    return {
        "reference": found.reference,
        "verdict": "allow",
        "ending": "served",
        "refused": None,
        "licenses": licenses,
        **{name: first.get(name) for name in known},
    }


def _summary(entry: Mapping[str, Any], ground: Mapping[str, Any] | None, packs: Mapping[str, License]) -> str:
    ending = _ENDINGS.get(str(entry.get("ending")))
    if entry.get("refused") is not None:
        cut = "ended early" if entry.get("ending") == "cut" else "refused"
        return f"{cut}: {_grounds(entry['refused'], packs)}"
    served = ending or "served"
    if entry.get("not_evaluated"):
        checks = ", ".join(reason.replace("_", " ") for reason in dict.fromkeys(entry["not_evaluated"]))
        return f"{served}, although a check was not made: {checks}"
    if entry.get("shadowed"):
        return f"{served}; only recorded, in shadow: {_grounds(entry['shadowed'][0], packs)}"
    if ground is not None:
        return f"{served}, and noted: {_grounds(ground, packs)}"
    return f"{served}, with something owed" if entry.get("obligations") else served


def _grounds(ground: Mapping[str, Any], packs: Mapping[str, License]) -> str:
    named = packs.get(str(ground.get("license")))
    by = " ".join(str(part) for part in (named.name if named else ground.get("license"), ground.get("clause")) if part)
    category = ground.get("category")
    what = f"{category} {CATEGORIES.get(category, '')}".rstrip() if category else ""
    return ", ".join(part for part in (str(ground.get("code") or "").replace("_", " "), what, by) if part)


def _clause(ground: Mapping[str, Any], licensed: Sequence[License]) -> dict[str, Any] | None:
    """Return what the pack says under the clause that the decision rests on; None where it rests on no license."""
    license_ = next((item for item in licensed if item.id == ground.get("license")), None)
    if license_ is None or not ground.get("clause"):
        return None
    named = {"clause": ground["clause"], "license": license_.id, "category": ground.get("category")}
    cited: Sequence[Citation] = narrowed(citations(named, licensed), str(ground.get("code") or ""))
    return {
        "license": license_.id,
        "name": license_.name,
        "clause": ground["clause"],
        "text": "; ".join(dict.fromkeys(fact.words for fact in cited)),
        "confirmed": all(fact.status is Status.CONFIRMED for fact in cited) if cited else None,
    }


def _rule(entry: Mapping[str, Any], category: str | None) -> str | None:
    """Return the id of the rule that decided, if one did."""
    findings = [each for each in entry.get("findings") or () if category is None or each.get("category") == category]
    found = gravest({"findings": findings})
    return str(found["rule"]) if found is not None else None


def _duty(text: str, licensed: Sequence[License]) -> str:
    facts = [fact for license_ in licensed for fact in cite_duty(license_, text)]
    return f"{text} [{', '.join(f'{fact.license} {fact.clause}' for fact in facts)}]" if facts else text
