"""License texts: what identifies one, wherever it stands and however it is set."""

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from guard.licensing.license import License, LicenseFile

_WORD = re.compile(r"[^\W_]+")


class TextDigests(NamedTuple):
    """What a license file is compared by, both hexadecimal."""

    sha256: str
    """Of its bytes."""
    words: str
    """Of its words."""


def words_digest(text: str) -> str:
    """Return the SHA-256 of the words of ``text``, in hex: letters and digits, case folded, joined by single spaces.

    Copies of one text differ in line breaks, quotation marks and bullets; those do not change what it says.
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return sha256(" ".join(words).encode()).hexdigest()


def digests(content: bytes) -> TextDigests:
    """Return the digests of a license file's ``content``; bytes that are not UTF-8 count as unknown characters."""
    return TextDigests(sha256(content).hexdigest(), words_digest(content.decode(errors="replace")))


def matches(file: LicenseFile, found: TextDigests) -> bool:
    """Return True if ``found`` is the text of ``file``, by its bytes or by its words."""
    return found.sha256 == file.sha256 or found.words == file.words_sha256


def licenses_with_text(licenses: Iterable[License], found: TextDigests) -> list[str]:
    """Return the ids of the ``licenses`` one of whose files is the text that was ``found``."""
    return [license_.id for license_ in licenses if any(matches(file, found) for file in license_.files)]
