"""Reads the index, and says how much of what was answered it holds: a clean result over less than all is no result."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from guard.provenance.chain import Begins, begins_of, copies, named
from guard.provenance.counts import Counts, read_counts
from guard.provenance.months import MonthKeys, segment_key_id
from guard.provenance.scan import Candidate
from guard.provenance.segment import SegmentReader, Totals, Walker, boot_id


@dataclass(slots=True)
class Month:
    """One UTC month of the index, in answered choices."""

    answered: int = 0
    """Choices Guard answered, as far as segments and the counters beside them say."""
    indexed: int = 0
    """Choices that were fingerprinted."""
    attributable: int = 0
    """Of these, choices long enough and far enough from their prompt to be told by their words."""
    dropped: int = 0
    """Choices left out because they came faster than they could be indexed, or the disk refused them."""
    unrecorded: int = 0
    """Choices of which nothing was kept, because receipts were off."""
    unfingerprinted: int = 0
    """Choices of which only a digest was kept, because fingerprints were off."""
    waiting: int = 0
    """Choices that a running gateway has not written yet."""
    lost: int = 0
    """Choices known to be lost in crashes; where a segment has no counters, the last ones are not even counted."""
    unfinished: int = 0
    """Exchanges that were being answered when their gateway was killed; what was sent of them is not in the index."""
    segments: int = 0
    gaps: list[str] = field(default_factory=list)
    """What is wrong with single segments, by file."""


@dataclass(slots=True)
class Coverage:
    """What was searched, and what of it is missing. ``since`` and ``until`` are the months that were asked for."""

    since: str | None = None
    until: str | None = None
    months: dict[str, Month] = field(default_factory=dict)
    """The months that were searched."""
    shredded: list[str] = field(default_factory=list)
    """Months that were deleted on purpose. They are missing only where a period was asked for that they are in, but
    for what was answered in them afterwards."""
    copies: list[str] = field(default_factory=list)
    """Segments that are in the index twice; they were searched and counted once, and nothing is missing for it."""
    missing: list[str] = field(default_factory=list)
    """What is missing as a whole, in words: segments that others name, months without a key, what was answered in a
    month after it was shredded."""
    tenants: set[str] = field(default_factory=set)
    """Whom the choices in what was searched were answered to, as far as they were tenants."""

    @property
    def asked(self) -> bool:
        """True if a period was asked for."""
        return self.since is not None or self.until is not None

    @property
    def complete(self) -> bool:
        """True if every choice Guard answered in these months is in a segment that was read.

        What cannot be known from the index itself: gateways that never wrote to it, and the latest segments of an
        instance, if they were deleted before another one followed.
        """
        return bool(self.months) and not any(self.reasons())

    def reasons(self) -> Iterable[str]:
        """Yield what is missing, month by month."""
        if not self.months:
            yield "there is no index: no segment was found that can be read"
        if self.asked:
            yield from (f"{month}: shredded" for month in self.shredded)
        yield from self.missing
        for name, month in sorted(self.months.items()):
            for count, what in (
                (month.dropped, "dropped under load or by a full disk"),
                (month.unrecorded, "answered while receipts were off"),
                (month.unfingerprinted, "answered while fingerprints were off"),
                (month.lost, "lost in crashes"),
            ):
                if count:
                    yield f"{name}: {count} of {month.answered} choices {what}"
            if month.unfinished:
                yield f"{name}: {month.unfinished} {_UNFINISHED}"
            for gap in month.gaps:
                yield f"{name}: {gap}"


_UNFINISHED = "exchanges were being answered when their gateway was killed"
_WHY = {
    "cut short": "its gateway was killed; the choices of its last moments are missing",
    "powerless": "its machine went down or was another one; what its counters say may not be all that was answered",
    "damaged": "damaged; what follows the damage cannot be read",
    "other key": "written with another key",
    "other version": "written by another version of Guard, which this one cannot read",
    "unreadable": "cannot be read",
}


class Index:
    """The segments in ``directory``, made with the key ``master`` and the ``keys`` of their months.

    With ``since`` and ``until`` (months, both included) nothing else is searched or judged. Memory does not depend on
    the size of the index, but for the name of each segment.
    """

    def __init__(
        self, directory: Path, keys: MonthKeys, master: bytes, since: str | None = None, until: str | None = None
    ) -> None:
        self.directory, self.keys = directory, keys
        self.coverage = Coverage(since, until)
        """Of the months that were searched to their end, and of what is missing as a whole."""
        self._master = master
        self._segments: dict[str, list[Path]] = {}
        begins = begins_of(directory)
        twice = copies(begins)
        for path in begins:
            if path not in twice:
                self._segments.setdefault(path.parent.name, []).append(path)
        self._shredded = frozenset(keys.shredded())
        self._keyed = frozenset(keys.months()) - self._shredded
        self._note_missing(begins)
        self.coverage.copies = [
            f"{path.parent.name}: {path.name} is a copy of {original.parent.name}/{original.name}"
            for path, original in twice.items()
            if self._asked(path.parent.name)
        ]

    @property
    def months(self) -> list[str]:
        """The months that can be searched, in order: of the period that was asked for, with segments and a key."""
        return [month for month in self._segments if month in self._keyed and self._asked(month)]

    @property
    def size(self) -> int:
        """Bytes of the segments of these months, as far as they are still there."""
        size = 0
        for path in (path for month in self.months for path in self._segments[month]):
            with suppress(OSError):  # retention may be at work; that is said when it is searched
                size += path.stat().st_size
        return size

    def search_month(
        self, month: str, postings: Walker, progress: Callable[[int], None] = lambda _bytes: None
    ) -> Iterator[Candidate]:
        """Yield what ``postings``, sealed with the key of ``month``, find in it; ``progress`` gets the bytes as read.

        Afterwards ``coverage`` has the month. It may be searched any number of times: counts are those of the last
        time, and what was wrong with a segment once stays.
        """
        key = self.keys.of(month)
        key_id = segment_key_id(self._master, key) if key is not None else b""
        entry = Month()
        for path in self._segments.get(month, ()):
            reader = SegmentReader(path, key_id)
            try:
                yield from reader.search(postings, progress)
            except OSError:
                reader.state = "unreadable"
            _note(entry, reader)
            self.coverage.tenants.update(label.tenant for label in reader.labels if label.tenant is not None)
        before = self.coverage.months.get(month)
        if before is not None:
            entry.gaps[:0] = (gap for gap in before.gaps if gap not in entry.gaps)
        self.coverage.months[month] = entry

    def _asked(self, month: str) -> bool:
        since, until = self.coverage.since, self.coverage.until
        return (since is None or since <= month) and (until is None or month <= until)

    def _note_missing(self, begins: Begins) -> None:
        """Note what can be told to be missing without reading what is there."""
        coverage = self.coverage
        coverage.shredded = [month for month in sorted(self._shredded) if self._asked(month)]
        known = sorted({*self._segments, *self._shredded})
        if known and coverage.since is not None and coverage.since < known[0]:
            coverage.missing.append(f"{coverage.since}: the index begins in {known[0]}")
        coverage.missing.extend(
            f"{month}: the key of the month is missing"
            for month in self._segments
            if month not in self._keyed and month not in self._shredded and self._asked(month)
        )
        for month in coverage.shredded:
            since = self._since_shredded(month)
            if since.answered:
                coverage.missing.append(f"{month}: {since.answered} choices were answered after it was shredded")
            if since.unfinished:
                coverage.missing.append(f"{month}: {since.unfinished} {_UNFINISHED}")
        names = {f"{path.parent.name}/{path.name}" for path in begins}
        for before in sorted({*named(begins.values())} - names):
            month, _, name = before.partition("/")
            if self._asked(month) and month not in self._shredded:
                coverage.missing.append(f"{month}: {name} is missing; the segment after it names it")

    def _since_shredded(self, month: str) -> Month:
        """Return what gateways counted in ``month``, and left out, because it was shredded."""
        entry, keyless = Month(), segment_key_id(self._master, b"")
        for path in self._segments.get(month, ()):
            reader = SegmentReader(path, keyless)
            with suppress(OSError):  # retention may be at work
                deque(reader, maxlen=0)
                if reader.state != "other key":  # what was written before, and could not be removed
                    _note(entry, reader)
        return entry


def _note(entry: Month, reader: SegmentReader) -> None:
    """Add a segment that was read as far as it can be."""
    counts = read_counts(reader.path) if reader.state not in {"ended", "other key", "other version"} else None
    totals = reader.totals if counts is None else Totals(counts.answered, counts.written, counts.dropped)
    answered = max(totals.answered, reader.seen + totals.dropped)
    missing, dropped = answered - totals.dropped - reader.seen, totals.dropped
    if reader.begin is not None and not reader.begin.recorded:
        missing, dropped = 0, 0
        entry.unrecorded += answered - reader.seen
    entry.segments += 1
    entry.answered += answered
    entry.indexed += reader.searchable
    entry.attributable += reader.attributable
    entry.dropped += dropped
    entry.unfingerprinted += reader.seen - reader.searchable
    if reader.state == "live":
        entry.waiting += missing
        return
    entry.lost += missing
    if counts is not None:
        entry.unfinished += counts.begun - counts.ended
    if reader.state != "ended" and (why := _gap(reader, counts)):
        entry.gaps.append(f"{reader.path.name}: {_WHY[why]}")


def _gap(reader: SegmentReader, counts: Counts | None) -> str:
    """Return why a segment without an end is a gap; empty if its counters account for all of it."""
    if reader.state != "cut short" or counts is None or reader.begin is None:
        return reader.state
    held = counts.settled or reader.begin.boot == boot_id() != bytes(8)
    return "" if held else "powerless"
