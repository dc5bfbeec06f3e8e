"""What the texts of a batch can be recognized by with one master key: fingerprints and digests, in flat arrays."""

from array import array

from guard.provenance.exclusion import NOTHING, Excluded
from guard.provenance.fingerprint import Fingerprinter
from guard.provenance.receipt import DIGEST_SIZE, Receipts

GRAM = 8
"""Bytes of a fingerprint before it is sealed."""
LANES = 3


class Key:
    """What makes digests and fingerprints with one master key, and what of them tells nothing of an output.

    Raises ValueError for a key that is not 16 to 64 bytes long.
    """

    def __init__(self, master: bytes, excluded: Excluded = NOTHING) -> None:
        self.master, self.excluded = master, excluded
        self.receipts, self.fingerprinter = Receipts(master), Fingerprinter(master)


class Marks:
    """The marks of texts 0, 1, 2 ... with one key."""

    __slots__ = ("_digests", "_grams", "_lanes", "_starts", "key")

    def __init__(self, key: Key) -> None:
        self.key = key
        self._grams, self._lanes, self._digests = bytearray(), bytearray(), bytearray()
        self._starts = array("I", (0,))

    @property
    def texts(self) -> int:
        """Texts that were taken."""
        return len(self._starts) - 1

    @property
    def size(self) -> int:
        """Fingerprints of all texts."""
        return self._starts[-1]

    def add(self, digest: bytes, grams: bytes = b"", lanes: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Take the marks of the next text; ``digest`` has 16 bytes."""
        self._digests += digest
        self._lanes += bytes(lanes)
        self._grams += grams
        self._starts.append(len(self._grams) // GRAM)

    def grams(self, text: int) -> bytes:
        """Return the fingerprints of a text."""
        return bytes(self._grams[GRAM * self._starts[text] : GRAM * self._starts[text + 1]])

    def lanes(self, text: int) -> tuple[int, int, int]:
        """Return how many fingerprints a text has in each lane."""
        words, characters, code = self._lanes[LANES * text : LANES * (text + 1)]
        return words, characters, code

    def digest(self, text: int) -> bytes:
        """Return the digest of a text, or what stands in its place."""
        return bytes(self._digests[DIGEST_SIZE * text : DIGEST_SIZE * (text + 1)])
