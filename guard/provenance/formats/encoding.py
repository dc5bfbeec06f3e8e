"""The text in a value of bytes, as some writers of Parquet store it: UTF-8, also damaged, or UTF-16."""

import codecs

from guard.provenance.fingerprint import RUN
from guard.provenance.record import UNSEEN, Unseen

MOST_BAD = 0.25
"""Share of characters that no text has, above which bytes are no text. In bytes at random it is over a half."""
SAMPLE = 2048
"""Bytes at the beginning, in the middle and at the end of a value by which most that is no text is told."""
_SHORTEST = 2 * RUN - 1
"""Bytes that can hold words enough to be told by."""
_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NO_TEXT = dict.fromkeys([*range(9), *range(14, 32), 0x7F, 0xFFFD])


def text_of(value: bytes) -> str | Unseen | None:
    """Return the text that bytes are, with U+FFFD for what is damaged.

    UNSEEN for what is no text, such as an image; None for what is no text and too short to hold any.
    """
    if (wide := _wide(value)) is not None:
        return wide
    try:
        return value.decode()
    except UnicodeDecodeError:
        pass
    # Images are many and large; all of one is looked at only where some of it looks like text.
    places = (0, len(value) // 2, max(0, len(value) - SAMPLE))
    if any(_sound(value[at : at + SAMPLE].decode(errors="replace")) for at in places):
        text = value.decode(errors="replace")
        if _sound(text):
            return text
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = value.decode(encoding)
        except UnicodeDecodeError:
            continue
        if all(character.isprintable() or character.isspace() for character in text):
            return text
    return UNSEEN if len(value) >= _SHORTEST else None


def _wide(value: bytes) -> str | None:
    """Return UTF-16 or UTF-32 with a byte order mark, or UTF-16 of letters that are mostly Latin; None for the rest."""
    for mark, encoding in _MARKS:
        if value.startswith(mark):
            text = value.decode(encoding, "replace")
            return text if _sound(text) else None
    if b"\0" not in value:
        return None
    half = len(value) // 2
    first, second = value[::2].count(0), value[1::2].count(0)
    if second > half // 2 and first < half // 8:
        return value.decode("utf-16-le", "replace")
    if first > half // 2 and second < half // 8:
        return value.decode("utf-16-be", "replace")
    return None


def _sound(text: str) -> bool:
    return len(text.translate(_NO_TEXT)) >= (1 - MOST_BAD) * len(text)
