"""The result of a check as lines for people."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.provenance.gate import Result
    from guard.provenance.hits import Hit

SHOWN = 20
"""Hits that are printed."""
_STRENGTH = {"A": "proof", "B": "strong", "C": "review"}


def lines(result: "Result", document: dict[str, Any]) -> Iterator[str]:
    """Yield what to print of ``result``, of which ``document`` is the statement."""
    yield f"{_words(document['verdict'])}: {_summary(document)} (training {document['target']})"
    for hit in result.hits.strictest(SHOWN):
        yield from _describe(hit)
    if len(result.hits) > SHOWN:
        yield f"... and {len(result.hits) - SHOWN} more records (--hits FILE writes all of them)"
    for obligation in document["obligations"]:
        yield f"owed: {obligation['text']} ({obligation['license']} {obligation['clause']}; {obligation['trigger']})"
    yield from _share(document["share"])
    texts = document["texts"]
    if texts["short"]:
        yield f"{texts['short']} texts have fewer than 13 words: only exact copies of whole outputs are found there"
    yield from _excluded(document["excluded"])
    if texts["unsearched"]:
        yield f"{texts['unsearched']} texts could not be searched for: over a thousand texts here share their phrases"
    if (values := document["not_searched"])["values"]:
        alone = f"; {values['records']} records hold nothing else" if values["records"] else ""
        yield f"{values['values']} values are bytes that are no text, and were not searched for{alone}"
    yield from _coverage(document)
    if clean := document.get("clean"):
        yield f"clean: {clean['records']} records in {clean['file']}, {clean['left_out']} left out" + (
            f"; {clean['for_review']} for review are still in it (--clean-review leaves them out)"
            if clean["for_review"]
            else ""
        )


def _summary(document: dict[str, Any]) -> str:
    tiers = document["found"]["tiers"]
    held, review = tiers["A"] + tiers["B"], tiers["C"]
    what = "is held to be an output" if held == 1 else "are held to be outputs"
    return f"{held} of {document['records']} records {what}" + (f", {review} for review" if review else "")


def _excluded(excluded: dict[str, Any]) -> Iterator[str]:
    for file in excluded["files"]:
        yield f"excluded as public: {file['name']} (sha256 {file['sha256']})"
    if excluded["files"]:
        yield (
            f"because of that {excluded['texts']} texts are left out of the search, but for receipts and exact copies, "
            f"and {excluded['thinned']} are looked for by some of their words only"
        )


def _describe(hit: "Hit") -> Iterator[str]:
    from guard.provenance.statement import moment

    source = hit.source
    how = hit.evidence if not hit.matched else f"{hit.matched} of {hit.of} fingerprints"
    place = (f"{hit.file}:" if hit.file else "line ") + str(hit.line) + (f", {hit.path}" if hit.path else "")
    yield f"  {place}: {_words(str(hit.verdict))} ({_STRENGTH[hit.tier.name]}, {how})"
    told = f" {source.tenant}" if source.tenant else ""
    yield f"    {source.model} answered{told} {moment(hit.time)}, receipt {hit.receipt}"
    clause = f" {source.ruling.clause}" if source.ruling.clause else ""
    yield f"    {source.ruling.license or 'no license'}{clause}: {source.ruling.reason}"
    if hit.doubt:
        yield f"    for review, because {hit.doubt}"


def _share(share: dict[str, Any]) -> Iterator[str]:
    if share["outputs"]:
        lower, upper = share["interval"]
        yield (
            f"{share['outputs']} of {share['attributable']} records of 40 words or more are outputs (tiers A, B): "
            f"{share['share']:.1%}, between {lower:.1%} and {upper:.1%} of such data (95 %); probability of so many by "
            f"chance, if all were other models' answers to the same prompts: {share['by_chance']:.1g}"
        )


def _coverage(document: dict[str, Any]) -> Iterator[str]:
    coverage, asked = document["coverage"], document["index"]
    if asked["since"] or asked["until"]:
        yield f"index: searched from {asked['since'] or 'its beginning'} to {asked['until'] or 'its end'}"
    several = len(coverage["indexes"]) > 1
    for number, index in enumerate(coverage["indexes"], 1):
        for name, month in index["months"].items():
            share = month["indexed"] / month["answered"] if month["answered"] else 1.0
            yield (
                f"index {f'{number}, ' if several else ''}{name}: "
                f"{month['indexed']} of {month['answered']} answered choices ({share:.1%}), "
                f"{month['attributable']} of them recognizable by their words"
                + (f", {month['waiting']} being written" if month["waiting"] else "")
            )
        which = f"index {f'{number}, ' if several else ''}"
        yield from (f"{which}{name}: shredded" for name in index["shredded"])
        yield from (f"{which}{copy}: searched once" for copy in index["copies"])
    for gap in coverage["gaps"]:
        yield f"not seen: {gap}"
    yield "not seen: answers that did not pass through the gateways writing to this index"


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")
