"""The report as one document: plain data, in the order in which it is read."""

import json
from hashlib import sha256
from typing import Any

from guard.evidence.report.counts import Counts, Listed
from guard.evidence.report.extent import extent
from guard.evidence.report.known import Known, Row
from guard.evidence.report.method import method
from guard.evidence.report.reading import Evidence, Read
from guard.evidence.report.summary import cautions, incidents, unknowns
from guard.evidence.report.unseen import unseen
from guard.evidence.report.verdicts import verdicts

FORMAT = "guard-report/1"


def document(evidence: Evidence, known: Known) -> Row:
    """Return the report of a month, without its digest."""
    month = evidence.month
    reach = extent(evidence, known)
    stands = [str(row["state"]) for row in known.obligations]
    return {
        "report": FORMAT,
        "guard": known.guard,
        "month": month.id,
        "zone": month.zone,
        "start": month.moment(month.start),
        "end": month.moment(month.end),
        "over": reach.over,
        "as_of": known.as_of,
        "entries_until": month.moment(evidence.until) if evidence.until else None,
        "operator": known.operator,
        "summary": {
            "verdicts": verdicts(known.usage, known.uncounted, known.licenses, covered=reach.covered),
            "must_be_known": unknowns(evidence, known, reach),
            "cautions": cautions(evidence, known),
            "incidents": incidents(evidence, known, reach),
            "obligations": {state: stands.count(state) for state in ("open", "met", "condition", "not_for_serving")},
            "decisions": evidence.decisions.entries.entries,
            "refused": evidence.decisions.refused.total,
            "cut": evidence.decisions.cut.total,
        },
        "licenses": known.licenses,
        "usage": known.usage,
        "not_counted": known.uncounted or None,
        "crossings": _listed(evidence.records.crossings),
        "attestations": known.attestations,
        "policy": _policy(evidence, known),
        "decisions": _decisions(evidence),
        "obligations": known.obligations,
        "receipts": _receipts(evidence, known),
        "behavior": {"steps": evidence.records.steps.rows()},
        "imports": _listed(evidence.records.imports),
        "running": _running(evidence, reach.until),
        "audit_chain": [_chain(chain) for chain in sorted(evidence.chains, key=lambda chain: chain.name)],
        "not_visible": unseen(evidence, known, reach),
        "method": method(known),
        "inputs": _inputs(evidence, known),
    }


def sealed(found: Row) -> Row:
    """Return a document with its digest: the SHA-256 of the rest with sorted names and without spaces, in UTF-8."""
    return {**found, "sha256": digest(found)}


def digest(found: Any) -> str:
    """Return the SHA-256 of plain data as JSON with sorted names and without spaces, in UTF-8."""
    canonical = json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return sha256(canonical.encode()).hexdigest()


def _listed(listed: Listed) -> Row:
    return {"rows": listed.by_time(), "left_out": listed.left_out}


def _policy(evidence: Evidence, known: Known) -> Row:
    rows = evidence.versions.rows()
    modes: dict[str, int] = {}
    for row in rows:
        modes[row["mode"]] = modes.get(row["mode"], 0) + row["seconds"]
    return {
        "in_force": rows,
        "seconds_by_mode": dict(sorted(modes.items())),
        "configured": known.configuration["policy"],
        "configured_was_in_force": known.configuration["policy"] in {row["policy"] for row in rows},
        "failed_reloads": _listed(evidence.versions.failed),
        "confirmed_changes": _listed(evidence.versions.confirmed),
        "candidates": evidence.records.candidates.rows(),
    }


def _decisions(evidence: Evidence) -> Row:
    found = evidence.decisions
    recorded = sorted({row["decisions"] for row in evidence.versions.rows()})
    tables: dict[str, Counts] = {
        "by_verdict": found.verdicts,
        "by_mode": found.shadow_mode,
        "refused": found.refused,
        "cut": found.cut,
        "flagged": found.flagged,
        "not_evaluated": found.unevaluated,
        "shadowed": found.shadowed,
        "noted": found.noted,
        "tenants": found.tenants,
        "territory": found.places,
        "late_findings": found.late,
        "late_not_evaluated": found.late_unevaluated,
    }
    return {
        "entries": found.entries.entries,
        "recorded": recorded,
        "source": found.entries.source(),
        "refusals_not_listed": {"number": found.held_back, "source": found.unlisted.source()},
        **{name: counts.rows() for name, counts in tables.items()},
    }


def _receipts(evidence: Evidence, known: Known) -> Row:
    found = evidence.records
    return {
        "receipts": found.receipts.rows(),
        "without_digest": {"number": found.undigested.entries, "source": found.undigested.source()},
        "seals": {
            "number": found.seals.entries,
            "sealed": found.sealed,
            "sealed_late": found.sealed_late,
            "source": found.seals.source(),
        },
        "checkpoints": {"number": found.checkpoints.entries, "source": found.checkpoints.source()},
        "keys": sorted(found.keys),
        "purposes": found.purposes.rows(),
        "export_checks": _listed(found.checks),
        "shredded": _listed(found.shredded),
        "index": known.index,
    }


def _running(evidence: Evidence, until: float) -> Row:
    runs = evidence.runs
    days = runs.days(until)
    return {
        "runs": runs.rows(),
        "days": days,
        "seconds": sum(day["seconds"] for day in days),
        "of": sum(day["of"] for day in days),
        "gaps": runs.gaps(until),
        "unclean_stops": sum(run.ended == "killed" for run in runs.found),
        "disturbed": _listed(runs.disturbed),
    }


def _chain(chain: Read) -> Row:
    return {
        "journal": chain.name,
        "length": chain.length,
        "head": chain.head,
        "entries_of_month": chain.entries,
        "from": chain.from_ or None,
        "kinds": dict(sorted(chain.kinds.items())),
        "clock_set_back": chain.backwards,
        "signatures_checked": chain.signatures,
        "verifies": chain.fault is None and chain.trusted,
        "fault": chain.fault and chain.fault._asdict(),
        "not_proven": chain.unproven,
        "unreadable": {"number": chain.unreadable, "places": chain.places},
    }


def _inputs(evidence: Evidence, known: Known) -> Row:
    """Return what the report was made from, each with its digest."""
    return {
        "journals": [
            {"journal": chain.name, "length": chain.length, "head": chain.head}
            for chain in sorted(evidence.chains, key=lambda chain: chain.name)
        ],
        "usage_report": digest(known.usage) if known.usage is not None else None,
        "configuration": {name: known.configuration[name] for name in ("name", "sha256")},
        "packs": known.packs,
        "attestations": [{"name": row["file"], "sha256": row["sha256"]} for row in known.attestations if row["sha256"]],
        "index": digest(known.index),
    }
