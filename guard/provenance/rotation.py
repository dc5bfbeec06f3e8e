"""The segment that is being written: begun anew after a while, at each month's turn, and after a disk refused.

In a month that was shredded nothing can be sealed. Its segment takes no output: it only counts what was left out.
"""

from pathlib import Path

from guard.provenance.chain import last_of
from guard.provenance.layout import month_of
from guard.provenance.months import MonthKeyError, MonthKeys, segment_key_id
from guard.provenance.segment import SegmentWriter, Totals
from guard.provenance.tally import Tally, forget

RETRY = 1.0
"""Seconds between attempts to open a segment on a disk that refuses."""


class Rotation:
    """Holds the current segment of ``instance``, below ``directory``; for one thread.

    ``master`` is the key of digests and grams, ``keys`` has those of the months. A segment in which something was
    written or dropped ends after ``seconds``. With ``recorded`` False segments say that nothing is recorded in them.
    """

    def __init__(
        self,
        directory: Path,
        instance: str,
        master: bytes,
        keys: MonthKeys,
        tally: Tally,
        seconds: float,
        *,
        recorded: bool = True,
    ) -> None:
        self.segment: SegmentWriter | None = None
        """None while the disk refuses, and in a month that was shredded."""
        self.key = b""
        """The key of its month; empty if that was shredded."""
        self.error: str | None = None
        """Why there is no segment, or why it is not the one it should be."""
        self._directory, self._instance, self._master, self._keys = directory, instance, master, keys
        self._tally, self._seconds, self._recorded = tally, seconds, recorded
        self._last: str | None = None
        """What the next segment names as the one before it; None until the first one was begun."""
        self._over: SegmentWriter | None = None
        """One that nothing is written to any more; it is counted beside until there is another one."""
        self._torn = False
        self._due = 0.0
        self._retry_at = 0.0

    @property
    def month(self) -> str | None:
        """The month that is counted in; None before the first segment."""
        segment = self.segment or self._over
        return segment.month if segment is not None else None

    def begin(self, now: float) -> None:
        """Begin a segment at ``now`` (epoch seconds) and end the one before it. Raises OSError, MonthKeyError."""
        key = self._keys.of(month_of(now), create=True) or b""
        if self._last is None:
            self._last = last_of(self._directory, self._instance)
        key_id = segment_key_id(self._master, key)
        segment = SegmentWriter(self._directory, self._instance, key_id, now, self._last, recorded=self._recorded)
        try:
            last = self._tally.move(segment.path)
        except OSError:
            segment.abandon()
            segment.path.unlink(missing_ok=True)  # nobody saw anything in it
            raise
        self._last = f"{segment.month}/{segment.path.name}"
        before, torn = self.segment or self._over, self._torn
        self.segment, self.key, self._over, self._torn = segment, key, None, False
        self.error, self._due = None, now + self._seconds
        if not key:
            self.error = f"{segment.month} was shredded: the index is off until the next month"
            self._stop()
        if before is not None:
            self._finish(before, last, now, torn=torn)

    def turn(self, now: float) -> bool:
        """See to it that there is a segment and that it is the right one; True if it is another month's than before."""
        segment = self.segment if self.key else self._over
        if segment is not None and segment.month == month_of(now) and not (self._tally.used and now >= self._due):
            return False
        if now < self._retry_at:
            return False
        try:
            self.begin(now)
        except (OSError, MonthKeyError) as error:
            self.error = _why(error)
            self._retry_at = now + RETRY
            if segment is not None and segment.month != month_of(now):
                self._stop()
            return False
        return segment is None or segment.month != month_of(now)

    def write(self, count: int) -> bool:
        """Write what the segment has taken, ``count`` choices; False if there is none, or the disk refuses it."""
        segment = self.segment
        if segment is None:
            return False
        segment.add(self._tally.totals(count))
        try:
            segment.write()
        except OSError as error:
            self.error = _why(error)
            self._torn = True
            self._stop()
            return False
        self._tally.write(count)
        return True

    def end(self, now: float) -> None:
        """End the segment, unless exchanges are open: what becomes of them is counted beside it."""
        segment, self.segment = self.segment or self._over, None
        self._over = None
        if segment is None:
            return
        if self._tally.open:
            segment.abandon()
        else:
            self._finish(segment, self._tally.totals(over=True), now, torn=self._torn)

    def _stop(self) -> None:
        self._over, self.segment = self.segment or self._over, None

    def _finish(self, segment: SegmentWriter, totals: Totals, now: float, *, torn: bool) -> None:
        """Write the end of a segment that nothing is written to any more, unless it is ``torn``."""
        if torn:
            segment.abandon()
            return
        segment.add(totals)
        try:
            segment.end(now)
        except OSError as error:
            self.error = _why(error)
            segment.abandon()
            return
        forget(segment.path)


def _why(error: OSError | MonthKeyError) -> str:
    return getattr(error, "strerror", None) or str(error)
