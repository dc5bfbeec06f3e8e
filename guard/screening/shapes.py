"""What base64 and letters that stand alone look like, as expressions for Hyperscan.

They match all that is worth undoing and little else: program code is full of long names and of lone letters.
"""

import re
import string
from collections.abc import Iterable

_ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
_WRITTEN = {"+": "+-", "/": "/_"}
"""As they are in the alphabet for URLs (RFC 4648, 5), too."""
_DIGIT = "[A-Za-z0-9+/_-]"
_NO_FIRST = {0, 1, *range(4, 8), *range(32, 48), 62, 63}
"""Digits of a first octet that is a control character, or none that begins a character."""

Octets = tuple[int, int]
"""From the first to before the second."""
_ASCII, _TWO, _THREE, _FOUR, _MORE = (0x00, 0x80), (0xC2, 0xE0), (0xE0, 0xF0), (0xF0, 0xF5), (0x80, 0xC0)
_ANY, _NUL = (0x00, 0x100), (0x00, 0x01)
_UTF8: tuple[tuple[tuple[Octets, int], ...], ...] = (
    ((_ASCII, 0), (_TWO, 1), (_THREE, 2), (_FOUR, 3)),
    ((_MORE, 0),),
    ((_MORE, 1),),
    ((_MORE, 2),),
)
"""By how many octets a character still lacks: which may follow, and how many it lacks then."""


def base64() -> str:
    """Return what matches the first twelve digits of text in base64: nine octets of UTF-8, or of UTF-16 in Latin."""
    wide = _digits((_ANY, _NUL, _ANY), first=True) + f"{_DIGIT}{{8}}"
    return f"(?:^|[^A-Za-z0-9+/_-])(?:{_utf8(0, 3, first=True)}|{wide})"


def spaced() -> str:
    """Return what matches four letters that stand alone, digits among them, with blanks or one or two signs between."""
    blank, alone = r"[ \t]", "[A-Za-z0-9]"
    gap = rf"(?:{blank}{{0,2}}[!-/:-@\x5b-\x60{{-~]{{1,2}}{blank}{{0,2}}|{blank}{{1,8}})"
    last = rf"(?:{gap}|[ \t\n]{{1,3}})"
    first = f"(?:[A-Za-z]{gap}{alone}|[0-9]{gap}[A-Za-z])"
    return f"(?:^|[^A-Za-z0-9]){first}{gap}{alone}{last}{alone}(?:[^A-Za-z0-9]|$)"


def _utf8(lacking: int, groups: int, *, first: bool = False) -> str:
    """Return what matches the digits of three octets of UTF-8, ``groups`` times."""
    if not groups:
        return ""
    shapes: dict[int, list[str]] = {}
    for one, then in _UTF8[lacking]:
        for two, after in _UTF8[then]:
            for three, left in _UTF8[after]:
                shapes.setdefault(left, []).append(_digits((one, two, three), first=first))
    rests = (f"(?:{'|'.join(each)}){_utf8(left, groups - 1)}" for left, each in shapes.items())
    return f"(?:{'|'.join(rests)})"


def _digits(octets: Iterable[Octets], *, first: bool) -> str:
    """Return what matches the four digits of three octets; ``first``: they begin a text."""
    one, two, three = (range(*bounds) for bounds in octets)
    places = (
        {octet >> 2 for octet in one} - (_NO_FIRST if first else set()),
        {(octet & 3) << 4 | after >> 4 for octet in one for after in two},
        {(octet & 15) << 2 | after >> 6 for octet in two for after in three},
        {octet & 63 for octet in three},
    )
    written = ("".join(_WRITTEN.get(_ALPHABET[place], _ALPHABET[place]) for place in sorted(each)) for each in places)
    return "".join(f"[{re.escape(digits)}]" for digits in written)
