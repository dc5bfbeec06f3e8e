"""The result of an export check as a document: what was found, what follows, and what could not be seen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from guard.licensing.obligations import Obligation
from guard.licensing.verdict import Verdict
from guard.provenance.gate import Result
from guard.provenance.hits import Hit
from guard.provenance.interval import at_least, interval
from guard.provenance.tiers import FALSE_POSITIVES, Tier

CONFIDENCE = 0.95
SHOWN = 1000
"""Hits in a statement; the others are counted."""
IN_TOTO = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:guard:export-check:1"
"""Says what the predicate of an attested statement is: the statement of this module, without single hits."""


class Digest(NamedTuple):
    """A file of the data set, as it was read."""

    name: str
    sha256: str
    """In hexadecimal."""


class Asked(NamedTuple):
    """What the check was asked, and by what."""

    target: str
    version: str
    """Of Guard."""
    packs: Mapping[str, str]
    """SHA-256 of the license packs, by id, in hexadecimal; of more of them than are used, if that is easier."""
    files: Sequence[Digest]
    since: str | None = None
    """The first month searched, as ``2026-11``."""
    until: str | None = None
    """The last one."""
    tenant: str | None = None
    excluded: Sequence[Digest] = ()
    """The files whose texts were left out of the search."""
    not_looked_at: Sequence[str] = ()
    """Files and folders that stand beside the data and were passed over."""


def statement(result: Result, asked: Asked, now: float) -> dict[str, Any]:
    """Return ``result`` as plain data for JSON. It holds ids, names of files and fields, numbers and clauses, no text.

    Its hits are the strictest ones, those first. ``now`` is in epoch seconds.
    """
    hits = result.hits
    shown = [hit_facts(hit) for hit in hits.strictest(SHOWN)]
    return {
        **_facts(result, asked, now),
        "hits": shown,
        "hits_omitted": len(hits) - len(shown),
    }


def attestation(result: Result, asked: Asked, now: float) -> dict[str, Any]:
    """Return ``result`` as an in-toto statement on the files of the data set, to be signed; it names no single hit."""
    return {
        "_type": IN_TOTO,
        "subject": [{"name": file.name, "digest": {"sha256": file.sha256}} for file in asked.files],
        "predicateType": PREDICATE,
        "predicate": _facts(result, asked, now),
    }


def hit_facts(hit: Hit) -> dict[str, Any]:
    """Return ``hit`` as plain data for JSON."""
    source = hit.source
    return {
        "record": hit.record,
        "file": hit.file,
        "line": hit.line,
        "path": hit.path,
        "verdict": str(hit.verdict),
        "tier": hit.tier.name,
        "evidence": hit.evidence,
        "fingerprints": {"matched": hit.matched, "of": hit.of},
        "doubt": hit.doubt,
        "receipt": hit.receipt,
        "answered": moment(hit.time),
        "model": source.model,
        "tenant": source.tenant,
        "licenses": list(source.licenses),
        "license": source.ruling.license,
        "clause": source.ruling.clause,
        "reason": source.ruling.reason,
        "obligations": [_owed(obligation) for obligation in source.ruling.obligations],
    }


def moment(time: float) -> str:
    """Return epoch seconds as ``2026-11-22T01:02:03Z``."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _facts(result: Result, asked: Asked, now: float) -> dict[str, Any]:
    counts, hits = result.counts, result.hits
    return {
        "verdict": str(result.verdict),
        "target": asked.target,
        "tenant": asked.tenant,
        "tenant_seen": None if asked.tenant is None else asked.tenant in tenants_of(result),
        "checked": moment(now),
        "tool": {"name": "guard", "version": asked.version},
        "files": [file._asdict() for file in asked.files],
        "excluded": {
            "files": [file._asdict() for file in asked.excluded], "texts": counts.public, "thinned": counts.thinned
        },
        "not_looked_at": list(asked.not_looked_at),
        "records": counts.records,
        "texts": {
            "searched": counts.texts, "short": counts.short, "unsearched": result.unsearched
        },
        "not_searched": {"values": counts.unseen, "records": counts.blind},
        "found": {
            "records": len(hits),
            "tiers": {tier.name: hits.tiers[tier] for tier in sorted(Tier, reverse=True)},
            "verdicts": {str(verdict): hits.verdicts[verdict] for verdict in sorted(Verdict, reverse=True)},
        },
        "share": share(hits.attributable, counts.attributable),
        "obligations": [_owed(obligation) for obligation in hits.obligations],
        "packs": {
            id_: asked.packs.get(id_) for id_ in sorted({id_ for source in hits.sources for id_ in source.licenses})
        },
        "index": {"since": asked.since, "until": asked.until},
        "coverage": _coverage(result),
    }  # fmt: skip


def tenants_of(result: Result) -> set[str]:
    """Return the tenants to whom anything in the indexes was answered."""
    return {tenant for coverage in result.coverages for tenant in coverage.tenants}


def share(outputs: int, of: int) -> dict[str, Any]:
    """Return which share of the records that could be told by their words are outputs, and how certain that is.

    ``interval`` is what that share could be, with 95 % confidence, in all the data these records are a sample of.
    ``by_chance`` is the probability of so many hits of tiers A and B if every one of these records were another model's
    answer to a prompt the index has the answer to, the case in which the gate is wrong most often.
    """
    lower, upper = interval(outputs, of, CONFIDENCE)
    return {
        "outputs": outputs,
        "attributable": of,
        "share": outputs / of if of else None,
        "confidence": CONFIDENCE,
        "interval": [lower, upper],
        "false_positives": FALSE_POSITIVES,
        "by_chance": at_least(outputs, of, FALSE_POSITIVES),
    }


def _coverage(result: Result) -> dict[str, Any]:
    return {
        "complete": all(coverage.complete for coverage in result.coverages),
        "gaps": list(_gaps(result)),
        "indexes": [
            {
                "months": {name: asdict(month) for name, month in sorted(coverage.months.items())},
                "shredded": coverage.shredded,
                "copies": coverage.copies,
            }
            for coverage in result.coverages
        ],
    }


def _gaps(result: Result) -> Iterator[str]:
    several = len(result.coverages) > 1
    for number, coverage in enumerate(result.coverages, 1):
        for reason in coverage.reasons():
            yield f"index {number}: {reason}" if several else reason


def _owed(obligation: Obligation) -> dict[str, Any]:
    facts = obligation._asdict()
    return {**facts, "status": str(obligation.status), "places": list(obligation.places),
            "owed_for": list(obligation.owed_for)}  # fmt: skip
