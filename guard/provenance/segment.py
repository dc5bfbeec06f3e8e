"""A segment: a file that one gateway writes its fingerprints of one month to. Append-only, never reopened.

``GUARDSEG``, then frames (``guard.provenance.frames``). A file without ``End`` whose writer is gone was cut short by a
crash: a torn last frame is skipped, and what is missing is told by the counters beside it or is a gap in coverage. The
writer holds a lock, which is how a reader tells a crash from a file still being written. Every segment names the one
that its instance wrote before it (``guard.provenance.chain``), so that one that was taken out of the middle is missed.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Protocol

from guard.provenance import scan
from guard.provenance.frames import (
    ATTRIBUTABLE,
    ECHOED,
    FINGERPRINTED,
    LARGEST,
    MAGIC,
    OUTPUTS,
    VERSION,
    Begin,
    Damaged,
    End,
    Frame,
    Label,
    Output,
    Place,
    Totals,
    decode,
    encode,
    encode_output,
    framed,
    payloads,
    read_output,
    version,
)
from guard.provenance.layout import SEGMENT_SUFFIX, month_of
from guard.provenance.scan import Candidate
from guard.provenance.scan_twin import Walked, visit

__all__ = [
    "ATTRIBUTABLE",
    "ECHOED",
    "FINGERPRINTED",
    "Begin",
    "End",
    "Label",
    "Output",
    "SegmentReader",
    "SegmentWriter",
    "Totals",
    "boot_id",
    "read_begin",
    "segment_name",
]

FULL = 64 * 1024
"""Bytes of outputs after which a frame is closed."""
CHUNK = 8 * 1024 * 1024
"""Bytes read at a time: the more keys are looked for together, the less each waits for memory."""


class SegmentWriter:
    """Writes one segment; frames reach the file with ``write``. Every method but ``add`` may raise OSError.

    ``key_id`` is ``months.segment_key_id``; ``now`` is in epoch seconds; ``before`` and ``recorded`` are as ``Begin``
    has them.
    """

    def __init__(
        self, directory: Path, instance: str, key_id: bytes, now: float, before: str = "", *, recorded: bool = True
    ) -> None:
        self.month = month_of(now)
        self.size = 0
        """Bytes in the file."""
        self._labels: dict[tuple[str, tuple[str, ...], str | None], int] = {}
        self._frames: list[bytes] = []
        self._outputs = bytearray()
        self._file, self.path = _create(directory / self.month, instance, now)
        self._frames.append(MAGIC)
        self.add(Begin(instance, key_id, now, boot_id(), before, recorded))
        try:
            self.write()
        except OSError:
            self.abandon()
            with suppress(OSError):
                self.path.unlink()  # it says nothing, and would count as cut short
            raise

    def label(self, model: str, licenses: tuple[str, ...], tenant: str | None = None) -> int:
        """Return the number of a label, adding its frame the first time."""
        named = model, licenses, tenant
        number = self._labels.get(named)
        if number is None:
            number = len(self._labels)
            self.add(Label(number, *named))
            self._labels[named] = number
        return number

    def add(self, frame: Frame | Output) -> None:
        """Take a frame, or an output for one, to be written. Raises ValueError or OverflowError if it cannot be."""
        if isinstance(frame, Output):
            output = scan.encode_output(frame) or encode_output(frame)
            if len(output) >= LARGEST:
                raise ValueError(f"an output of {len(output)} bytes; allowed: {LARGEST - 1}")
            if len(self._outputs) + len(output) > FULL:
                self._close_outputs()
            self._outputs += output
        else:
            payload = encode(frame)
            self._close_outputs()
            self._frames.append(framed(payload))

    def write(self) -> None:
        """Write what was taken. After OSError the file is of no more use: abandon it."""
        self._close_outputs()
        data = memoryview(b"".join(self._frames))
        self._frames.clear()
        while data:
            written = os.write(self._file, data)
            self.size += written
            data = data[written:]

    def end(self, now: float) -> None:
        """Close the file as complete."""
        self.add(End(now))
        self.write()
        os.fsync(self._file)
        self.abandon()

    def abandon(self) -> None:
        """Close the file as it is: without an end it counts as cut short."""
        os.close(self._file)

    def _close_outputs(self) -> None:
        if self._outputs:
            self._frames.append(framed(bytes((OUTPUTS,)) + self._outputs))
            self._outputs.clear()


def _create(directory: Path, instance: str, now: float) -> tuple[int, Path]:
    """Return a new, locked file. It gets its name when it is locked, so no reader takes it for one of a dead writer."""
    directory.mkdir(parents=True, exist_ok=True)
    moment = datetime.fromtimestamp(now, UTC)
    while (path := directory / segment_name(instance, moment)).exists():
        moment += timedelta(microseconds=1)
    unnamed = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(unnamed, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    unnamed.rename(path)
    return file, path


def segment_name(instance: str, begun: datetime) -> str:
    """Return the name of a segment of ``instance``; a later microsecond where that name was taken."""
    return f"{instance}.{begun:%Y%m%dT%H%M%S.%fZ}{SEGMENT_SUFFIX}"


@cache
def boot_id() -> bytes:
    """Return 8 bytes of the id of this boot of the machine; zeros where the system tells none."""
    try:
        return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").replace("-", ""))[:8]
    except (OSError, ValueError):
        return bytes(8)


def read_begin(path: Path) -> Begin | None:
    """Return whose file a segment is; None if its first frame cannot be read. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.startswith(MAGIC):
        return None
    try:
        for at, end in payloads(start, len(MAGIC)):
            frame = decode(start[at:end])
            return frame if isinstance(frame, Begin) else None
    except Damaged:
        pass
    return None


class Walker(Protocol):
    """What goes through the frames of a segment: ``scan.Postings``, sealed."""

    def walk(self, data: bytes | bytearray | memoryview, at: int, labels: int) -> Walked:
        """See ``scan_twin.Postings.walk``."""


class SegmentReader:
    """Reads one segment, once; afterwards its attributes tell how complete it is. ``key_id`` is what it should have.

    Memory is that of the largest frame, at least ``CHUNK``. Raises OSError.
    """

    def __init__(self, path: Path, key_id: bytes) -> None:
        self.path = path
        self.begin: Begin | None = None
        self.labels: list[Label] = []
        self.seen = 0
        """Outputs read."""
        self.searchable = 0
        """Of these, outputs that were fingerprinted."""
        self.attributable = 0
        """Of these, outputs whose keys say who wrote them."""
        self.totals = Totals(0, 0, 0)
        self.state = ""
        """``ended``, ``live``, ``cut short``, ``damaged``, ``other version`` or ``other key``; empty before reading."""
        self._key_id = key_id

    def __iter__(self) -> Iterator[Output]:
        """Yield every output."""
        for output, _, _ in self._read(_Everything()):
            yield output

    def search(self, postings: Walker, progress: Callable[[int], None] = lambda _bytes: None) -> Iterator[Candidate]:
        """Yield the outputs that ``postings`` find; ``progress`` gets the bytes read, piece by piece."""
        for output, text, mask in self._read(postings, progress):
            yield Candidate(output, self.labels[output.label], text, mask)

    def _read(
        self, walker: Walker, progress: Callable[[int], None] = lambda _bytes: None
    ) -> Iterator[tuple[Output, int, int]]:
        with self.path.open("rb", buffering=0) as file:
            data, held = bytearray(min(CHUNK, os.fstat(file.fileno()).st_size + 64)), 0
            while not self.state:
                if held == len(data):  # a frame that is larger than all there is room for
                    data.extend(bytes(held))
                with memoryview(data) as view:
                    read = file.readinto(view[held:])
                if not read:
                    self.state = self._interrupted(file)
                    continue
                progress(read)
                held += read
                with memoryview(data)[:held] as view:
                    at, found = self._walk(walker, view)
                self._check_end(file, held - at)
                known, output = -1, None
                for start, end, text, mask in found:
                    if output is None or start != known:
                        known, (output, _) = start, read_output(data, start, end)
                    yield output, text, mask
                data[: held - at] = data[at:held]
                held -= at

    def _walk(self, walker: Walker, view: memoryview) -> tuple[int, list[tuple[int, int, int, int]]]:
        """Take the complete frames in ``view``; return where the others begin, and what was found."""
        start = self._head(view) if self.begin is None else 0
        if start is None:
            return 0, []
        at, damaged, others, counts, found = walker.walk(view, start, len(self.labels))
        try:
            for payload in others:
                self._note(decode(payload))
        except Damaged:
            damaged = True
            found = []
        self.seen, self.searchable, self.attributable = (
            have + more for have, more in zip((self.seen, self.searchable, self.attributable), counts, strict=True)
        )
        if damaged:
            self.state = "damaged"
        return at, found

    def _head(self, view: memoryview) -> int | None:
        """Read whose file it is; return where the frames behind that begin, None if that is not there or wrong."""
        start = bytes(view)
        if not MAGIC.startswith(start[: len(MAGIC)]):
            self.state = "damaged"
            return None
        try:
            for at, end in payloads(start, len(MAGIC)):
                if version(start[at:end]) != VERSION:
                    self.state = "other version"
                    return None
                self._note(decode(start[at:end]))
                return None if self.state else end
        except Damaged:
            self.state = "damaged"
        return None

    def _check_end(self, file: FileIO, left: int) -> None:
        """See to it that nothing follows an end: ``left`` bytes that were read, or others in the file."""
        if self.state == "ended" and (left or file.read(1)):
            self.state = "damaged"

    def _note(self, frame: Frame) -> None:
        match frame:
            case Begin():
                self.begin = frame
                if frame.key != self._key_id:
                    self.state = "other key"
            case Label():
                if frame.number != len(self.labels):
                    raise Damaged("labels out of order")
                self.labels.append(frame)
            case Totals():
                self.totals = frame
            case End():
                self.state = "ended"

    def _interrupted(self, file: FileIO) -> str:
        """Tell a live file from one cut short; empty if more was written since it was read."""
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return "live"
        fcntl.flock(file, fcntl.LOCK_UN)
        return "" if os.fstat(file.fileno()).st_size > file.tell() else "cut short"


class _Everything:
    """Finds every output."""

    def walk(self, data: bytes | bytearray | memoryview, at: int, labels: int) -> Walked:
        """Go through the frames as ``scan_twin.Postings.walk`` does."""
        found: list[tuple[int, int, int, int]] = []

        def each(_data: bytes, at: int, output: Place) -> None:
            found.append((at, output.end, 0, 0))

        return (*visit(bytes(data), at, labels, each), found)
