"""The export gate: which records of a data set are outputs of a model, and what their licenses say about the use.

A record is held to be an output
  - by proof (tier A): it names a known receipt, or one of its texts has the digest of an output;
  - by strong evidence (tier B): two fingerprints or more, at least 0.4 of those of one text, stand in one output;
  - for review (tier C): three or more and at least 0.2; or the digest of an output that is too short, or too near to
    its prompt, for equal words to prove anything.

What the license of that output says is asked of ``judge``. A tier C hit is never more than undetermined. The verdict of
the data set is the strictest of its records: deny, undetermined, allow with obligations, allow; and where the index is
not complete, or a text could not be searched for, no verdict below undetermined is given.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from guard.licensing.verdict import OutputVerdict, Verdict
from guard.provenance.coverage import Coverage, Index
from guard.provenance.dataset import DataSet, Place, is_strong, is_weak
from guard.provenance.fingerprint import RUN, Fingerprinter, unpack
from guard.provenance.judge import Judge
from guard.provenance.receipt import Receipts
from guard.provenance.record import Record
from guard.provenance.segment import ATTRIBUTABLE, ECHOED, Label, Output


class Tier(IntEnum):
    """How certain it is that a text is an output; the larger is the more certain."""

    C = 1
    B = 2
    A = 3


class Match(NamedTuple):
    """One text of the data set found in one output, and what follows."""

    verdict: Verdict
    tier: Tier
    matched: int
    """Fingerprints that the text and the output share; 0 where a receipt or a digest is the evidence."""
    of: int
    """Fingerprints of the text."""
    evidence: str
    """``receipt``, ``digest`` or ``fingerprints``."""
    receipt: str
    """The id of the output's receipt."""
    time: float
    """When the output was given, in epoch seconds."""
    model: str
    licenses: tuple[str, ...]
    ruling: OutputVerdict
    """What the licenses say, before the tier is considered."""


class Hit(NamedTuple):
    """A record that is held to be an output, by the strictest match of its texts."""

    record: int
    line: int
    path: str
    match: Match


class Result(NamedTuple):
    """What the gate found, and what it could not see."""

    verdict: Verdict
    records: int
    texts: int
    """Different texts that were searched for."""
    short: int
    """Of these, texts of fewer than 13 words: only an exact copy of a whole output is found."""
    unsearched: int
    """Of these, texts of which 0.4 or more are phrases that over a thousand texts of the data set share."""
    hits: tuple[Hit, ...]
    """In the order of the records, one per record."""
    coverage: Coverage

    @property
    def dropped(self) -> frozenset[int]:
        """Numbers of the records a clean copy is without: tiers A and B whose use is not plainly allowed."""
        return frozenset(
            hit.record for hit in self.hits if hit.match.tier > Tier.C and hit.match.verdict is not Verdict.ALLOW
        )


def check(
    records: Iterable[Record],
    index: Path,
    *,
    key: bytes,
    judge: Judge,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Result:
    """Search ``records`` for outputs in the index at ``index`` made with ``key``, and judge them.

    ``judge`` gives the verdict on the ids of a stack of licenses for the use in question. Memory is proportional to the
    fingerprints of the data set (about 0.14 KB each), not to the index, which is streamed; ``progress`` gets the bytes
    of every segment read. Whatever ``records`` raises passes through.
    """
    data = DataSet(Receipts(key), Fingerprinter(key))
    for record in records:
        data.add(record)
    data.seal()
    search = _Search(data, judge)
    source = Index(index, key)
    for output, label in source.outputs(progress):
        search.compare(output, label)
    hits = search.hits()
    worst = max((hit.match.verdict for hit in hits), default=Verdict.ALLOW)
    if data.unsearched or not source.coverage.complete:
        worst = max(worst, Verdict.UNDETERMINED)
    return Result(worst, data.records, len(data.texts), data.short, data.unsearched, hits, source.coverage)


class _Search:
    """Keeps the strictest match of every text while the index streams past."""

    def __init__(self, data: DataSet, judge: Judge) -> None:
        self._data, self._judge = data, judge
        self._rulings: dict[tuple[str, ...], OutputVerdict] = {}
        self._texts: dict[int, Match] = {}
        self._claims: dict[str, Match] = {}

    def compare(self, output: Output, label: Label) -> None:
        """Note every text of the data set that is found in ``output``."""
        data = self._data
        if output.receipt in data.claims:
            self._claim(output, label)
        for digest in output.each_digest():
            text = data.by_digest.get(digest)
            if text is not None:
                proven = data.texts[text].words >= RUN and not output.flags & ECHOED
                self._note(text, Tier.A if proven else Tier.C, 0, "digest", output, label)
        if output.flags & ATTRIBUTABLE:
            values = unpack(output.values)
            if not data.has_none(values):
                self._overlap(values, output, label)

    def _overlap(self, values: tuple[int, ...], output: Output, label: Label) -> None:
        data = self._data
        shared = Counter(text for value in values for text in data.texts_with(value))
        for text, matched in shared.items():
            of = data.texts[text].fingerprints
            if is_strong(matched, of):
                self._note(text, Tier.B, matched, "fingerprints", output, label)
            elif is_weak(matched, of):
                self._note(text, Tier.C, matched, "fingerprints", output, label)

    def _claim(self, output: Output, label: Label) -> None:
        match = self._match(Tier.A, 0, 0, "receipt", output, label)
        known = self._claims.get(output.receipt)
        if known is None or match.verdict > known.verdict:
            self._claims[output.receipt] = match

    def _note(self, text: int, tier: Tier, matched: int, evidence: str, output: Output, label: Label) -> None:
        match = self._match(tier, matched, self._data.texts[text].fingerprints, evidence, output, label)
        known = self._texts.get(text)
        if known is None or match[:3] > known[:3]:
            self._texts[text] = match

    def _match(self, tier: Tier, matched: int, of: int, evidence: str, output: Output, label: Label) -> Match:
        ruling = self._rulings.get(label.licenses)
        if ruling is None:
            ruling = self._rulings[label.licenses] = self._judge(label.licenses)
        verdict = ruling.kind
        if tier is Tier.C and verdict is not Verdict.ALLOW:
            verdict = Verdict.UNDETERMINED
        return Match(
            verdict, tier, matched, of, evidence, output.receipt, output.time, label.model, label.licenses, ruling
        )

    def hits(self) -> tuple[Hit, ...]:
        """Return the strictest match of each record."""
        best: dict[int, Hit] = {}

        def note(place: Place, match: Match) -> None:
            known = best.get(place.record)
            if known is None or match[:3] > known.match[:3]:
                best[place.record] = Hit(place.record, place.line, place.path, match)

        for text, match in self._texts.items():
            for place in self._data.texts[text].places:
                note(place, match)
        for receipt, match in self._claims.items():
            for place in self._data.claims[receipt]:
                note(place, match)
        return tuple(best[number] for number in sorted(best))
