"""Reads what is appended to the journals of a directory: each entry once, whoever writes and however files are renamed.

Files are known by their inode, so that a journal that was rotated, or set aside as damaged, is read on where it was
left. A line is read when it is complete. Where a file shrank, or another one stands under a name, entries that were
read are recognized by their time.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from guard.evidence.entry import EARLIEST, LATEST, LONGEST, MOST, NotAnEntry
from guard.evidence.journals import Chain, journals

CHUNK = 1024 * 1024
"""Bytes that are read at once; of a line up to ``entry.LONGEST``: a longer one is passed over."""
MISSED = 5
"""Looks for which a file that is not found is remembered: a rename may happen during one."""


class Line(msgspec.Struct, frozen=True):
    """One entry with its facts as they stand in the file."""

    seq: int
    time: float
    kind: str
    facts: msgspec.Raw


class Read(NamedTuple):
    """One entry, and whose it is."""

    instance: str
    line: Line


class _Place:
    """How far one file was read."""

    def __init__(self, offset: int, *, torn: bool, fresh: bool) -> None:
        self.offset = offset
        self.torn = torn
        """True if what stands at the offset is the rest of a line that is passed over."""
        self.fresh = fresh
        """True until its first entry was read, if that may be one that was read in another file."""
        self.doubted = False
        """True if entries of it may have been read before."""
        self.missed = 0


class _Last(NamedTuple):
    """The last entry that was read of a chain."""

    seq: int
    time: float


_decoder = msgspec.json.Decoder(Line)
_facts = msgspec.json.Decoder(dict[str, Any])


def line_of(raw: bytes) -> Line:
    """Return the entry in ``raw``, unverified; its facts can be decoded. Raises NotAnEntry."""
    try:
        line = _decoder.decode(raw)
        _facts.decode(line.facts)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnEntry(str(error)) from None
    if not 0 < line.seq < MOST or not EARLIEST <= line.time < LATEST:
        raise NotAnEntry(f"number {line.seq}, time {line.time}")
    return line


class Follower:
    """Follows the journals in ``directory``; of what is there at the first look only the last ``window`` bytes.

    Not for several threads.
    """

    def __init__(self, directory: Path, *, window: int) -> None:
        self._directory, self._window = directory, window
        self._places: dict[tuple[int, int], _Place] | None = None
        self._last: dict[str, _Last] = {}
        """By chain."""
        self._cut: set[str] = set()
        """Chains of which earlier entries were left out."""
        self._began: dict[str, float] = {}
        """By chain of which earlier entries were left out: the time of the first that was read."""
        self.unreadable = 0
        """Lines that were no entries."""

    def since(self, now: float) -> float | None:
        """Return from when on nothing was left out, as far as is known at ``now``; None: nothing was."""
        return max((self._began.get(chain, now) for chain in self._cut), default=None)

    def read(self, most: int) -> Iterator[list[Read]]:
        """Yield what is new, in the order of each chain, a chunk at a time; about ``most`` bytes in all.

        What cannot be read now is left for the next look.
        """
        found = []
        for chain in journals(self._directory):
            for path in chain.files:
                with suppress(OSError):
                    stat = path.stat()
                    found.append((chain, path, (stat.st_dev, stat.st_ino), stat.st_size))
        if self._places is None:
            self._places = self._begin(found)
        self._forget({inode for _, _, inode, _ in found})
        for chain, path, inode, size in found:
            place = self._places.get(inode)
            if place is None:
                place = self._places[inode] = _Place(0, torn=False, fresh=True)
            if size < place.offset:
                place.offset, place.torn, place.doubted = 0, False, True
            while place.offset < size and most > 0:
                data = self._chunk(path, inode, place)
                if not data:
                    break
                most -= len(data)
                yield [Read(chain.instance, line) for line in self._take(chain.name, place, data)]
            if most <= 0:
                return

    def _begin(self, found: Sequence[tuple[Chain, Path, tuple[int, int], int]]) -> dict[tuple[int, int], _Place]:
        """Return where to begin in files that are there already: each chain gets its part of the window."""
        sizes: dict[str, int] = {}
        for chain, _, _, size in found:
            sizes[chain.name] = sizes.get(chain.name, 0) + size
        left, parts = self._window, {}
        for done, (name, size) in enumerate(sorted(sizes.items(), key=lambda item: item[1])):
            parts[name] = min(size, left // (len(sizes) - done))
            left -= parts[name]
        places = {}
        for chain, _, inode, size in reversed(found):
            taken = min(size, parts[chain.name])
            parts[chain.name] -= taken
            if taken < size:
                self._cut.add(chain.name)
            # From the byte before on: where that ends a line, the next one is whole.
            offset = max(0, size - taken - 1) if taken else size
            places[inode] = _Place(offset, torn=0 < taken < size, fresh=False)
        return places

    def _forget(self, found: set[tuple[int, int]]) -> None:
        places = self._places or {}
        for inode in [inode for inode in places if inode not in found]:
            places[inode].missed += 1
            if places[inode].missed > MISSED:
                del places[inode]
        for inode in found & places.keys():
            places[inode].missed = 0

    def _chunk(self, path: Path, inode: tuple[int, int], place: _Place) -> bytes:
        """Return what stands at the place up to the end of a line; nothing while no line is complete."""
        try:
            with path.open("rb") as file:
                stat = os.fstat(file.fileno())
                if (stat.st_dev, stat.st_ino) != inode:
                    return b""  # renamed since: the next look finds both
                file.seek(place.offset)
                data = file.read(CHUNK)
                if b"\n" not in data and len(data) == CHUNK:
                    data += file.read(LONGEST - CHUNK)
        except OSError:
            return b""
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) == LONGEST:
            place.offset, place.torn = place.offset + len(data), True
            return data
        place.offset += end
        return data[:end]

    def _take(self, chain: str, place: _Place, data: bytes) -> Iterator[Line]:
        lines = data.split(b"\n")[:-1]
        if place.torn and lines:
            del lines[0]
            place.torn = False
        for raw in lines:
            try:
                line = line_of(raw)
            except NotAnEntry:
                self.unreadable += 1
                continue
            last = self._last.get(chain)
            if place.fresh:
                place.fresh, place.doubted = False, last is not None and line.seq <= last.seq
            if place.doubted and last is not None and (line.time, line.seq) <= (last.time, last.seq):
                continue
            place.doubted = False
            if chain in self._cut and chain not in self._began:
                self._began[chain] = line.time
            self._last[chain] = _Last(line.seq, line.time)
            yield line
