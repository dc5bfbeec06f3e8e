"""Folding: texts that read alike become the same text, and every folded character knows where it stood.

``fold`` is context-free per character except that a whitespace run becomes one space, so a text may be folded in
pieces and split anywhere. Per character: NFKD and case folding, combining marks dropped, letters that look Latin
(Cyrillic, Greek, small capitals, enclosed) made Latin, invisible characters (zero-width, bidirectional controls, soft
hyphen, variation selectors, tags) and the asterisk of Markdown emphasis dropped, dashes and whitespace made a space.
``fold(fold(text)) == fold(text)``. Lookalikes follow the idea of UTS #39 with a table of our own.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable

from guard.screening.lookalikes import LOOKALIKES
from guard.screening.recent import Recent

_ENCLOSED = (0x1F150, 0x1F170, 0x1F1E6)
"""First letters of negative circled, negative squared and regional indicator A-Z: no decomposition in Unicode."""
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Hangul fillers: letters that show nothing."""
_CACHED = 1 << 16


def is_word(character: str) -> bool:
    """Return whether ``character`` is part of a word: a letter, a digit or the underscore."""
    return character.isalnum() or character == "_"


def _fold_character(character: str) -> str:
    if character in LOOKALIKES:
        return LOOKALIKES[character]
    category = unicodedata.category(character)
    if character.isspace() or category in {"Pd", "Zs"} or character in "-\u2212\u2043\u2800":
        return " "
    if category in {"Cc", "Cf", "Mn", "Me"} or character in _BLANK_LETTERS or character == "*":
        return ""
    if category == "Cs":
        return "\ufffd"
    point = ord(character)
    for first in _ENCLOSED:
        if first <= point < first + 26:
            return chr(ord("a") + point - first)
    folded = unicodedata.normalize("NFKD", character).casefold()
    return folded if folded == character else "".join(_fold_character(part) for part in folded)


class _Table(dict[int, "str | int"]):
    """A translation table that fills itself; bounded, because clients choose the characters."""

    def __missing__(self, point: int) -> str | int:
        folded = _fold_character(chr(point))
        value: str | int = point if folded == chr(point) else folded
        if len(self) < _CACHED:
            self[point] = value
        return value


class _BlankTable(dict[int, int]):
    """Maps every character that is not part of a word to a space."""

    def __missing__(self, point: int) -> int:
        value = point if is_word(chr(point)) else 0x20
        if len(self) < _CACHED:
            self[point] = value
        return value


class _Runs(dict[bytes, bytes]):
    """Runs of characters beyond ASCII, as UTF-8, by what becomes of them; only short ones come again and are kept."""

    def __init__(self, table: "_Table | _BlankTable") -> None:
        super().__init__()
        self._table = table

    def __missing__(self, run: bytes) -> bytes:
        value = run.decode("utf-8", "surrogatepass").translate(self._table).encode()
        if len(run) <= _SHORT_RUN and len(self) < _CACHED:
            self[run] = value
        return value


_SHORT_RUN = 12
"""Bytes."""
_folded_run, _blanked_run = _Runs(_Table()).__getitem__, _Runs(_BlankTable()).__getitem__
_ASCII_FOLDED = [_fold_character(chr(point)) for point in range(128)]
_ASCII = bytes(ord(folded) if folded else 0 for folded in _ASCII_FOLDED) + bytes(range(128, 256))
"""A dropped character becomes NUL, which no folded text holds: to look for one costs less than to drop them blindly."""
_ASCII_DROPPED = bytes(point for point in range(128) if not _ASCII_FOLDED[point])
_ASCII_BLANKS = bytes(point if is_word(chr(point)) else 0x20 for point in range(128)) + bytes(range(128, 256))
_ASCII_SPACES = "".join(chr(point) for point in range(128) if _ASCII_FOLDED[point] == " ")
_BLANK, _ODD = re.escape(_ASCII_SPACES), r"\x80-\U0010ffff" + re.escape(_ASCII_DROPPED.decode())
_IRREGULAR = re.compile(f"(?P<blanks>[{_BLANK}]{{2,}}+(?![{_ODD}]))|[{_BLANK}]*+[{_ODD}][{_BLANK}{_ODD}]*")
"""Everything around which folding may change the length, with all blanks beside it."""
_BEYOND_ASCII = re.compile(rb"([\xc2-\xe4\xea-\xf4](?:(?<!\xe4)|(?=[\x80-\xb7]))[\x80-\xe3\xea-\xf4]*)")
"""Runs of UTF-8 beyond ASCII without the Han of U+4E00 to U+9FFF, which are words and stay what they are."""


def _converted(octets: bytes, convert: Callable[[bytes], bytes]) -> bytes:
    parts = _BEYOND_ASCII.split(octets)
    if len(parts) == 1:
        return octets
    parts[1::2] = map(convert, parts[1::2])
    return b"".join(parts)


def fold(text: str, *, after_space: bool = False) -> str:
    """Return ``text`` folded. ``after_space``: the folded text it continues ends with a space."""
    return _fold(text, after_space)


def fold_any(text: str, after_space: bool, /) -> str:
    """Return ``text`` folded: what ``fold`` does where nothing is compiled."""
    if text.isascii():
        octets = text.encode("ascii").translate(_ASCII)
    else:
        octets = _converted(text.encode("utf-8", "surrogatepass").translate(_ASCII), _folded_run)
    if b"\0" in octets:
        octets = octets.replace(b"\0", b"")
    folded = octets.decode()
    parts = folded.split("  ")
    if len(parts) > 1:
        # No part but the last ends with a space, and of runs of spaces the rest leads the next part.
        inner = " ".join(filter(None, map(str.lstrip, parts)))
        folded = f"{' ' * (folded[0] == ' ')}{inner}{' ' * (folded[-1] == ' ' and inner[-1:] not in {' ', ''})}"
    if after_space and folded.startswith(" "):
        return folded[1:]
    return folded


try:
    from guard.screening._kernel import ask
    from guard.screening._kernel import fold as _fold
    from guard.screening._kernel import folded as _folded
except ImportError:  # an install needs no compiler
    _fold = fold_any
    _folded = Recent(fold).__call__
else:
    ask(_fold_character)

folded: Callable[[str], str] = _folded
"""``fold`` of a whole segment, which several tiers read."""


def view(folded: str) -> bytes:
    """Return ``folded`` as the automaton reads it: UTF-8, a space for every non-word character, one added at each end.

    So a literal with a space on both sides matches at word boundaries and nowhere else.
    """
    octets = folded.encode().translate(_ASCII_BLANKS)
    return b" %b " % (octets if folded.isascii() else _converted(octets, _blanked_run))


class Offsets:
    """Where the characters of a growing folded text stood in the original: piecewise, and worked out when asked for."""

    __slots__ = ("_pending", "_shifts", "_starts")

    def __init__(self) -> None:
        self._starts = [0]
        self._shifts = [0]
        self._pending: list[tuple[str, int, int, int, bool]] = []

    def extend(self, text: str, length: int, start: int, original: int, *, after_space: bool) -> None:
        """Add ``text``, of which ``length`` folded characters came, at folded and original offset."""
        if length == len(text) and not self._pending and text.isascii():
            if original - start != self._shifts[-1]:
                self._piece(start, original)
            return
        self._pending.append((text, length, start, original, after_space))

    def original(self, index: int) -> int:
        """Return the offset in the original text of the folded character ``index``."""
        if self._pending:
            for added in self._pending:
                self._work_out(*added)
            self._pending.clear()
        if index >= self._starts[-1]:
            return index + self._shifts[-1]
        return index + self._shifts[bisect_right(self._starts, index) - 1]

    def forget(self, index: int) -> None:
        """Drop what is only needed for folded offsets below ``index``."""
        keep = bisect_right(self._starts, index) - 1
        if keep > 0:
            del self._starts[:keep], self._shifts[:keep]
        self._pending = [added for added in self._pending if added[1] + added[2] > index]

    def _work_out(self, text: str, length: int, start: int, original: int, after_space: bool) -> None:
        if length == len(text) and text.isascii():
            self._piece(start, original)
            return
        done = 0
        while after_space and done < len(text) and text[done] in _ASCII_SPACES:
            done += 1
        for run in _IRREGULAR.finditer(text, done):
            if run.start() > done:
                self._piece(start, original + done)
                start += run.start() - done
                after_space = False
            done = run.end()
            if run["blanks"] is not None:
                if not after_space:
                    self._piece(start, original + run.start())
                    start += 1
                after_space = True
                continue
            for offset, character in enumerate(run[0], run.start()):
                for part in _fold_character(character):
                    if part != " " or not after_space:
                        self._piece(start, original + offset)
                        start += 1
                    after_space = part == " "
        if done < len(text):
            self._piece(start, original + done)

    def _piece(self, start: int, original: int) -> None:
        shift = original - start
        if shift != self._shifts[-1]:
            self._starts.append(start)
            self._shifts.append(shift)
