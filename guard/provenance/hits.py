"""What was found in a data set, record by record, in a temporary file: memory does not grow with the hits."""

import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator
from heapq import nlargest
from typing import NamedTuple

import msgspec

from guard.licensing.obligations import Obligation
from guard.licensing.verdict import OutputVerdict, Verdict
from guard.provenance.tiers import Tier


class Source(NamedTuple):
    """What an output was answered under, and what follows from that for the use in question."""

    model: str
    licenses: tuple[str, ...]
    tenant: str | None
    ruling: OutputVerdict
    """What the licenses say, before it is considered how certain a hit is."""


class Hit(NamedTuple):
    """A record that is held to be an output, by the strictest match of its texts."""

    record: int
    line: int
    file: str
    path: str
    verdict: Verdict
    tier: Tier
    matched: int
    """Fingerprints that the text and the output share; 0 where a receipt or a digest is the evidence."""
    of: int
    """Fingerprints of the text that count."""
    evidence: str
    """``receipt``, ``digest`` or ``fingerprints``."""
    doubt: str
    """Why it is for review although the evidence is strong or better; empty if it is not."""
    long: bool
    """The text is long enough to be told by its words."""
    receipt: str
    """The id of the output's receipt."""
    time: float
    """When the output was given, in epoch seconds."""
    source: Source

    @property
    def rank(self) -> tuple[Verdict, Tier, int]:
        """What makes one match stricter than another."""
        return self.verdict, self.tier, self.matched


_BLOCK, _HEAD = 1 << 18, 4
_Row = tuple[int, int, str, str, int, int, int, int, str, str, bool, str, float, int]


class Dropped:
    """Numbers of records, a bit for each record of the data set."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def add(self, record: int) -> None:
        """Take the number of a record that was not taken before."""
        self._bits += bytes(max(0, (record >> 3) + 1 - len(self._bits)))
        self._bits[record >> 3] |= 1 << (record & 7)
        self._count += 1

    def __contains__(self, record: object) -> bool:
        if not isinstance(record, int) or record >> 3 >= len(self._bits):
            return False
        return bool(self._bits[record >> 3] >> (record & 7) & 1)

    def __len__(self) -> int:
        return self._count


class Hits:
    """Takes hits in the order of their records, and gives them back any number of times."""

    def __init__(self) -> None:
        self.tiers: Counter[Tier] = Counter()
        """Records by tier."""
        self.verdicts: Counter[Verdict] = Counter()
        """Records by verdict."""
        self.attributable = 0
        """Records of tiers A and B by a text that is long enough to be told by its words."""
        self.obligations: dict[Obligation, None] = {}
        """Everything owed for the hits, each once, in the order they were found."""
        self.for_review = 0
        """Records of tier C whose use is not plainly allowed."""
        self._file = tempfile.TemporaryFile(prefix="guard-hits-")  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        self._sources: dict[Source, int] = {}
        self._last: Hit | None = None
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(_Row).decode

    def add(self, hit: Hit) -> None:
        """Take the strictest match of a record, or of those of its texts that were searched for together."""
        last, self._last = self._last, hit
        if last is None:
            return
        if last.record == hit.record:
            self._last = max(last, hit, key=lambda match: match.rank)
        else:
            self._write(last)

    def end(self) -> None:
        """Finish, after the last hit."""
        if self._last is not None:
            self._write(self._last)
        self._last = None
        self._file.flush()

    def __len__(self) -> int:
        return self.tiers.total()

    def __iter__(self) -> Iterator[Hit]:
        sources = self.sources
        at, want = 0, _BLOCK
        while True:
            self._file.seek(at)
            block = self._file.read(want)
            start, end = 0, _HEAD
            while end <= len(block):
                end += int.from_bytes(block[start : start + _HEAD], "little")
                if end > len(block):
                    break
                yield _hit(self._decode(memoryview(block)[start + _HEAD : end]), sources)
                start, end = end, end + _HEAD
            if not block:
                return
            at, want = at + start, max(_BLOCK, end - start)

    def strictest(self, most: int) -> list[Hit]:
        """Return the ``most`` strictest hits, those first; of equally strict ones the first records."""
        return nlargest(most, self, key=lambda hit: (hit.verdict, hit.tier))

    def dropped(self, *, review: bool = False, obliged: bool = True) -> Dropped:
        """Return the records that a clean copy is without: tiers A and B whose use is not plainly allowed.

        With ``review`` tier C as well; without ``obliged`` not those that are allowed with obligations.
        """
        found, most = Dropped(), Verdict.ALLOW if obliged else Verdict.ALLOW_WITH_OBLIGATIONS
        for hit in self:
            if hit.verdict > most and (review or hit.tier > Tier.C):
                found.add(hit.record)
        return found

    @property
    def sources(self) -> list[Source]:
        """What the outputs were answered under, each once."""
        return list(self._sources)

    def _write(self, hit: Hit) -> None:
        self.tiers[hit.tier] += 1
        self.verdicts[hit.verdict] += 1
        self.obligations |= dict.fromkeys(hit.source.ruling.obligations)
        if hit.tier > Tier.C:
            self.attributable += hit.long
        else:
            self.for_review += hit.verdict is not Verdict.ALLOW
        source = self._sources.setdefault(hit.source, len(self._sources))
        row = self._encode((*hit[:-1], source))
        self._file.write(len(row).to_bytes(_HEAD, "little") + row)


def _hit(row: _Row, sources: list[Source]) -> Hit:
    record, line, file, path, verdict, tier, matched, of, evidence, doubt, long, receipt, time, source = row
    return Hit(
        record, line, file, path, Verdict(verdict), Tier(tier), matched, of, evidence, doubt, long, receipt, time,
        sources[source],
    )  # fmt: skip
