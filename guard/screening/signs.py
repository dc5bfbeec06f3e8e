"""Signs that a text may be disguised, all looked for at once: no sign means there is nothing to undo."""

import threading
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import hyperscan

from guard.screening import shapes
from guard.screening.recent import Recent


class Sign(IntEnum):
    """What a text may hide."""

    BASE64 = 0
    """Twelve digits of base64 that begin as text does."""
    SPACED = 1
    """Four letters that stand alone."""
    LEET = 2
    """Digits or signs between letters."""
    PERCENT = 3
    ENTITY = 4
    CODE_POINT = 5
    """A backslash before the number of a character."""
    ESCAPE = 6
    """A backslash before a letter, a quote, a slash or a backslash."""
    HEX_PAIRS = 7
    NO_SPACES = 8
    """Five words or more with other signs than blanks between them."""
    BACKWARDS = 9
    """The text says that it is reversed."""
    ROTATED = 10
    """The text says that it is rotated."""
    ENGLISH = 11
    """One of the commonest words of English as it is: no sign of a disguise."""
    REVERSED_WORD = 12
    """One of the commonest words of English, reversed."""
    ROTATED_WORD = 13
    HEX = 14
    """Twelve hexadecimal digits that begin as text does."""


COMMON = ("the", "to", "of", "and", "for", "you", "how", "with", "that", "what", "make")
"""Words so common that a text with none of them is hardly English; turned, none of them is a word."""
_OTHERS = ("in", "is", "my", "me", "it", "can", "are", "this")
_LETTERS, _MOVED = "abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm"
ROT13 = str.maketrans(_LETTERS + _LETTERS.upper(), _MOVED + _MOVED.upper())
_HEX = "[0-9A-Fa-f]"


def _words(*words: str) -> str:
    return rf"\b(?:{'|'.join(words)})\b"


_NAMED: dict[Sign, str] = {
    Sign.PERCENT: f"%{_HEX}{{2}}|%u{_HEX}{{4}}",
    Sign.ENTITY: "&(?:#[0-9xX]|[A-Za-z][A-Za-z0-9]{1,30};)",
    Sign.CODE_POINT: r"\\(?:[uUx][0-9A-Fa-f{]|[01][0-7]{2})",
    Sign.ESCAPE: r"\\[nrtbfv\x22'/\\]",
    Sign.HEX_PAIRS: f"(?:[2-7]{_HEX}[ ,:;]{{1,2}}(?:0x)?){{3}}[2-7]{_HEX}",
    Sign.BACKWARDS: "revers|backward|mirror",
    Sign.ROTATED: "rot.?13|caesar|cipher",
    Sign.ENGLISH: _words(*COMMON, *_OTHERS),
}
_TURNED: dict[Sign, str] = {
    Sign.REVERSED_WORD: _words(*(word[::-1] for word in COMMON)),
    Sign.ROTATED_WORD: _words(*(word.translate(ROT13) for word in COMMON)),
}
_LEET = "[013-9@$!|+]{1,2}"
_SHAPES: tuple[dict[Sign, str], ...] = (
    {
        Sign.SPACED: shapes.spaced(),
        Sign.LEET: f"[A-Za-z]{{2}}{_LEET}[A-Za-z]|[A-Za-z]{_LEET}[A-Za-z][A-Za-z013-9@$]",
    },
    {
        Sign.HEX: f"(?:^|[^0-9A-Za-z])(?:0x)?(?:[2-7c-fC-F]{_HEX}|0[9adAD]){_HEX}{{10}}",
        Sign.NO_SPACES: "[A-Za-z]{1,12}(?:[_+.,/|~=:;][A-Za-z]{1,12}){4}",
    },
    {Sign.BASE64: shapes.base64()},
)
_ANY_CASE = frozenset({Sign.BACKWARDS, Sign.ROTATED, Sign.ENGLISH, Sign.REVERSED_WORD, Sign.ROTATED_WORD})


class _Scanner(threading.local):
    """The patterns compiled, once per thread: scratch space is not shared. Some small machines beat a large one."""

    def __init__(self) -> None:
        self.named, self.turned, *self.shapes = map(_compiled, (_NAMED, _TURNED, *_SHAPES))


def _compiled(patterns: Mapping[Sign, str]) -> Any:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    once, any_case = hyperscan.HS_FLAG_SINGLEMATCH, hyperscan.HS_FLAG_CASELESS
    database.compile(
        expressions=[pattern.encode() for pattern in patterns.values()],
        ids=[int(sign) for sign in patterns],
        elements=len(patterns),
        flags=[once | (any_case if sign in _ANY_CASE else 0) for sign in patterns],
    )
    return database.scan


_SCANNER = _Scanner()
_ENGLISH = int(Sign.ENGLISH)


try:
    from guard.screening._kernel import innocent
except ImportError:  # an install needs no compiler

    def innocent(text: str, /) -> bool:
        """Return whether ``text`` has no sign for sure: nothing is."""
        return not text


def signs(text: str) -> tuple[int, ...]:
    """Return the signs of a disguise that ``text`` has; of most texts none.

    Compiled and not may differ in a sign of which nothing comes (``decode.variants``). A common word that is turned
    counts only where none stands as it is.
    """
    return () if innocent(text) else _found(text)


def searched(text: str) -> tuple[int, ...]:
    """Return the signs in ``text``: what is found where nothing is known for sure."""
    octets = text.encode("utf-8", "surrogatepass")
    found = _hints(octets)
    for scan in _SCANNER.shapes:
        scan(octets, match_event_handler=_note, context=found)
    return tuple(found)


_found = Recent(searched)


def _hints(octets: bytes) -> list[int]:
    found: list[int] = []
    _SCANNER.named(octets, match_event_handler=_note, context=found)
    if _ENGLISH in found:
        found.remove(_ENGLISH)
    else:
        _SCANNER.turned(octets, match_event_handler=_note, context=found)
    return found


def _note(sign: int, _start: int, _end: int, _flags: int, found: Any) -> None:
    found.append(sign)
