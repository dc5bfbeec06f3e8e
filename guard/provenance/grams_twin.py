"""Words, code and the grams of them, in plain Python: what ``_grams.c`` does, bit for bit.

What a character is to words and to code is said here alone, one character at a time (``page``); the compiled form keeps
what it was told.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple
from unicodedata import category, normalize

BITS = 36
"""Bits of a key: of a gram that is sealed for a month."""
UNIT = 20
"""A word counts so much; a letter that is a word counts less (``SHAPES``)."""


class Shape(NamedTuple):
    """How a lane is cut: into runs of ``k`` tokens, of which the least of every ``w`` neighbors are kept."""

    k: int
    w: int
    worth: int
    """Of a token, in parts of ``UNIT``."""

    @property
    def overlap(self) -> int:
        """A shared run of one token more is always found."""
        return self.k + self.w - 2


WORDS = Shape(6, 8, UNIT)
SHAPES = (WORDS, Shape(12, 12, 12), Shape(24, 24, 5))
"""By what a word is: of letters and digits; a letter of Han or Kana; one of Thai, Lao, Khmer or Myanmar."""
CODE = Shape(24, 24, UNIT)

Looked = tuple[bytes, bytes, int, int, bytes, int, int, bool]
"""Of a pair: the digests of prompt and answer (``guard.provenance.receipt``), how many words the answer has, the tag of
the prompt, and of the answer its keys for the month, what its words are worth, tokens of code, and whether it is echoed
(``guard.provenance.fingerprint``).
"""

_MASK = (1 << 60) - 1
_REMEMBERED = 65_536
_ASCII = bytes(ord(chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else 32 for byte in range(256))
_DROPPED = frozenset({"Mn", "Mc", "Me", "Cf"})
_QUIET = frozenset("\"'`,;")
_ONE, _TWO = b"[]()<>+\\&^%$@", b"{};=_"
_NAMES = bytes(byte for byte in range(128) if chr(byte).isalnum())
_LOUDEST, _HELP = 40, 30
_BREAK = re.compile("[\r\n]")
_DIGITS = bytes(byte if 48 <= byte <= 57 else 32 for byte in range(256))
"""Leaves digits, and a space for everything else: five times as fast as an expression."""


def letters(point: int) -> int:
    """Return which of ``SHAPES`` a word of this one letter has, and 0 if it takes more letters to make a word."""
    if 0x3005 <= point <= 0x9FFF or 0xF900 <= point <= 0xFAFF or 0x20000 <= point <= 0x3FFFF:
        return 1
    return 2 if 0x0E00 <= point <= 0x0EFF or 0x1000 <= point <= 0x109F or 0x1780 <= point <= 0x17FF else 0


def _word(char: str) -> str:
    if category(char) in _DROPPED:
        return ""
    if not char.isalnum():
        return " "
    return f" {char} " if letters(ord(char)) else char


def _words(char: str) -> str:
    """Return what a character of a normalized text is to its words; spaces stand where words end."""
    return "".join(map(_word, char.casefold()))


def _tokens(char: str) -> str:
    """Return what a character of a normalized text is to its code; spaces stand where tokens end."""
    if char.isalnum() or char == "_":
        return char
    if category(char) in _DROPPED:
        return ""
    return f" {char} " if "!" <= char <= "~" and char not in _QUIET else " "


def _shape(char: str) -> str:
    """Return a character as lines are judged by it, in ASCII."""
    return char if char < "\x80" else "a" if char.isalnum() else " "


def _score(line: bytes) -> int:
    """Return how much a line looks like code: ten for every sign, two tens for the telling ones, against letters."""
    length = len(line)
    ones, twos, names = (length - len(line.translate(None, of)) for of in (_ONE, _TWO, _NAMES))
    return 10 * ones + 20 * twos - names


def _ticks(line: bytes) -> int:
    return line.count(b"`") + line.count(b"~")


def page(number: int) -> list[tuple[bytes, bytes, int, int, bool]]:
    """Return what each of the 256 characters from ``256 * number`` on is to words, to code and to its line.

    For its line, that is a score and a number of ticks. The last item is True where all that depends on the characters
    beside it, unless the text is normalized.
    """
    made = []
    for char in map(chr, range(number << 8, (number + 1) << 8)):
        said, first = normalize("NFKC", char), normalize("NFKD", char)[0]
        joins = category(first)[0] == "M" or 0x1100 <= ord(first) <= 0x11FF
        words, tokens, shapes = ("".join(map(form, said)).encode() for form in (_words, _tokens, _shape))
        made.append((words, tokens, _score(shapes), _ticks(shapes), joins))
    return made


class _Forms(dict[int, str]):
    """A form of every character, for ``str.translate``."""

    def __init__(self, form: Callable[[str], str]) -> None:
        self._form = form

    def __missing__(self, point: int) -> str:
        made = self[point] = self._form(chr(point))
        return made


_WORDS, _TOKENS, _SHAPES = _Forms(_words), _Forms(_tokens), _Forms(_shape)


def read(text: str) -> tuple[bytes, bytes]:
    """Return the words of a text and the tokens of what is code in it: see ``guard.provenance.words.read``."""
    if text.isascii():
        return b" ".join(text.encode().translate(_ASCII).split()), _code(text)
    text = normalize("NFKC", text)
    return " ".join(text.translate(_WORDS).split()).encode(), _code(text)


def _code(text: str) -> bytes:
    """Return the tokens of the lines that look like code, by themselves or with the help of those beside them.

    The two lines before or the two behind help with 30 at most: a line of few letters, such as ``break``. Lines without
    letters and signs are no lines, nor are fences (three ticks): whether they are there changes nothing.
    """
    lines, scores = [], []
    for line in _BREAK.split(text):
        shapes = (line if line.isascii() else line.translate(_SHAPES)).encode()
        score = _score(shapes)
        if score and _ticks(shapes) < 3:
            lines.append(line)
            scores.append(score)
    if max(scores, default=0) <= 0:
        return b""
    near = [max(-_LOUDEST, min(_LOUDEST, score)) for score in scores]
    code = [
        line
        for at, line in enumerate(lines)
        if scores[at] + min(_HELP, max(sum(near[max(0, at - 2) : at]), sum(near[at + 1 : at + 3]))) > 0
    ]
    return " ".join("\n".join(code).translate(_TOKENS).split()).encode()


class Grams:
    """Cuts texts into grams with one key of 1 to 64 bytes; raises ValueError for any other."""

    def __init__(self, key: bytes) -> None:
        if not 1 <= len(key) <= 64:
            raise ValueError(f"a key of {len(key)} bytes; allowed: 1 to 64")
        self._hashes = _Hashes(key)

    def echo(self, words: bytes, code: bytes) -> frozenset[int]:
        """Return every run of a prompt, and every half of one."""
        known: set[int] = set()
        for shape, tokens in _stretches(words):
            halves, runs = self._runs(tokens, shape)
            known.update(halves, runs)
        known.update(self._runs(code.split(), CODE)[1])
        return frozenset(known)

    def take(
        self, words: bytes, code: bytes, echo: frozenset[int] | None
    ) -> tuple[bytes, int, int, tuple[int, int, int], bool]:
        """Return what ``guard.provenance.fingerprint.Fingerprints`` holds of a text that answers ``echo``."""
        known = echo or frozenset()
        lanes: tuple[dict[int, None], dict[int, None], dict[int, None]] = ({}, {}, {})
        covered = 0
        for shape, tokens in _stretches(words):
            halves, runs = self._runs(tokens, shape)
            lanes[0 if shape is WORDS else 1].update(dict.fromkeys(_winnowed(runs, shape.w)))
            if known:
                covered += _covered(halves, shape.k // 2, known, tokens)
        tokens = code.split()
        lanes[2].update(dict.fromkeys(_winnowed(self._runs(tokens, CODE)[1], CODE.w)))
        first, second, third = ([gram for gram in lane if gram not in known] for lane in lanes)
        grams = struct.pack(f"<{len(first) + len(second) + len(third)}Q", *first, *second, *third)
        worth = _worth(words.split())
        return grams, worth // UNIT, len(tokens), (len(first), len(second), len(third)), 4 * covered > worth

    def look(self, pairs: list[tuple[str, str] | None], month: bytes | None) -> list[Looked | None]:  # noqa: ARG002
        """Return all that is made of pairs of a prompt and its answer, those of one prompt in a row.

        None for a pair that is None, and for one whose texts have to be undone, normalized or looked up before they can
        be read: that is done one by one, and here so are all. Without the key of a ``month`` there are only digests.
        """
        return [None] * len(pairs)

    def _runs(self, tokens: Sequence[bytes], shape: Shape) -> tuple[list[int], list[int]]:
        """Return the sums of the runs of half of ``k`` and of ``k`` tokens, by doubling."""
        hashes = list(map(self._hashes.__getitem__, tokens))
        runs = [a + (b << 1) + (c << 2) & _MASK for a, b, c in zip(hashes, hashes[1:], hashes[2:], strict=False)]
        halves, length = runs, 3
        while length < shape.k:
            halves = runs
            runs = [a + (b << length) & _MASK for a, b in zip(halves, halves[length:], strict=False)]
            length *= 2
        return halves, runs


class _Hashes(dict[bytes, int]):
    """Keyed hashes of tokens, remembered while they are few and short."""

    def __init__(self, key: bytes) -> None:
        self._token = blake2b(digest_size=8, key=key, person=b"guard word")

    def __missing__(self, token: bytes) -> int:
        sealed = self._token.copy()
        sealed.update(token)
        value = int.from_bytes(sealed.digest(), "little") & _MASK
        if len(token) <= 32:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[token] = value
        return value


def _kind(token: bytes) -> int:
    """Return which of ``SHAPES`` a token has by its first letter."""
    lead = token[0]
    if lead < 0xE0 or len(token) < (3 if lead < 0xF0 else 4):
        return 0
    if lead < 0xF0:
        return letters((lead & 15) << 12 | (token[1] & 63) << 6 | token[2] & 63)
    return letters((lead & 7) << 18 | (token[1] & 63) << 12 | (token[2] & 63) << 6 | token[3] & 63)


def _worth(tokens: Sequence[bytes]) -> int:
    return sum(SHAPES[_kind(token)].worth for token in tokens)


def _stretches(words: bytes) -> Iterator[tuple[Shape, list[bytes]]]:
    """Split a text where its words change their shape.

    Six words in a row or more are a stretch of words. What stands between such runs is a stretch of letters with the
    few words among them, if there is a letter; it ends where letters of the other shape begin.
    """
    tokens = words.split()
    if words.isascii():
        if len(tokens) >= WORDS.k:
            yield WORDS, tokens
        return
    kinds = [_kind(token) for token in tokens]
    at = start = kind = 0
    while at < len(tokens):
        stop = at
        while stop < len(tokens) and not kinds[stop]:
            stop += 1
        if stop - at >= WORDS.k:
            if kind:
                yield SHAPES[kind], tokens[start:at]
            yield WORDS, tokens[at:stop]
            start, kind = stop, 0
        if stop < len(tokens):
            if kind and kinds[stop] != kind:
                yield SHAPES[kind], tokens[start:stop]
                start = stop
            kind = kinds[stop]
        at = stop + 1
    if kind:
        yield SHAPES[kind], tokens[start:]


def _winnowed(runs: list[int], w: int) -> list[int]:
    """Return the least run of every ``w`` neighbors, by doubling: the least of 2, of 4, of 8."""
    if len(runs) <= w:
        return [min(runs)] if runs else []
    length = 1
    while 2 * length <= w:
        # Written out, because a call of min() for every pair takes three times as long.
        runs = [a if a < b else b for a, b in zip(runs, runs[length:], strict=False)]  # noqa: FURB136
        length *= 2
    rest = w - length
    return [a if a < b else b for a, b in zip(runs, runs[rest:], strict=False)] if rest else runs  # noqa: FURB136


def _covered(halves: list[int], length: int, known: frozenset[int], tokens: Sequence[bytes]) -> int:
    """Return the worth of the tokens that stand in a run of ``length`` that is ``known``."""
    covered, end = 0, 0
    for start, half in enumerate(halves):
        if half in known:
            covered += _worth(tokens[max(start, end) : start + length])
            end = start + length
    return covered


def count(words: bytes) -> tuple[int, int]:
    """Return how many words there are, and how many numbers: runs of ASCII digits."""
    return words.count(b" ") + 1 if words else 0, len(words.translate(_DIGITS).split())


def cut(tokens: bytes, start: int, enough: int, most: int, code: bool) -> tuple[int, int]:
    """Return where a piece of ``tokens`` that begins at the offset ``start`` ends, and where the next one begins.

    It ends after ``enough`` words (tokens, if ``code``), or with the text if that is ``most`` words away or less. The
    next one begins so much before the end of this one that a run which is always found stands in one of them;
    where this was the last, at the end.
    """
    at, worth, end = start, 0, -1
    begun: list[int] = []
    while at < len(tokens):
        space = tokens.find(b" ", at)
        stop = len(tokens) if space < 0 else space
        worth += UNIT if code else SHAPES[_kind(tokens[at : min(stop, at + 4)])].worth
        if worth > most * UNIT:
            break
        if worth <= enough * UNIT:
            begun.append(at)
            end = stop
        at = stop + 1
    else:
        return len(tokens), len(tokens)
    kinds = {SHAPES[_kind(tokens[at : at + 4])] for at in begun}
    overlap = CODE.overlap if code else max(shape.overlap for shape in kinds)
    return end, begun[-overlap] if overlap < len(begun) else start


def seal(key: bytes, grams: bytes) -> bytes:
    """Return the key of every gram for the month of ``key``, a little-endian 64-bit number below 2 ** BITS each."""
    month = blake2b(digest_size=8, key=key, person=b"guard month")
    sealed = []
    for at in range(0, len(grams), 8):
        gram = month.copy()
        gram.update(grams[at : at + 8])
        sealed.append(int.from_bytes(gram.digest(), "little") & (1 << BITS) - 1)
    return struct.pack(f"<{len(sealed)}Q", *sealed)
