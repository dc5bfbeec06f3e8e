"""What was not visible in the month, and what stands in for it: no report is whole without it."""

from collections.abc import Iterator

from guard.evidence.report.extent import Extent
from guard.evidence.report.known import Known, Row
from guard.evidence.report.reading import Evidence
from guard.evidence.report.summary import hours

_MARKED = "not read by any rule: "


def unseen(evidence: Evidence, known: Known, reach: Extent) -> list[Row]:
    """Return what no entry shows: ``what``, ``why``, ``instead`` (what stands in, or empty) and ``source``."""
    return [*_of_month(evidence, known, reach), *_always(), *known.unseen]


def _row(what: str, why: str, instead: str, source: Row) -> Row:
    return {"what": what, "why": why, "instead": instead, "license": None, "clause": None, "source": source}


def _of_month(evidence: Evidence, known: Known, reach: Extent) -> Iterator[Row]:
    journals = {"journals": sorted(chain.name for chain in evidence.chains)}
    config = {"configuration": known.configuration["name"]}
    missing = sum(gap["seconds"] for gap in evidence.runs.gaps(reach.until))
    if missing:
        yield _row(
            f"{hours(missing)} of the month in which no gateway is known to have run",
            "Either nothing was served then, or it was served past Guard, or its journal is not among those read.",
            "",
            journals,
        )
    if any(row["decisions"] != "all" for row in evidence.versions.rows()):
        yield _row(
            "Requests that were plainly allowed",
            "evidence.decisions was notable: only other decisions are in the chain. Each answer has a receipt where "
            "receipts were on.",
            "evidence.decisions: all",
            journals,
        )
    shadow = [row for row in evidence.versions.rows() if row["mode"] == "shadow"]
    if shadow:
        yield _row(
            f"What an enforced policy would have changed in {hours(sum(row['seconds'] for row in shadow))} of shadow",
            "In shadow what would be refused is served and noted; what users did with it is not seen.",
            "",
            journals,
        )
    for row in evidence.decisions.noted.rows():
        if str(row["note"]).startswith(_MARKED):
            yield _row(
                f"{row['number']:,} requests with parts that no rule reads: {str(row['note'])[len(_MARKED) :]}",
                "Rules read text; these parts passed, marked (screening.unscannable).",
                "",
                row["source"],
            )
    for kind in known.unread:
        yield _row(
            f"Parts of the kind {kind}",
            "By the configuration they pass unread, without a note (screening.unscannable: allow).",
            "",
            config,
        )
    if evidence.decisions.held_back:
        yield _row(
            f"{evidence.decisions.held_back:,} refusals of callers without credentials, one by one",
            "Strangers may write so many entries a second; those left out are counted in the next one.",
            "",
            evidence.decisions.unlisted.source(),
        )
    for omission in known.usage["not_in_the_number"] if known.usage is not None else ():
        yield _row(omission.rstrip("."), "They are in no count of users.", "", {"ledger": "usage report"})


def _always() -> Iterator[Row]:
    everywhere = {"method": "what passes a gateway"}
    for what, why in (
        ("Requests that do not pass Guard", "Offline batches, gRPC, a server that is reachable directly."),
        ("What users do with an answer, later and elsewhere", "A gateway sees requests and answers."),
        ("Whether a statement, a permission or an attestation is true", "Guard checks signatures, owners and dates."),
        ("What a user interface shows, and what is shipped with copies", "Neither passes a gateway."),
        ("Meaning beyond rules and models", "Paraphrase, new disguises and other languages get past them."),
    ):
        yield _row(what, why, "", everywhere)
