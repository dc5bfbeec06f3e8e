"""Reads the index, and says how much of what was answered it holds: a clean result over less than all is no result."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from guard.provenance.layout import SEGMENT_SUFFIX
from guard.provenance.receipt import key_id
from guard.provenance.segment import Label, Output, SegmentReader


@dataclass(slots=True)
class Month:
    """One UTC month of the index, in answered choices."""

    answered: int = 0
    """Choices Guard answered, as far as the segments say; a crash hides the last ones."""
    indexed: int = 0
    """Choices that were fingerprinted."""
    attributable: int = 0
    """Of these, choices long enough and far enough from their prompt to be told by their words."""
    dropped: int = 0
    """Choices left out because they came faster than they could be indexed, or the disk refused them."""
    unfingerprinted: int = 0
    """Choices of which only a digest was kept, because fingerprints were off."""
    waiting: int = 0
    """Choices that a running gateway has not written yet."""
    lost: int = 0
    """Choices known to be lost in crashes; the last moments before one are not even counted."""
    segments: int = 0
    gaps: list[str] = field(default_factory=list)
    """What is wrong with single segments, by file."""


@dataclass(slots=True)
class Coverage:
    """The months an index covers."""

    months: dict[str, Month] = field(default_factory=dict)

    def note(self, month: str, reader: SegmentReader) -> None:
        """Add a segment that was read to its end."""
        entry = self.months.setdefault(month, Month())
        entry.segments += 1
        entry.answered += max(reader.totals.answered, reader.seen)
        entry.indexed += reader.searchable
        entry.attributable += reader.attributable
        entry.dropped += reader.totals.dropped
        entry.unfingerprinted += reader.seen - reader.searchable
        missing = max(0, reader.totals.answered - reader.totals.dropped - reader.seen)
        if reader.state == "live":
            entry.waiting += missing
        else:
            entry.lost += missing
        if reader.state not in {"ended", "live"}:
            entry.gaps.append(f"{reader.path.name}: {_WHY[reader.state]}")

    @property
    def complete(self) -> bool:
        """True if every segment is whole and every choice Guard answered in these months is in it."""
        return bool(self.months) and not any(self.reasons())

    def reasons(self) -> Iterable[str]:
        """Yield what is missing from the index, month by month."""
        if not self.months:
            yield "there is no index: no segment was found"
        for name, month in sorted(self.months.items()):
            for count, what in (
                (month.dropped, "dropped under load or by a full disk"),
                (month.unfingerprinted, "answered while fingerprints were off"),
                (month.lost, "lost in crashes"),
            ):
                if count:
                    yield f"{name}: {count} of {month.answered} choices {what}"
            for gap in month.gaps:
                yield f"{name}: {gap}"


_WHY = {
    "cut short": "its gateway was killed; the choices of its last moments are missing",
    "damaged": "damaged; what follows the damage cannot be read",
    "other key": "written with another key",
    "unreadable": "cannot be read",
}


class Index:
    """Streams every output of an index, segment by segment, in constant memory."""

    def __init__(self, directory: Path, key: bytes) -> None:
        self.coverage = Coverage()
        """Complete once ``outputs`` has been read to its end."""
        self.segments = sorted(directory.glob(f"[0-9]*/*{SEGMENT_SUFFIX}"))
        self._key = key_id(key)

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(path.stat().st_size for path in self.segments)

    def outputs(self, progress: Callable[[int], None] = lambda _bytes: None) -> Iterator[tuple[Output, Label]]:
        """Yield each output with its label; ``progress`` gets the bytes of a segment when it has been read."""
        for path in self.segments:
            reader = SegmentReader(path, self._key)
            try:
                for output in reader:
                    yield output, reader.labels[output.label]
                progress(path.stat().st_size)
            except OSError:
                reader.state = "unreadable"
            self.coverage.note(path.parent.name, reader)
