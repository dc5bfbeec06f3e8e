"""A segment: the file one run of one gateway writes its fingerprints of one month to. Append-only, never reopened.

``GUARDSEG``, then frames: length and CRC-32 of the payload (little-endian, 4 bytes each), payload (MessagePack). The
first frame says whose file it is and with which key it was made; a ``Label`` names a model and its licenses before the
first ``Output`` that refers to it; ``Totals`` counts what the file should hold; ``End`` closes it. A file without
``End`` whose writer is gone was cut short by a crash: a torn last frame is skipped, and the missing end is a gap in
coverage. The writer holds a lock, which is how a reader tells a crash from a file still being written.
"""

import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import Struct as Layout
from typing import BinaryIO
from zlib import crc32

import msgspec

from guard.provenance.fingerprint import SIZE
from guard.provenance.layout import SEGMENT_SUFFIX, month_of
from guard.provenance.receipt import DIGEST_SIZE

MAGIC = b"GUARDSEG"
VERSION = 1
LARGEST = 64 * 1024 * 1024
"""Bytes of a payload; a longer one is damage."""
ATTRIBUTABLE, ECHOED, FINGERPRINTED = 1, 2, 4
_HEADER = Layout("<II")


class Begin(msgspec.Struct, array_like=True, tag="begin", frozen=True):
    """Whose file this is. ``key`` tells keys apart without telling anything about them."""

    version: int
    instance: str
    key: bytes
    time: float


class Label(msgspec.Struct, array_like=True, tag="label", frozen=True):
    """The served name of a model and the ids of its licenses, by the number outputs refer to."""

    number: int
    model: str
    licenses: tuple[str, ...]


class Output(msgspec.Struct, array_like=True, tag="output", frozen=True):
    """One answered choice: no text, only what recognizes it."""

    receipt: str
    time: float
    label: int
    flags: int
    """``ATTRIBUTABLE``, ``ECHOED`` (most of it stands in the prompt), ``FINGERPRINTED``."""
    digests: bytes
    """16 bytes for each released text of the choice, and for all of them in one if there are several."""
    values: bytes
    """8 bytes per fingerprint."""

    def each_digest(self) -> list[bytes]:
        """Return the digests one by one."""
        return [self.digests[at : at + DIGEST_SIZE] for at in range(0, len(self.digests), DIGEST_SIZE)]


class Totals(msgspec.Struct, array_like=True, tag="totals", frozen=True):
    """Choices since the file began. Those answered but neither written nor dropped were still waiting."""

    answered: int
    written: int
    dropped: int


class End(msgspec.Struct, array_like=True, tag="end", frozen=True):
    """Nothing follows."""

    time: float


Frame = Begin | Label | Output | Totals | End
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


class SegmentWriter:
    """Writes one segment; frames reach the file with ``write``. Every method but ``add`` may raise OSError."""

    def __init__(self, directory: Path, instance: str, key: bytes, now: float) -> None:
        self.month = month_of(now)
        self._labels: dict[tuple[str, tuple[str, ...]], int] = {}
        self._frames: list[bytes] = []
        self._file, self.path = _create(directory / self.month, instance, now)
        self._frames.append(MAGIC)
        self.add(Begin(VERSION, instance, key, now))
        try:
            self.write()
        except OSError:
            self.abandon()
            raise

    def label(self, model: str, licenses: tuple[str, ...]) -> int:
        """Return the number of a label, adding its frame the first time."""
        number = self._labels.get((model, licenses))
        if number is None:
            number = self._labels[model, licenses] = len(self._labels)
            self.add(Label(number, model, licenses))
        return number

    def add(self, frame: Frame) -> None:
        """Take a frame to be written."""
        payload = _encoder.encode(frame)
        self._frames.append(_HEADER.pack(len(payload), crc32(payload)) + payload)

    def write(self) -> None:
        """Write what was taken. After OSError the file is of no more use: abandon it."""
        data = memoryview(b"".join(self._frames))
        self._frames.clear()
        while data:
            data = data[os.write(self._file, data) :]

    def end(self, now: float) -> None:
        """Close the file as complete."""
        self.add(End(now))
        self.write()
        os.fsync(self._file)
        self.abandon()

    def abandon(self) -> None:
        """Close the file as it is: without an end it counts as cut short."""
        os.close(self._file)


def _create(directory: Path, instance: str, now: float) -> tuple[int, Path]:
    """Return a new, locked file. It gets its name when it is locked, so no reader takes it for one of a dead writer."""
    directory.mkdir(parents=True, exist_ok=True)
    moment = datetime.fromtimestamp(now, UTC)
    while (path := directory / f"{instance}.{moment:%Y%m%dT%H%M%S.%fZ}{SEGMENT_SUFFIX}").exists():
        moment += timedelta(microseconds=1)
    unnamed = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(unnamed, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    unnamed.rename(path)
    return file, path


class SegmentReader:
    """Iterates over the outputs of one segment; afterwards its other attributes tell how complete it is."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self.labels: dict[int, Label] = {}
        self.seen = 0
        """Outputs read."""
        self.searchable = 0
        """Of these, outputs that were fingerprinted."""
        self.attributable = 0
        """Of these, outputs whose fingerprints say who wrote them."""
        self.totals = Totals(0, 0, 0)
        self.state = ""
        """``ended``, ``live``, ``cut short``, ``damaged`` or ``other key``; empty before iteration."""
        self._key = key

    def __iter__(self) -> Iterator[Output]:
        with self.path.open("rb", buffering=1 << 18) as file:
            if file.read(len(MAGIC)) != MAGIC:
                self.state = "damaged"
                return
            while not self.state:
                good = file.tell()
                yield from self._frames(file)
                if not self.state:
                    self.state = self._interrupted(file, good)

    def _frames(self, file: BinaryIO) -> Iterator[Output]:
        """Yield outputs up to the end of the file; leave it before the first incomplete frame, ``state`` empty."""
        while True:
            header = file.read(_HEADER.size)
            length, checksum = _HEADER.unpack(header) if len(header) == _HEADER.size else (0, 0)
            if length > LARGEST:
                self.state = "damaged"
                return
            payload = file.read(length)
            if not length or len(payload) < length:
                file.seek(-len(header) - len(payload), os.SEEK_CUR)
                return
            frame = self._decode(payload, checksum)
            if isinstance(frame, Output):
                self.seen += 1
                self.searchable += bool(frame.flags & FINGERPRINTED)
                self.attributable += bool(frame.flags & ATTRIBUTABLE)
                yield frame
            elif frame is not None:
                self._note(frame)
            if self.state:
                return

    def _decode(self, payload: bytes, checksum: int) -> Frame | None:
        try:
            frame: Frame | None = _decoder.decode(payload) if crc32(payload) == checksum else None
        except msgspec.MsgspecError:
            frame = None
        if isinstance(frame, Output) and (
            frame.label not in self.labels or len(frame.values) % SIZE or len(frame.digests) % DIGEST_SIZE
        ):
            frame = None
        if frame is None:
            self.state = "damaged"
        return frame

    def _note(self, frame: Frame) -> None:
        if isinstance(frame, Label):
            self.labels[frame.number] = frame
        elif isinstance(frame, Totals):
            self.totals = frame
        elif isinstance(frame, End):
            self.state = "ended"
        elif isinstance(frame, Begin) and (frame.key != self._key or frame.version != VERSION):
            self.state = "other key" if frame.version == VERSION else "damaged"

    def _interrupted(self, file: BinaryIO, read_from: int) -> str:
        """Tell a live file from one cut short; empty if more was written since it was read."""
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return "live"
        fcntl.flock(file, fcntl.LOCK_UN)
        here = file.tell()
        return "" if os.fstat(file.fileno()).st_size > here > read_from else "cut short"
