"""Text as provenance sees it: a sequence of words, in which markup, white space, case and width do not exist.

NFKC, case-folded, letters and digits only; everything else separates words. Letters of scripts that are written without
spaces (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar) are a word each, so a run of words is a run of text there as
well. Reformatting (Markdown, line breaks, quotes, punctuation) therefore changes nothing; changing a word does.
"""

import re
from collections.abc import Iterable, Sequence
from unicodedata import normalize

_UNSPACED = (
    "\u0e01-\u0e2e\u0e81-\u0eae\u1000-\u102a\u1780-\u17b3"  # Thai, Lao, Myanmar, Khmer
    "\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Kana, Han
)
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")
_ASCII = bytes(ord(chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else 32 for byte in range(256))


def words(text: str) -> list[bytes]:
    """Return the words of ``text`` in order, as UTF-8."""
    if text.isascii():
        return text.encode().translate(_ASCII).split()
    return " ".join(_WORD.findall(normalize("NFKC", text).casefold())).encode().split()


def words_of(texts: str | Iterable[str]) -> list[bytes]:
    """Return the words of one text or of several, one after the other."""
    if isinstance(texts, str):
        return words(texts)
    every: list[bytes] = []
    for text in texts:
        every += words(text)
    return every


def joined(parts: Sequence[list[bytes]]) -> list[bytes]:
    """Return the words of several texts as one sequence."""
    return parts[0] if len(parts) == 1 else [word for part in parts for word in part]
