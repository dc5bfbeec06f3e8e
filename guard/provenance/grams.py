"""Which of the two forms of reading, cutting and sealing there is: the compiled one, or its twin in Python."""

from typing import Any, Protocol
from unicodedata import normalize

from guard.provenance import grams_twin
from guard.provenance.grams_twin import Looked


class Grams(Protocol):
    """Cuts texts into grams with one key: see ``grams_twin.Grams``."""

    def echo(self, words: bytes, code: bytes) -> Any:
        """Return what ``take`` of the same form needs to know of a prompt."""

    def take(self, words: bytes, code: bytes, echo: Any) -> tuple[bytes, int, int, tuple[int, int, int], bool]:
        """Return what ``guard.provenance.fingerprint.Fingerprints`` holds of a text."""

    def look(self, pairs: list[tuple[str, str] | None], month: bytes | None) -> list[Looked | None]:
        """Return what each pair of a prompt and its answer leaves behind; see ``grams_twin.Grams.look``."""


try:
    from guard.provenance import _grams
except ImportError:  # an install needs no compiler
    read, count, cut, seal = grams_twin.read, grams_twin.count, grams_twin.cut, grams_twin.seal

    def grams(key: bytes) -> Grams:
        """Return what cuts texts into grams with ``key``; raises ValueError if it has not 1 to 64 bytes."""
        return grams_twin.Grams(key)
else:
    count, cut, seal = _grams.count, _grams.cut, _grams.seal

    def read(text: str) -> tuple[bytes, bytes]:
        """Return the words of a text and the tokens of its code."""
        found = _grams.read(text, grams_twin.page, False)
        if found is None:
            found = _grams.read(normalize("NFKC", text), grams_twin.page, True)
            assert found is not None, "a normalized text is read"
        return found

    def grams(key: bytes) -> Grams:
        """Return what cuts texts into grams with ``key``; raises ValueError if it has not 1 to 64 bytes."""
        return _grams.Grams(key)
