"""The export gate: which records of a data set are outputs of a model, and what their licenses say about the use.

A record is held to be an output
  - by proof (tier A): it names a known receipt, or one of its texts has the digest of an output;
  - by strong evidence (tier B): enough of the fingerprints of one text stand in one output, evenly spread or at least
    half of them (``guard.provenance.tiers``);
  - for review (tier C): fewer; or a reason to doubt strong evidence; or the digest of an output that is too short, or
    too near to its prompt, for equal words to prove anything.

What the license says is asked of a judge. A tier C hit is never more than undetermined. The verdict of the data set is
the strictest of its records: deny, undetermined, allow with obligations, allow; and where the index is not complete, a
text could not be searched for, or a record has nothing in it that could be looked at but bytes that are no text, no
verdict below undetermined is given.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from guard.licensing.verdict import Verdict
from guard.provenance.coverage import Coverage, Index
from guard.provenance.dataset import Batch, Counts, batches
from guard.provenance.hits import Hits
from guard.provenance.judge import Use
from guard.provenance.marks import Key
from guard.provenance.months import KEY_BYTES
from guard.provenance.record import Record
from guard.provenance.search import Search

Progress = Callable[[int, int], None]
"""Told how many bytes of indexes were searched, and of how many as far as is known; both count every batch anew."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """An index, and what makes marks with the key it was made with: one object for all indexes of one key."""

    index: Index
    key: Key


class Result(NamedTuple):
    """What the gate found, and what it could not see."""

    verdict: Verdict
    counts: Counts
    unsearched: int
    """Texts that could be outputs by phrases that over a thousand texts of the data set share, and nothing else."""
    hits: Hits
    """In the order of the records, one per record."""
    coverages: tuple[Coverage, ...]
    """By index, in the order they were given."""


def check(
    records: Iterable[Record],
    indexes: Sequence[Indexed],
    use: Use,
    progress: Progress = lambda _done, _total: None,
) -> Result:
    """Search ``records`` for outputs in ``indexes``, and judge them for ``use``.

    Memory has a bound that neither the data set nor the indexes move: below 500 MB (``benchmarks/export_speed.py``).
    Whatever ``records`` raises passes through, and OSError where an index, a key or a temporary
    file fails.
    """
    counts, hits, unsearched = Counts(), Hits(), 0
    keys = list(dict.fromkeys(indexed.key for indexed in indexes))
    meter = _Meter(progress, sum(indexed.index.size for indexed in indexes))
    for batch in batches(records, keys, counts):
        meter.begin()
        with closing(Search(batch, use)) as search:
            unsearched += max(
                (_look(indexed, keys.index(indexed.key), batch, search, meter) for indexed in indexes), default=0
            )
            for hit in search.hits():
                hits.add(hit)
    hits.end()
    coverages = tuple(indexed.index.coverage for indexed in indexes)
    worst = max(hits.verdicts, default=Verdict.ALLOW)
    if unsearched or counts.blind or not all(coverage.complete for coverage in coverages):
        worst = max(worst, Verdict.UNDETERMINED)
    return Result(worst, counts, unsearched, hits, coverages)


def _look(indexed: Indexed, marks: int, batch: Batch, search: Search, meter: "_Meter") -> int:
    """Search one index for ``batch``; return how many texts consist of phrases of too many texts to be searched for."""
    unsearched = 0
    for month in indexed.index.months:
        # A month that was shredded since the check began is searched in vain, and coverage says so.
        month_key = indexed.index.keys.of(month) or bytes(KEY_BYTES)
        postings = batch.postings(batch.marks[marks], month_key)
        common = postings.common()
        unsearched = max(unsearched, search.unsearched(marks, common))
        search.leave_out(marks, common)
        for candidate in indexed.index.search_month(month, postings, meter.add):
            search.take(marks, candidate)
        search.leave_out(marks, postings.stops())
    return unsearched


class _Meter:
    """Adds up what was searched."""

    def __init__(self, progress: Progress, size: int) -> None:
        self._progress, self._size = progress, size
        self._done = self._total = 0

    def begin(self) -> None:
        """Begin to search all indexes once more."""
        self._total += self._size

    def add(self, size: int) -> None:
        """Count bytes that were searched."""
        self._done += size
        self._progress(self._done, self._total)
