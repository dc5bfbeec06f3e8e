"""Why a real request was decided as it was: its entry in the audit chain, read against the packs.

The chain keeps ids, rules and spans, never text: what is told here is what was decided, not what was said.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.evidence.entry import Entry, NotAnEntry, parse
from guard.evidence.journals import journals
from guard.licensing.citation import Citation, cite_duty
from guard.licensing.license import License
from guard.policy.rehearsal.explanation import citations
from guard.provenance.receipt import request_of
from guard.screening.categories import CATEGORIES


@dataclass(frozen=True, slots=True)
class Told:
    """One fact of a decision, and the clauses it rests on."""

    says: str
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the audit chain holds about one request."""

    reference: str
    decision: Entry | None
    """None: it was a plain allow, of which only receipts are kept."""
    receipts: tuple[Entry, ...]
    places: tuple[str, ...]
    """``file:line`` of each entry, the decision's first: what ``guard audit verify`` vouches for."""


def find(directory: Path, reference: str) -> Recorded | None:
    """Return what the journals in ``directory`` hold about the request ``reference``; None: nothing.

    Raises OSError for a journal that cannot be read.
    """
    needle = reference.encode()
    decision: list[tuple[Entry, str]] = []
    receipts: list[tuple[Entry, str]] = []
    for chain in journals(directory):
        for path, number, line in chain.lines():
            if needle not in line:
                continue
            try:
                entry = parse(line)
            except NotAnEntry:  # unfinished, or no entry: `guard audit verify` says so
                continue
            if entry.kind == "decision" and entry.facts.get("reference") == reference:
                decision.append((entry, f"{path}:{number}"))
            elif entry.kind == "receipt" and request_of(str(entry.facts.get("id"))) == reference:
                receipts.append((entry, f"{path}:{number}"))
    if not decision and not receipts:
        return None
    places = tuple(place for _, place in (*decision, *receipts))
    return Recorded(reference, decision[-1][0] if decision else None, tuple(entry for entry, _ in receipts), places)


def tell(recorded: Recorded, packs: Mapping[str, License]) -> Iterator[Told]:
    """Yield what was decided about the request, fact by fact, with what ``packs`` say under the clauses."""
    if recorded.decision is None:
        facts = recorded.receipts[0].facts
        kept = f"{len(recorded.receipts)} receipt{'' if len(recorded.receipts) == 1 else 's'}"
        yield Told(f"allowed: a plain allow leaves no entry of its own, but {kept}, one for every finished choice")
        licenses = " + ".join(id_ for id_, _ in facts["licenses"])
        yield Told(f"model {facts['model']}, under {licenses or 'no known license'}, purpose {facts['purpose']}")
        return
    yield from tell_decision(recorded.decision.facts, packs)


def tell_decision(facts: Mapping[str, Any], packs: Mapping[str, License]) -> Iterator[Told]:
    """Yield what the facts of a ``decision`` entry say, with what ``packs`` say under the clauses.

    A request that was turned away before it was read has no model, no identity and no findings.
    """
    if "model" in facts:
        yield from _whose(facts, packs)
    licensed = [packs[id_] for id_ in facts.get("licenses", ()) if id_ in packs]
    for finding in facts.get("findings", ()):
        category = f"{finding['category']} {CATEGORIES.get(finding['category'], '')}".rstrip()
        place = f"{finding['path'] or finding['source']}, characters {finding['start']}-{finding['end']}"
        says = f"rule {finding['rule']} ({category}) found in the {finding['direction']} {place}: {finding['action']}"
        yield Told(says, citations(finding, licensed))
    for text in facts.get("obligations", ()):
        yield Told(f"owed: {text}", tuple(fact for item in licensed for fact in cite_duty(item, text)))
    yield from (Told(f"not evaluated: {reason.replace('_', ' ')}") for reason in facts.get("not_evaluated", ()))
    for refusal in facts.get("shadowed", ()):
        yield Told(f"only recorded, in shadow: {_refused(refusal)}", citations(refusal, licensed))
    if facts["refused"] is not None:
        yield Told(f"refused: {_refused(facts['refused'])}", citations(facts["refused"], licensed))


def _whose(facts: Mapping[str, Any], packs: Mapping[str, License]) -> Iterator[Told]:
    yield Told(f"model {facts['model']}, under {' + '.join(facts['licenses']) or 'no known license'}")
    yield from (Told(f"license {id_} is not among the packs here") for id_ in facts["licenses"] if id_ not in packs)
    identity = facts["identity"]
    tenant = f", tenant {identity['tenant']}" if identity["tenant"] else ""
    who = f"user {identity['user']} (a pseudonym)" if identity["user"] else "nobody named"
    yield Told(f"{who}, by {identity['source']} ({identity['assurance']}){tenant}, purpose {identity['purpose']}")


def _refused(refusal: Mapping[str, Any]) -> str:
    by = " ".join(part for part in (refusal["license"], refusal["clause"]) if part)
    return ", ".join(part for part in (refusal["code"], by, refusal["category"]) if part)
