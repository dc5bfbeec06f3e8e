"""A text as its reader is meant to take it, for checks that score wording instead of looking words up."""

import re
from collections.abc import Collection

from guard.screening.decode import decoded
from guard.screening.normalize import fold, folded
from guard.screening.signs import Sign, signs
from guard.screening.spelling import backwards, english, respelled, rotated, spaced_out

_MOST_ROUNDS = 6
_LEET_LETTERS = str.maketrans("013456789@$!|+", "oieasgtbgasiit")
_DIGITS = "[013456789@$!|+]"
_TOKEN = re.compile(rf"(?<![\w@$.])(?=[a-z]*{_DIGITS})[a-z013456789@$!|+]{{2,20}}(?![\w@$]|\.\w)")
"""A folded word with digits or signs in it, on its own: no part of an address, a path or a number."""
_MIXED = re.compile(rf"[a-z]{_DIGITS}{{1,2}}[a-z]|^[013457@$][013457@$]?[a-z]{{2}}")
_SHORT = re.compile(r"(?<![\w.,])[0-9@$]{1,2}(?![\w.,%]|[ ]?[-+*/=])")
_IGNORED = frozenset({Sign.NO_SPACES})
"""Scored are words, whatever stands between them."""
_DIGITS_OF_TEXT = frozenset({Sign.BASE64, Sign.HEX})
_LONG = 20
"""Characters of encoded text that are worth a look: some three words."""
_ENCODED = re.compile(r"(?=[A-Za-z]*[0-9])(?=[A-Z0-9]*[a-z])(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{20}|[0-9A-Fa-f]{20}")
_DENSE = {
    Sign.SPACED: re.compile(r"(?<![^\W_])[^\W_](?=[\W_]{1,4}[^\W_](?![^\W_]))"),
    Sign.LEET: re.compile(r"[013-9@$!|+](?<=[A-Za-z].)[013-9@$!|+]?[A-Za-z]"),
}
_PART, _DENSITY = 512, 32
_FEW, _MANY = 0.15, 0.3
"""Shares of a text's words: from the first on those in leetspeak are undone, from the second on also what might be."""


def plain(text: str) -> str | None:
    """Return ``text`` folded, with what is encoded in it put in its place and tricks of spelling undone.

    Undone are percent-encoding, entities, escapes, hexadecimal digits and base64, letters that are spaced out,
    leetspeak where much of the text is in it, and text that is reversed or rotated by 13. None if nothing of that is
    there: the text folded says it all. ``plain(plain(text))`` is None or the same. Raises TooManyMatches where more
    than MOST_RUNS runs would have to be replaced at once.
    """
    given = _counted(text)
    if not given:
        return None
    said = text
    for _ in range(_MOST_ROUNDS):
        before, said = said, _undone(said, given)
        if said == before:
            said = fold(said)  # without invisible characters there may be more to see
            if said == before:
                break
        given = _counted(said)
    found = fold(said)
    return found if found != folded(text) else None


def _counted(text: str) -> list[int]:
    """Return the signs in ``text`` that are worth what undoing costs; program code is full of the others.

    Simple escapes count where it looks like JSON, a long word if it is long enough to hide a few others, letters apart
    and digits for letters where a fair share of the text is such.
    """
    given = list(signs(text))
    if given:
        json = text.lstrip()[:1] in {"{", "[", '"'}
        given = [
            sign
            for sign in given
            if sign not in _IGNORED
            and (json or sign != Sign.ESCAPE)
            and (sign not in _DIGITS_OF_TEXT or _encoded(text))
            and (sign not in _DENSE or _dense(text, _DENSE[Sign(sign)]))
        ]
    return given


def _encoded(text: str) -> bool:
    """Return whether some word of ``text`` may be base64 or hexadecimal digits."""
    return any(len(word) >= _LONG and _ENCODED.search(word) is not None for word in text.split())


def _dense(text: str, shape: re.Pattern[str]) -> bool:
    """Return whether one in DENSITY characters, or more, of some part of ``text`` begins what has that ``shape``."""
    return any(
        len(shape.findall(text, begin, begin + _PART)) * _DENSITY >= min(_PART, len(text) - begin)
        for begin in range(0, len(text), _PART)
    )


def _undone(text: str, given: Collection[int]) -> str:
    """Return ``text`` with one round of everything undone."""
    inner = decoded(text, None, given)
    if inner is not None:
        return inner.text
    if Sign.SPACED in given:
        text = spaced_out(text)
    if Sign.LEET in given:
        text = _without_leet(text)
    return _straight(text, given)


def _without_leet(text: str) -> str:
    folded = fold(text)
    words = [word for word in _TOKEN.findall(folded) if _MIXED.search(word)]
    share = len(words) / (folded.count(" ") + 1)
    if share < _FEW:
        return text
    if share < _MANY:
        return _TOKEN.sub(lambda word: respelled(word[0], _LEET_LETTERS) if _MIXED.search(word[0]) else word[0], folded)
    folded = _TOKEN.sub(lambda word: respelled(word[0], _LEET_LETTERS), folded)
    return _SHORT.sub(lambda word: respelled(word[0], _LEET_LETTERS), folded)


def _straight(text: str, given: Collection[int]) -> str:
    """Return ``text``, reversed or rotated if that has more common words."""
    best, most = text, english(text.lower())
    if Sign.BACKWARDS in given or Sign.REVERSED_WORD in given:
        reading = backwards(text)
        if english(reading.lower()) > most:
            best, most = reading, english(reading.lower())
    if Sign.ROTATED in given or Sign.ROTATED_WORD in given:
        reading = rotated(text)
        if english(reading.lower()) > most:
            best = reading
    return best
