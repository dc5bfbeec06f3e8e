"""What proves, without a search, that no pattern matches: how its matches begin, or what each of them holds.

Octets stand for the characters of a folded text: those of ASCII for themselves, two more for all others.
"""

from collections.abc import Iterable
from functools import lru_cache

from guard.screening.normalize import is_word
from guard.screening.patterns import Pattern
from guard.screening.positions import Letters, Positions, bits

PLACES, OCTETS = 6, 130
"""As in ``_words.h``."""
_ALL = b"\x01" * OCTETS
_WORDY = bytes(point < 128 and is_word(chr(point)) for point in range(OCTETS))
_PROSE = bytes(chr(point).isalpha() or point == 0x20 for point in range(OCTETS))


def gates(patterns: Iterable[Pattern]) -> tuple[list[bytes], bytes]:
    """Return how the ``patterns`` begin that begin with a word of ASCII, and what all others need one character of.

    Octets are not 0 where a character may stand: OCTETS for each of the first PLACES characters of a match.
    """
    starts, tells = [], bytes(OCTETS)
    for pattern in patterns:
        start = _start(pattern.positions)
        if start is not None:
            starts.append(start)
        else:
            tells = _either(tells, _told(pattern.positions))
    return sorted(starts), tells


def _start(positions: Positions) -> bytes | None:
    """Return what may stand where a match begins; None: it need not begin with a word."""
    if not positions.left or any(
        allowed and not word for allowed, word in zip(_allowed(positions, positions.first), _WORDY, strict=True)
    ):
        return None
    rows, reached = list[bytes](), positions.first
    for _ in range(PLACES):
        rows.append(b"\0" + _allowed(positions, reached)[1:])
        if reached & positions.last:
            break
        following = 0
        for position in bits(reached):
            following |= positions.follow[position]
        reached = following
    return b"".join(rows + [_ALL] * (PLACES - len(rows)))


def _told(positions: Positions) -> bytes:
    """Return the octets of which every match holds one, neither letters nor blanks if there are such; else all."""
    found = _ALL
    for letters in dict.fromkeys(positions.letters):
        row = _octets(letters)
        if any(map(int.__and__, row, _PROSE)) or sum(row) >= sum(found):
            continue
        if not positions.passable(sum(1 << at for at, here in enumerate(positions.letters) if here == letters)):
            found = row
    return found


def _allowed(positions: Positions, places: int) -> bytes:
    row = bytes(OCTETS)
    for position in bits(places):
        row = _either(row, _octets(positions.letters[position]))
    return row


def _either(one: bytes, two: bytes) -> bytes:
    return bytes(map(int.__or__, one, two))


@lru_cache(maxsize=1024)
def _octets(letters: Letters) -> bytes:
    """Return which octets may be one of ``letters``."""
    wide = letters.negated or letters.ranges or letters.categories or not "".join(letters.characters).isascii()
    return bytes(letters.hold(chr(point)) for point in range(128)) + (b"\x01\x01" if wide else b"\0\0")
