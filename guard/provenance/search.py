"""The search for the texts of one batch: what of them stands in which outputs, and which of it is the strictest.

Which fingerprints are common to answers to many prompts is known only when the index has been read, so what may be a
match is kept in a temporary file until then, and judged afterwards.
"""

import tempfile
from array import array
from collections.abc import Iterator, Mapping
from struct import Struct
from typing import NamedTuple

from guard.licensing.verdict import Verdict
from guard.provenance.dataset import Batch
from guard.provenance.hits import Hit, Source
from guard.provenance.judge import Use
from guard.provenance.scan import DIGEST, MOST, RECEIPT, Candidate
from guard.provenance.segment import ATTRIBUTABLE, ECHOED
from guard.provenance.tiers import Strength, Tier, strength

RELATED = "the record names another model of the same family, whose phrasing is alike"
PUT_THERE = "the words were put there by another tenant"
PUBLIC = "it is excluded as public, but an answer has exactly its words"
COMMON = "most of its phrases stand in answers to three prompts or more"

_ROW = Struct("<IBBId16sH")
_KEYS = (1 << MOST) - 1
_BY_KEYS, _BY_DIGEST, _BY_WEAK_DIGEST, _BY_RECEIPT = range(4)
_EVIDENCE = ("fingerprints", "digest", "digest", "receipt")
_MASK = 16
_REMEMBERED = 50_000
"""Matches that are remembered, so that equal ones of equal outputs are kept once."""


class _Row(NamedTuple):
    """A match of a text and an output that may be the strictest one."""

    text: int
    marks: int
    evidence: int
    source: int
    time: float
    mask: int
    receipt: str


class _Weight(NamedTuple):
    """What a match comes to; the larger, the stricter."""

    verdict: Verdict
    tier: Tier
    matched: int
    of: int
    doubt: str


class Search:
    """Takes what the index has for ``batch``; then ``hits`` tells the strictest match of each text, for ``use``."""

    def __init__(self, batch: Batch, use: Use) -> None:
        self._batch, self._use = batch, use
        self._models = batch.models()
        self._file = tempfile.TemporaryFile(prefix="guard-matches-")  # noqa: SIM115 - see close
        self._size = 0
        self._sources: list[Source] = []
        self._numbers: dict[tuple[str, tuple[str, ...], str | None], int] = {}
        self._blank = [bytearray(_MASK * batch.texts) for _ in batch.marks]
        self._proven = bytearray(batch.texts)
        """By text, 1 more than the strictest verdict that was proven."""
        self._seen: set[tuple[int, ...]] = set()

    def leave_out(self, marks: int, masks: Mapping[int, int]) -> None:
        """Count the fingerprints in ``masks`` (by text) neither as found nor as looked for."""
        blank = self._blank[marks]
        for text, mask in masks.items():
            at = _MASK * text
            known = int.from_bytes(blank[at : at + _MASK], "little")
            blank[at : at + _MASK] = (known | mask).to_bytes(_MASK, "little")

    def take(self, marks: int, candidate: Candidate) -> None:
        """Take what one output shares with one text."""
        output, text, mask = candidate.output, candidate.text, candidate.mask
        label = candidate.label
        named = (label.model, label.licenses, label.tenant)
        source = self._numbers.get(named)
        if source is None:
            source = self._numbers[named] = len(self._sources)
            self._sources.append(Source(*named, self._use.judge(label.licenses)))
        ruled = self._sources[source].ruling.kind
        if mask >> DIGEST & 1 and self._batch.is_copy(text, self._batch.marks[marks], output.each_digest()):
            batch = self._batch
            proof = batch.is_proof(text) and not batch.is_public(text) and not output.flags & ECHOED
            self._keep(candidate, marks, _BY_DIGEST if proof else _BY_WEAK_DIGEST, source, 0)
            if proof:
                self._proven[text] = max(self._proven[text], ruled + 1)
        if mask >> RECEIPT & 1 and self._batch.is_claim(text, output.receipt):
            self._keep(candidate, marks, _BY_RECEIPT, source, 0)
            self._proven[text] = max(self._proven[text], ruled + 1)
        shared = mask & _KEYS
        # Fewer than two shared fingerprints are no evidence, and no match by fingerprints is stricter than a proof.
        if shared & (shared - 1) and output.flags & ATTRIBUTABLE and self._proven[text] <= ruled:
            self._keep(candidate, marks, _BY_KEYS, source, shared)

    def unsearched(self, marks: int, common: Mapping[int, int]) -> int:
        """Return how many texts could be outputs by fingerprints that are not searched for, given as masks by text."""
        lanes, formal = self._batch.marks[marks].lanes, self._batch.is_formal
        return sum(strength(mask, 0, lanes(text), formal=formal(text)).tier is Tier.B for text, mask in common.items())

    def hits(self) -> Iterator[Hit]:
        """Yield the strictest match of every place of every text that was found, in the order of the records."""
        self._file.flush()
        ranks, rows = array("H", bytes(2 * self._batch.texts)), array("Q", bytes(8 * self._batch.texts))
        for at, row in self._rows():
            weight = self._weigh(row)
            if weight is not None and (rank := _rank(weight)) > ranks[row.text]:
                ranks[row.text], rows[row.text] = rank, at
        for place in self._batch.places():
            if not ranks[place.text]:
                continue
            self._file.seek(rows[place.text])
            row, _ = self._read()
            if (weight := self._weigh(row)) is not None:
                yield Hit(
                    place.record, place.line, place.file, place.path,
                    weight.verdict, weight.tier, weight.matched, weight.of, _EVIDENCE[row.evidence], weight.doubt,
                    self._batch.is_long(place.text), row.receipt, row.time, self._sources[row.source],
                )  # fmt: skip

    def close(self) -> None:
        """Let go of the temporary file."""
        self._file.close()

    def _keep(self, candidate: Candidate, marks: int, evidence: int, source: int, mask: int) -> None:
        output = candidate.output
        same = (candidate.text, marks, evidence, source, mask)
        if same in self._seen:
            return
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen.add(same)
        receipt = output.receipt.encode()
        row = _ROW.pack(
            candidate.text, marks, evidence, source, output.time, mask.to_bytes(_MASK, "little"), len(receipt)
        )
        self._file.write(row + receipt)
        self._size += len(row) + len(receipt)

    def _rows(self) -> Iterator[tuple[int, _Row]]:
        self._file.seek(0)
        at = 0
        while at < self._size:
            row, size = self._read()
            yield at, row
            at += size

    def _read(self) -> tuple[_Row, int]:
        text, marks, evidence, source, time, mask, length = _ROW.unpack(self._file.read(_ROW.size))
        receipt = self._file.read(length).decode()
        return _Row(text, marks, evidence, source, time, int.from_bytes(mask, "little"), receipt), _ROW.size + length

    def _weigh(self, row: _Row) -> _Weight | None:
        found, doubt = self._evidence(row)
        if found.tier is None:
            return None
        source, tier = self._sources[row.source], found.tier
        if tier is Tier.B:
            doubt = self._doubt(self._models[row.text], source)
            tier = Tier.C if doubt else Tier.B
        verdict = source.ruling.kind
        if tier is Tier.C and verdict is not Verdict.ALLOW:
            verdict = Verdict.UNDETERMINED
        return _Weight(verdict, tier, found.matched, found.of, doubt)

    def _evidence(self, row: _Row) -> tuple[Strength, str]:
        if row.evidence == _BY_WEAK_DIGEST:
            return Strength(Tier.C, 0, 0), PUBLIC if self._batch.is_public(row.text) else ""
        if row.evidence != _BY_KEYS:
            return Strength(Tier.A, 0, 0), ""
        at = _MASK * row.text
        blank = int.from_bytes(self._blank[row.marks][at : at + _MASK], "little")
        formal = self._batch.is_formal(row.text)
        found = strength(row.mask, blank, self._batch.marks[row.marks].lanes(row.text), formal=formal)
        return found, COMMON if found.common else ""

    def _doubt(self, generator: str, source: Source) -> str:
        tenant = self._use.tenant
        if tenant is not None and source.tenant not in {None, tenant}:
            return PUT_THERE
        return RELATED if generator and self._use.related(generator, source.model, source.licenses) else ""


def _rank(weight: _Weight) -> int:
    return weight.verdict << 10 | weight.tier << 8 | weight.matched
