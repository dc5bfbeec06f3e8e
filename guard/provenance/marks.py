"""What the texts of a batch can be recognized by with one master key: fingerprints and digests, in flat arrays.

The fingerprints, most of it by far, are read once a month and in order, so they lie in a temporary file: one without a
name, which ends with the process. They tell less than the data set does, which lies on the same machine.
"""

import errno
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import IO

from guard.provenance.exclusion import NOTHING, Excluded
from guard.provenance.fingerprint import Fingerprinter, seal
from guard.provenance.receipt import DIGEST_SIZE, Receipts

GRAM = 8
"""Bytes of a fingerprint before it is sealed."""
LANES = 3
BLOCK = 1 << 20
"""Bytes of fingerprints that are written, or read and sealed, at once."""


class Key:
    """What makes digests and fingerprints with one master key, and what of them tells nothing of an output.

    Raises ValueError for a key that is not 16 to 64 bytes long.
    """

    def __init__(self, master: bytes, excluded: Excluded = NOTHING) -> None:
        self.master, self.excluded = master, excluded
        self.receipts, self.fingerprinter = Receipts(master), Fingerprinter(master)


class Marks:
    """The marks of texts 0, 1, 2 ... with one key."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.texts = 0
        """Texts that were taken."""
        self.size = 0
        """Fingerprints of all texts."""
        self._lanes, self._digests = bytearray(), bytearray()
        self._starts = array("I", (0,))
        self._file: IO[bytes] | None = None
        self._latest = bytearray()
        """Fingerprints that are not in the file yet."""

    def add(self, digest: bytes, grams: bytes = b"", lanes: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Take the marks of the next text; ``digest`` has 16 bytes. Raises OSError if the temporary file fails."""
        self._digests += digest
        self._lanes += bytes(lanes)
        self._latest += grams
        self.size += len(grams) // GRAM
        self._starts.append(self.size)
        self.texts += 1
        if len(self._latest) >= BLOCK:
            self._write()

    def sealed(self, month_key: bytes) -> Iterator[bytes]:
        """Yield the keys of every text for the month of ``month_key``. Raises OSError if the temporary file fails."""
        blocks = self._blocks()
        keys, at = b"", 0
        for start, end in pairwise(self._starts):
            size = GRAM * (end - start)
            while len(keys) - at < size:
                keys, at = keys[at:] + seal(month_key, next(blocks)), 0
            yield keys[at : at + size]
            at += size

    def lanes(self, text: int) -> tuple[int, int, int]:
        """Return how many fingerprints a text has in each lane."""
        words, characters, code = self._lanes[LANES * text : LANES * (text + 1)]
        return words, characters, code

    def digest(self, text: int) -> bytes:
        """Return the digest of a text, or what stands in its place."""
        return bytes(self._digests[DIGEST_SIZE * text : DIGEST_SIZE * (text + 1)])

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="guard-grams-", buffering=0)  # noqa: SIM115 - closed with this object
            weakref.finalize(self, self._file.close)
        left = memoryview(self._latest)
        while left:
            left = left[self._file.write(left) :]
        self._latest = bytearray()

    def _blocks(self) -> Iterator[bytes]:
        """Yield all fingerprints, in order."""
        at, end = 0, GRAM * self.size - len(self._latest)
        while self._file is not None and at < end:
            block = os.pread(self._file.fileno(), min(BLOCK, end - at), at)
            block = block[: len(block) // GRAM * GRAM]
            if not block:
                raise OSError(errno.EIO, "a temporary file is shorter than what was written")
            yield block
            at += len(block)
        yield bytes(self._latest)
