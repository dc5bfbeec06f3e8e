"""Tricks of spelling undone: spaced-out letters, leetspeak, other signs for spaces, reversed text, rot13."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from guard.screening.automaton import MOST_RUNS, TooManyMatches
from guard.screening.signs import COMMON, ROT13, Sign

_LONE = r"[^\W_](?![^\W_])"
"""A letter with none behind it."""
_BETWEEN = r"[ \t]{0,2}(?P=by)(?:[ \t]{0,3}(?P=by))?[ \t]{0,2}"
_SPACED = re.compile(
    rf"(?<![^\W_]){_LONE}(?:"
    rf"(?=[ \t]{{0,2}}(?P<by>[^\w\s]|_))(?:{_BETWEEN}{_LONE}){{2}}(?:(?:{_BETWEEN}|[ \t\n]{{1,3}}){_LONE})+"
    rf"|(?:[ \t]{{1,8}}{_LONE}){{3,}})"
)
"""Four letters or more with one and the same character between them, or with blanks; words are further apart."""
_AFTER_ARTICLE = re.compile(r"(?<=[aAiI] )" + _SPACED.pattern)
_LETTER = re.compile(r"([^\W_])")

_PER_RUN = 32
"""Characters of letters apart that cost what one more run does."""

_LEET = bytes.maketrans(b"013456789@$", b"oieasgtbgas")
_LEET_L = bytes.maketrans(b"013456789@$|", b"oleasgtbgasl")
_LEET_SIGNS = re.compile(r"[!|+](?<=[A-Za-z0-9@$].)(?=[A-Za-z0-9@$])")
_ONES = re.compile(r"(?<=[1l])1|1(?=1)")
_SIGN_LETTERS = {"!": "i", "|": "i", "+": "t"}

_SPACES = bytes.maketrans(b"_+.,/|~=:;", b" " * 10)
_ROT13 = bytes(ROT13.get(point, point) for point in range(256))
_WORD = re.compile(r"[^\W\d_]{2,}")
_ENGLISH = tuple(f" {word} " for word in COMMON)


class Trick(NamedTuple):
    """A text with one trick undone."""

    name: str
    text: str
    runs: Callable[[], Sequence[tuple[int, int, int]]] | None = None
    """Returns start and end of what was replaced in the original, and the length it has now: asked for where something
    was found. None: character by character."""
    backwards: bool = False
    """True: the characters stand in the opposite order."""
    cost: int = 0
    """In runs replaced; nothing where each character stands for itself."""


def tricks(text: str, given: Collection[int]) -> Iterator[Trick]:
    """Yield ``text`` with each trick undone that there is a sign of. Raises TooManyMatches as ``replaced``."""
    if Sign.SPACED in given:
        found = replaced(text, _SPACED, joined, "spaced")
        if found is not None:
            yield found
            found = replaced(text, _AFTER_ARTICLE, joined, "spaced")
            if found is not None:
                yield found
    if Sign.LEET in given:
        signed = _LEET_SIGNS.sub(_letter, text)
        yield Trick("leet", _lettered(signed, _LEET))
        if "1" in text or "|" in text:
            yield Trick("leet", _lettered(text, _LEET_L))
    if Sign.NO_SPACES in given:
        yield Trick("separators", _translated(text, _SPACES))
    if Sign.BACKWARDS in given or Sign.REVERSED_WORD in given:
        yield Trick("reversed", backwards(text), backwards=True)
        yield Trick("reversed words", _WORD.sub(_backwards_match, text), lambda: _words(text))
    if Sign.ROTATED in given or Sign.ROTATED_WORD in given:
        yield Trick("rot13", rotated(text))


def english(lowered: str) -> int:
    """Return how many of the commonest English words a text in lower case holds: 0 or 1 is few."""
    padded = f" {lowered} "
    return sum(word in padded for word in _ENGLISH)


def rotated(text: str) -> str:
    """Return ``text`` with its ASCII letters moved by 13 places."""
    return _translated(text, _ROT13)


def backwards(text: str) -> str:
    """Return ``text`` from its end to its beginning."""
    return text[::-1]


def spaced_out(text: str) -> str:
    """Return ``text`` with spaced-out letters joined. Raises TooManyMatches as ``replaced``."""
    found = replaced(text, _SPACED, joined, "spaced")
    return text if found is None else found.text


def respelled(word: str, letters: Mapping[int, int | str]) -> str:
    """Return ``word`` with the letters that its digits stand for: a one beside another one, or behind an L, is an L."""
    return _ONES.sub("l", word).translate(letters)


def replaced(text: str, pattern: re.Pattern[str], change: Callable[[str], str], name: str) -> Trick | None:
    """Return ``text`` with every match of ``pattern`` changed; None if nothing is.

    Raises TooManyMatches where that costs more than MOST_RUNS; a long match counts for several.
    """
    parts: list[str] = []
    runs: list[tuple[int, int, int]] = []
    done = cost = 0
    for match in pattern.finditer(text):
        cost += 1 + (match.end() - match.start()) // _PER_RUN
        if cost > MOST_RUNS:
            raise TooManyMatches
        changed = change(match[0])
        parts += (text[done : match.start()], changed)
        runs.append((match.start(), match.end(), len(changed)))
        done = match.end()
    if not runs:
        return None
    parts.append(text[done:])
    return Trick(name, "".join(parts), lambda: runs, cost=cost)


def joined(run: str) -> str:
    """Return spaced-out letters as words: what stands between most of them separates letters, anything wider words."""
    letters = _LETTER.split(run)
    gaps = letters[2:-1:2]
    blank = all(gap.isspace() for gap in gaps)
    least = min(map(len, gaps))
    narrow = [len(gap) == least if blank else len(gap.strip()) == 1 for gap in gaps]
    return letters[1] + "".join(
        letter if close else f" {letter}" for letter, close in zip(letters[3::2], narrow, strict=True)
    )


def _translated(text: str, table: bytes) -> str:
    """Return ``text`` with its ASCII characters changed: as octets it is faster, whatever else is in it."""
    return text.encode("utf-8", "surrogatepass").translate(table).decode("utf-8", "surrogatepass")


def _lettered(text: str, table: bytes) -> str:
    found = _translated(text, table)
    return found if text.isascii() else found.replace("\u20ac", "e").replace("\u00a3", "l")


def _backwards_match(match: re.Match[str]) -> str:
    return match[0][::-1]


def _words(text: str) -> list[tuple[int, int, int]]:
    return [(match.start(), match.end(), len(match[0])) for match in _WORD.finditer(text)]


def _letter(match: re.Match[str]) -> str:
    return _SIGN_LETTERS[match[0]]
