"""The result of an export check as a document: what was found, what follows, and what could not be seen."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from guard.licensing.obligations import Obligation
from guard.provenance.gate import Hit, Result


def statement(result: Result, target: str) -> dict[str, Any]:
    """Return ``result`` as plain data for JSON. It holds ids, numbers and clauses, no text of the data set."""
    return {
        "verdict": str(result.verdict),
        "target": target,
        "records": result.records,
        "texts": {"searched": result.texts, "short": result.short, "unsearched": result.unsearched},
        "obligations": [_owed(obligation) for obligation in obligations(result)],
        "hits": [_hit(hit) for hit in result.hits],
        "coverage": {
            "complete": result.coverage.complete,
            "gaps": list(result.coverage.reasons()),
            "months": {name: asdict(month) for name, month in sorted(result.coverage.months.items())},
        },
    }


def obligations(result: Result) -> list[Obligation]:
    """Return everything owed for the hits whose use is allowed with obligations, each once."""
    owed = (obligation for hit in result.hits for obligation in hit.match.ruling.obligations)
    return list(dict.fromkeys(owed))


def moment(time: float) -> str:
    """Return epoch seconds as ``2026-11-22T01:02:03Z``."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hit(hit: Hit) -> dict[str, Any]:
    match = hit.match
    return {
        "record": hit.record,
        "line": hit.line,
        "path": hit.path,
        "verdict": str(match.verdict),
        "tier": match.tier.name,
        "evidence": match.evidence,
        "fingerprints": {"matched": match.matched, "of": match.of},
        "receipt": match.receipt,
        "answered": moment(match.time),
        "model": match.model,
        "licenses": list(match.licenses),
        "license": match.ruling.license,
        "clause": match.ruling.clause,
        "reason": match.ruling.reason,
        "obligations": [_owed(obligation) for obligation in match.ruling.obligations],
    }


def _owed(obligation: Obligation) -> dict[str, Any]:
    return obligation._asdict()
