"""Variants of a prompt: what it says once an encoding or a spelling trick is undone.

Every variant is the whole text with the hidden parts replaced, so context around them still counts, and maps its
characters back to the original: a decoded character stands for the whole encoded run. Decoding never makes a text
longer and goes two rounds deep, and every trick is undone once, so a text has at most ``MOST_VARIANTS``, each no longer
than itself. Prompts only: a model has no reason to hide its answer from its own server, and decoding a stream could not
be exact about what to hold back.
"""

import base64
import binascii
import html
import re
import urllib.parse
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from guard.screening.automaton import MOST_RUNS, TooManyMatches
from guard.screening.signs import Sign, signs
from guard.screening.spelling import Trick, tricks

ROUNDS = 2
MOST_VARIANTS = ROUNDS + 8
"""Two rounds of decoding; letters spaced out in two readings, leetspeak in two, one text without spaces, two ways of
reversing, and rot13."""

_DIGITS = "[A-Za-z0-9+/_-]"
_LINE, _BREAK = rf"{_DIGITS}{{12,}}+", r"\r?\n[ \t>]*"
_BASE64 = re.compile(f"{_LINE}(?:{_BREAK}{_LINE})*+(?:{_BREAK}{_DIGITS}+)?={{0,2}}")
_RUN = re.compile(f"{_LINE}={{0,2}}")
_URL_SAFE = str.maketrans("-_", "+/")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0x)?(?:[0-9A-Fa-f]{2}){6,}(?![0-9A-Za-z])")
_HEX_PAIRS = re.compile(r"(?<![0-9A-Za-z])(?:(?:0x)?[0-9A-Fa-f]{2}[ ,:;]{1,2}){3,}(?:0x)?[0-9A-Fa-f]{2}(?![0-9A-Za-z])")
_PERCENT = re.compile(r"%(?:[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})(?:%[0-9A-Fa-f]{2}|%u[0-9A-Fa-f]{4})*+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,30};)")
_CODE_POINT = r"\\\\{0,7}(?:u\{[0-9A-Fa-f]{1,6}\}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[01][0-7]{2})"
_CODE_POINTS = re.compile(f"{_CODE_POINT}(?:{_CODE_POINT})*+")
_ESCAPED = re.compile(_CODE_POINT)
_ESCAPES = re.compile(r"\\(?:\\{0,7}[nrtbfv\"'/]|\\)")
_SIMPLE = dict(zip("nrtbfv\"'/\\", "\n\r\t  \n\"'/\\", strict=True))


class Piece(NamedTuple):
    """From ``start`` on, a variant's characters stand for the outer text between ``original`` and ``end``.

    ``step`` is 1 for one by one, -1 for one by one from the end, 0 for each of them standing for all.
    """

    start: int
    original: int
    end: int
    step: int


class Variant(NamedTuple):
    """A decoded text; ``transform`` names how it was decoded, outermost first (``base64``, ``base64+percent``)."""

    text: str
    pieces: Callable[[], Sequence[Piece]]
    """Returns where its characters are from; most variants hold nothing, and nobody asks."""
    transform: str
    outer: "Variant | None" = None
    """What it was decoded from; None: the text itself."""
    runs: int = 0
    """What undoing it cost, with all that it was decoded from, in runs replaced."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the original span of ``text[start:end]``, which is not empty."""
        low, high = self._span(start, end)
        return (low, high) if self.outer is None else self.outer.span(low, high)

    def _span(self, start: int, end: int) -> tuple[int, int]:
        spans: list[int] = []
        pieces = self.pieces()
        for index in range(bisect_right(pieces, start, key=_start) - 1, len(pieces)):
            piece = pieces[index]
            if piece.start >= end:
                break
            begin = max(start - piece.start, 0)
            after = pieces[index + 1].start if index + 1 < len(pieces) else end
            stop = min(end, after) - piece.start
            if piece.step == 1:
                spans += (piece.original + begin, piece.original + stop)
            elif piece.step == -1:
                spans += (piece.end - stop, piece.end - begin)
            else:
                spans += (piece.original, piece.end)
        return min(spans), max(spans)


def _start(piece: Piece) -> int:
    return piece.start


def variants(text: str, seen: Collection[int] = ()) -> Iterator[Variant]:
    """Yield the variants of ``text``: first what it decodes to, then that with each trick of spelling undone.

    ``seen`` are signs that the caller saw in the folded text: added to those found here. Raises TooManyMatches where
    more than MOST_RUNS runs would have to be replaced.
    """
    given = {*signs(text), *seen}
    if not given:
        return
    inner: Variant | None = None
    said = text
    for _ in range(ROUNDS):
        found = decoded(said, inner, given)
        if found is None:
            break
        yield found
        inner, said = found, found.text
        given = set(signs(said))
    for trick in tricks(said, given):
        yield _tricked(said, trick, inner)


def decoded(text: str, outer: Variant | None, given: Collection[int]) -> Variant | None:
    """Return ``text`` with every encoding in it undone once; None if there is none.

    ``outer`` is where the text came from, ``given`` its signs; of those that are not given nothing is undone. Raises
    TooManyMatches beyond MOST_RUNS.
    """
    inner = outer
    for name, sign, pattern, decode in _DECODERS:
        if sign in given:
            found = _replaced(text, pattern, decode, name, inner)
            if found is not None:
                inner, text = found, found.text
    return inner if inner is not outer else None


def _replaced(
    text: str, pattern: re.Pattern[str], decode: Callable[[str], str | None], name: str, outer: Variant | None
) -> Variant | None:
    parts: list[str] = []
    pieces: list[Piece] = []
    length = done = 0
    runs = 0 if outer is None else outer.runs
    for match in pattern.finditer(text):
        runs += 1
        if runs > MOST_RUNS:
            raise TooManyMatches
        replaced = decode(match[0])
        if not replaced:
            continue
        if match.start() > done:
            pieces.append(Piece(length, done, match.start(), 1))
            parts.append(text[done : match.start()])
            length += match.start() - done
        pieces.append(Piece(length, match.start(), match.end(), 0))
        parts.append(replaced)
        length += len(replaced)
        done = match.end()
    if not done:
        return None
    if done < len(text):
        pieces.append(Piece(length, done, len(text), 1))
        parts.append(text[done:])
    return _variant("".join(parts), lambda: pieces, name, outer, runs)


def _tricked(text: str, trick: Trick, outer: Variant | None) -> Variant:
    runs = trick.cost + (0 if outer is None else outer.runs)
    return _variant(trick.text, cache(lambda: _pieces(len(text), trick)), trick.name, outer, runs)


def _pieces(whole: int, trick: Trick) -> list[Piece]:
    """Return the pieces of a text of which, before the trick was undone, ``whole`` characters were there."""
    if trick.runs is None:
        return [Piece(0, 0, whole, -1 if trick.backwards else 1)]
    pieces: list[Piece] = []
    length = done = 0
    for start, end, replaced in trick.runs():
        if start > done:
            pieces.append(Piece(length, done, start, 1))
            length += start - done
        pieces.append(Piece(length, start, end, 0))
        length += replaced
        done = end
    if done < whole:
        pieces.append(Piece(length, done, whole, 1))
    return pieces


def _variant(text: str, pieces: Callable[[], Sequence[Piece]], name: str, outer: Variant | None, runs: int) -> Variant:
    return Variant(text, pieces, name if outer is None else f"{outer.transform}+{name}", outer, runs)


def _readable(octets: bytes) -> str | None:
    """Return the text that ``octets`` are, in UTF-8 or UTF-16; None if they are something else."""
    try:
        found = octets.decode("utf-16-le" if octets[1:2] == b"\0" else "utf-8")
    except UnicodeDecodeError:
        return None
    printable = sum(character.isprintable() or character.isspace() for character in found)
    return found if printable >= 0.95 * len(found) else None


def _from_base64(run: str) -> str | None:
    if run.islower() or run.isupper():
        return None  # an identifier: so many digits of encoded text without one capital are next to impossible
    lines = run.split()
    found = _from_digits("".join(lines))
    if found is not None or len(lines) == 1:
        return found
    apart = [_RUN.sub(lambda match: _from_digits(match[0]) or match[0], line) for line in lines]
    return "\n".join(apart) if apart != lines else None


def _from_digits(digits: str) -> str | None:
    digits = digits.rstrip("=").translate(_URL_SAFE)
    digits = digits[: len(digits) - 1] if len(digits) % 4 == 1 else digits
    try:
        return _readable(base64.b64decode(digits + "=" * (-len(digits) % 4)))
    except binascii.Error:
        return None


def _from_hex(run: str) -> str | None:
    return _readable(bytes.fromhex(run.removeprefix("0x")))


def _from_hex_pairs(run: str) -> str | None:
    return _readable(bytes.fromhex(re.sub("0x|[ ,:;]", "", run)))


def _from_percent(run: str) -> str | None:
    if "%u" in run:
        run = re.sub("%u([0-9A-Fa-f]{4})", lambda match: _characters([int(match[1], 16)]), run)
    return urllib.parse.unquote(run, errors="replace")


def _from_entity(entity: str) -> str | None:
    found = html.unescape(entity)
    return None if found == entity else found


def _from_code_points(run: str) -> str | None:
    points = [_point(code.lstrip("\\")) for code in _ESCAPED.findall(run)]
    if all(point < 0x100 for point in points) and max(points) >= 0x80:
        found = _readable(bytes(points))
        if found is not None:
            return found
    return _characters(points)


def _point(code: str) -> int:
    return int(code, 8) if code[0] in "01" else int(code[1:].strip("{}"), 16)


def _from_escape(run: str) -> str | None:
    return _SIMPLE[run[-1]]


def _characters(points: list[int]) -> str:
    """Return the characters of code points, surrogates put together; what is none becomes U+FFFD."""
    joined = "".join(chr(point) if point < 0x110000 else "\ufffd" for point in points)
    return joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


_DECODERS = (
    ("percent", Sign.PERCENT, _PERCENT, _from_percent),
    ("entities", Sign.ENTITY, _ENTITY, _from_entity),
    ("escapes", Sign.CODE_POINT, _CODE_POINTS, _from_code_points),
    ("escapes", Sign.ESCAPE, _ESCAPES, _from_escape),
    ("hex", Sign.HEX_PAIRS, _HEX_PAIRS, _from_hex_pairs),
    ("hex", Sign.HEX, _HEX, _from_hex),
    ("base64", Sign.BASE64, _BASE64, _from_base64),
)
"""Name, sign, what is replaced, and by what."""
