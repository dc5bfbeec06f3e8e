"""Variants of a prompt: what it says once an encoding or a spelling trick is undone.

Every variant is the whole text with the hidden parts replaced, so context around them still counts, and maps its
characters back to the original: a decoded character stands for the whole encoded run. Decoding never makes a text
longer, and goes two levels deep, so the work is bounded by the size of the prompt. Prompts only: a model has no reason
to hide its answer from its own server, and decoding a stream could not be exact about what to hold back.
"""

import base64
import binascii
import html
import re
import urllib.parse
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{60,}\r?\n)*[A-Za-z0-9+/_-]{16,}={0,2}")
_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_SPACED = re.compile(r"(?<![^\W_])[^\W_](?:[ ._/|-][^\W_]){3,}(?![^\W_])")
_SPACED_AFTER_ARTICLE = re.compile(r"(?<=[aAiI] )" + _SPACED.pattern)
_LEET_WORD = re.compile(r"[A-Za-z][013457@$]+[A-Za-z]")
_LEET = str.maketrans("013457@$", "oieastas")
_SEPARATORS = re.compile(r"[ ._/|-]")


class Piece(NamedTuple):
    """From ``start`` on, a variant's characters stand for ``original`` and on, or all for ``original``..``end``."""

    start: int
    original: int
    end: int
    verbatim: bool


class Variant(NamedTuple):
    """A decoded text; ``transform`` names how it was decoded, outermost first (``base64``, ``base64+percent``)."""

    text: str
    pieces: tuple[Piece, ...]
    transform: str

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the original span of ``text[start:end]``."""
        first, last = self._piece(start), self._piece(end - 1)
        return (
            first.original + (start - first.start if first.verbatim else 0),
            last.original + (end - last.start) if last.verbatim else last.end,
        )

    def _piece(self, index: int) -> Piece:
        return self.pieces[bisect_right(self.pieces, index, key=lambda piece: piece.start) - 1]


def variants(text: str, *, long_word: bool, spaced: bool, leet: bool, depth: int = 2) -> Iterator[Variant]:
    """Yield the variants of ``text``.

    ``long_word``, ``spaced`` and ``leet`` are the caller's cheap signs that base64, spaced-out letters or digits for
    letters may be there; percent-encoding and entities are looked for by their own signs.
    """
    words = [word for word in text.split() if len(word) >= 16 and not word.islower()] if long_word else ()
    if any(_from_base64(run) for word in words for run in _RUN.findall(word)):
        yield from _deeper(_replaced(text, _BASE64, _from_base64, "base64"), depth)
    if "%" in text:
        yield from _deeper(_replaced(text, _PERCENT, _from_percent, "percent"), depth)
    if "&" in text:
        yield from _deeper(_replaced(text, _ENTITY, _from_entity, "entities"), depth)
    if spaced:
        for pattern in (_SPACED, _SPACED_AFTER_ARTICLE):
            variant = _replaced(text, pattern, _joined, "spaced")
            if variant is not None:
                yield variant
    if leet or (("@" in text or "$" in text) and _LEET_WORD.search(text)):
        yield Variant(text.translate(_LEET), (Piece(0, 0, len(text), verbatim=True),), "leet")


def _deeper(variant: Variant | None, depth: int) -> Iterator[Variant]:
    if variant is None:
        return
    yield variant
    if depth > 1:
        for inner in variants(variant.text, long_word=True, spaced=False, leet=False, depth=depth - 1):
            if inner.transform != "leet":
                yield Variant(inner.text, _composed(variant, inner), f"{variant.transform}+{inner.transform}")


def _composed(outer: Variant, inner: Variant) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for index, piece in enumerate(inner.pieces):
        if not piece.verbatim:
            start, end = outer.span(piece.original, piece.end)
            pieces.append(Piece(piece.start, start, end, verbatim=False))
            continue
        length = (inner.pieces[index + 1].start if index + 1 < len(inner.pieces) else len(inner.text)) - piece.start
        low, high = piece.original, piece.original + length
        for number, covered in enumerate(outer.pieces):
            upper = outer.pieces[number + 1].start if number + 1 < len(outer.pieces) else len(outer.text)
            begin = max(low, covered.start)
            if begin < min(high, upper):
                shift = begin - covered.start if covered.verbatim else 0
                pieces.append(Piece(piece.start + begin - low, covered.original + shift, covered.end, covered.verbatim))
    return tuple(pieces)


def _replaced(
    text: str, pattern: re.Pattern[str], decode: Callable[[str], str | None], transform: str
) -> Variant | None:
    parts: list[str] = []
    pieces: list[Piece] = []
    length = done = 0
    for match in pattern.finditer(text):
        decoded = decode(match[0])
        if not decoded:
            continue
        if match.start() > done:
            pieces.append(Piece(length, done, match.start(), verbatim=True))
            parts.append(text[done : match.start()])
            length += match.start() - done
        pieces.append(Piece(length, match.start(), match.end(), verbatim=False))
        parts.append(decoded)
        length += len(decoded)
        done = match.end()
    if not done:
        return None
    if done < len(text):
        pieces.append(Piece(length, done, len(text), verbatim=True))
        parts.append(text[done:])
    return Variant("".join(parts), tuple(pieces), transform)


def _from_base64(run: str) -> str | None:
    if run.islower() or run.isupper():
        return None  # an identifier: sixteen digits of encoded text without one capital are next to impossible
    digits = "".join(run.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    digits = digits[: len(digits) - 1] if len(digits) % 4 == 1 else digits
    try:
        decoded = base64.b64decode(digits + "=" * (-len(digits) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    printable = sum(character.isprintable() or character.isspace() for character in decoded)
    return decoded if printable >= 0.95 * len(decoded) else None


def _from_percent(run: str) -> str | None:
    return urllib.parse.unquote(run, errors="replace")


def _from_entity(entity: str) -> str | None:
    decoded = html.unescape(entity)
    return None if decoded == entity else decoded


def _joined(run: str) -> str | None:
    return _SEPARATORS.sub("", run)
