"""Signs that a text may be disguised, all looked for at once: no sign means there is nothing to undo."""

import threading
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import hyperscan


class Sign(IntEnum):
    """What a text may hide."""

    LONG_WORD = 0
    """A capital within a word, or digits among letters: base64 or hexadecimal digits look so."""
    SPACED = 1
    """Letters that stand alone."""
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


COMMON = ("the", "to", "of", "and", "for", "you", "how", "with", "that", "what", "make")
"""Words so common that a text with none of them is hardly English; turned, none of them is a word."""
_OTHERS = ("in", "is", "my", "me", "it", "can", "are", "this")
_LETTERS, _MOVED = "abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm"
ROT13 = str.maketrans(_LETTERS + _LETTERS.upper(), _MOVED + _MOVED.upper())
_HEX = "[0-9A-Fa-f]"
_APART = r"[\t -/:-@\x5b-\x60{-~]"


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
    Sign.REVERSED_WORD: _words(*(word[::-1] for word in COMMON)),
    Sign.ROTATED_WORD: _words(*(word.translate(ROT13) for word in COMMON)),
}
_SHAPES: dict[Sign, str] = {
    Sign.LONG_WORD: "[a-z0-9][A-Z][A-Za-z0-9+/_-]{3}|[0-9][a-f][0-9]|[a-f][0-9][a-f]|[0-9]{12}",
    Sign.SPACED: rf"{_APART}[A-Za-z0-9](?:{_APART}{{1,4}}[A-Za-z0-9]){{2}}{_APART}",
    Sign.LEET: r"[A-Za-z][013-9@$!|+]{1,2}[A-Za-z]",
    Sign.NO_SPACES: "[A-Za-z]{1,12}(?:[_+.,/|~=:;][A-Za-z]{1,12}){4}",
}
_ANY_CASE = frozenset({Sign.BACKWARDS, Sign.ROTATED, Sign.ENGLISH, Sign.REVERSED_WORD, Sign.ROTATED_WORD})


class _Scanner(threading.local):
    """The patterns compiled, once per thread: scratch space is not shared. Two machines of one kind each are faster."""

    def __init__(self) -> None:
        self.named, self.shapes = _compiled(_NAMED), _compiled(_SHAPES)


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
_ENGLISH, _TURNED = int(Sign.ENGLISH), frozenset({int(Sign.REVERSED_WORD), int(Sign.ROTATED_WORD)})


def signs(text: str) -> list[int]:
    """Return the signs of a disguise that ``text`` has; of most texts none.

    A common word that is turned counts only where none stands as it is.
    """
    octets = text.encode("utf-8", "surrogatepass")
    found = _hints(octets)
    _SCANNER.shapes(octets, match_event_handler=_note, context=found)
    return found


def hints(text: str) -> list[int]:
    """Return those of ``signs`` that are in words or marks: for who has looked for the shapes already."""
    return _hints(text.encode("utf-8", "surrogatepass"))


def _hints(octets: bytes) -> list[int]:
    found: list[int] = []
    _SCANNER.named(octets, match_event_handler=_note, context=found)
    if _ENGLISH in found:
        return [sign for sign in found if sign != _ENGLISH and sign not in _TURNED]
    return found


def _note(sign: int, _start: int, _end: int, _flags: int, found: Any) -> None:
    found.append(sign)
