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
    yield f"{_words(document['verdict'])}: {_summary(document)} for training {document['target']}"
    for hit, _ in zip(result.hits, range(SHOWN), strict=False):
        yield from _describe(hit)
    if len(result.hits) > SHOWN:
        yield f"... and {len(result.hits) - SHOWN} more records (--hits FILE writes all of them)"
    for obligation in document["obligations"]:
        yield f"owed: {obligation['text']} ({obligation['license']} {obligation['clause']}; {obligation['trigger']})"
    yield from _share(document["share"])
    texts = document["texts"]
    if texts["short"]:
        yield f"{texts['short']} texts have fewer than 13 words: only exact copies of whole outputs are found there"
    if texts["public"]:
        yield f"{texts['public']} texts are public by --exclude: only receipts are found there"
    if texts["unsearched"]:
        yield f"{texts['unsearched']} texts could not be searched for: over a thousand texts here share their phrases"
    yield from _coverage(document)
    if clean := document.get("clean"):
        yield f"clean: {clean['records']} records in {clean['file']}, {clean['left_out']} left out"


def _summary(document: dict[str, Any]) -> str:
    found = document["found"]["records"]
    return f"{found} of {document['records']} records {'is an output' if found == 1 else 'are outputs'} Guard has seen,"


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
        for name in index["shredded"]:
            yield f"index {f'{number}, ' if several else ''}{name}: shredded"
    for gap in coverage["gaps"]:
        yield f"not seen: {gap}"
    yield "not seen: answers that did not pass through the gateways writing to this index"


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")
