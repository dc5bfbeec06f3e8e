r"""The positions of a regular expression (Glushkov, 1961): which character may stand where, and what may follow it.

The syntax is the standard library's, read by its own parser, without what cannot be matched while a text grows:
lookaround, backreferences, lazy and unbounded repeats, anchors other than ``\b`` at the two ends. Patterns are folded
as texts are (see ``guard.screening.normalize``): capitals and accents do not matter, and a dash is a space.
"""

import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from guard.screening.normalize import fold, is_word

MAX_LENGTH = 128
"""Characters that a match may have: a stream may have to hold so many back."""
MAX_POSITIONS = 2048

_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007),
    (0x3021, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA960, 0xA97F),
    (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Blocks of letters that stand beside others without a space between words: Thai, Lao, Burmese, Khmer, Han, kana, and
Hangul, whose particles follow a foreign word directly."""
UNSPACED = "".join(f"{chr(low)}-{chr(high)}" for low, high in _UNSPACED)
"""The same as the inside of a set in a regular expression."""

_parser: Any = importlib.import_module("re._parser")
_op: Any = importlib.import_module("re._constants")

_REFUSED = {
    "ASSERT": "lookaround is not allowed",
    "ASSERT_NOT": "lookaround is not allowed",
    "GROUPREF": "backreferences are not allowed",
    "GROUPREF_EXISTS": "backreferences are not allowed",
    "AT": "only \\b is an anchor, and only at the start and at the end of the whole pattern",
    "MIN_REPEAT": "lazy repeats are not allowed: the longest match is taken",
    "POSSESSIVE_REPEAT": "possessive repeats are not allowed: the longest match is taken",
    "ATOMIC_GROUP": "atomic groups are not allowed: the longest match is taken",
}
_CATEGORIES: Mapping[str, Callable[[str], bool]] = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_NOT_DIGIT": lambda character: not character.isdecimal(),
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_NOT_SPACE": lambda character: not character.isspace(),
    "CATEGORY_WORD": is_word,
    "CATEGORY_NOT_WORD": lambda character: not is_word(character),
}
_ESCAPES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def joins(character: str) -> bool:
    r"""Return whether ``character`` is part of a word in a script with spaces between words.

    A boundary (``\b``) is where one that does stands beside one that does not.
    """
    if character < "\u0e00":
        return is_word(character)
    point = ord(character)
    return is_word(character) and not any(low <= point <= high for low, high in _UNSPACED)


class Letters(NamedTuple):
    """The characters of a folded text that may stand at one position."""

    characters: frozenset[str]
    ranges: tuple[tuple[str, str], ...] = ()
    categories: tuple[str, ...] = ()
    negated: bool = False

    @classmethod
    def parse(cls, items: Sequence[tuple[Any, Any]]) -> "Letters":
        """Return the letters of a bracketed set as the parser gives it. Raises ValueError if none is left of it."""
        characters: set[str] = set()
        ranges: list[tuple[str, str]] = []
        categories: list[str] = []
        negated = False
        for code, value in items:
            if code is _op.NEGATE:
                negated = True
            elif code is _op.LITERAL:
                characters.add(_folded(chr(value)))
            elif code is _op.RANGE:
                low, high = value
                characters.update(_folded(chr(point)) for point in range(low, min(high, 0x17F) + 1))
                if high > 0x17F:
                    ranges.append((chr(max(low, 0x180)), chr(high)))
            else:
                categories.append(str(value))
        characters.discard("")
        if not (characters or ranges or categories):
            raise ValueError("a set holds no character that stands in folded text")
        return cls(frozenset(characters), tuple(ranges), tuple(categories), negated)

    def hold(self, character: str) -> bool:
        """Return whether ``character`` is one of them."""
        inside = (
            character in self.characters
            or any(low <= character <= high for low, high in self.ranges)
            or any(_CATEGORIES[name](character) for name in self.categories)
        )
        return inside is not self.negated

    @property
    def word(self) -> bool:
        """Whether a letter or a space may be one of them."""
        if self.negated or self.ranges or set(self.categories) - {"CATEGORY_DIGIT"}:
            return True
        return any(character.isalpha() or character == " " for character in self.characters)

    @property
    def source(self) -> str:
        """The same letters as the standard library's regular expressions write them."""
        inside = "".join(re.escape(character) for character in sorted(self.characters))
        inside += "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in self.ranges)
        inside += "".join(_ESCAPES[name] for name in self.categories)
        if not inside:
            return "(?s:.)"
        return f"[^{inside}]" if self.negated else f"[{inside}]"

    @property
    def expression(self) -> bytes:
        """What stands here in UTF-8, for Hyperscan: perhaps more, never less."""
        octets = b"".join(b"\\x%02x" % point for point in range(128) if self.hold(chr(point)))
        wide = self.negated or self.ranges or self.categories or not "".join(self.characters).isascii()
        alternatives = [b"[%b]" % octets] if octets else []
        alternatives += [rb"[\xc2-\xf4][\x80-\xbf]{1,3}"] if wide else []
        return alternatives[0] if len(alternatives) == 1 else b"(?:%b)" % b"|".join(alternatives)


class Part(NamedTuple):
    """A part of a pattern: bit sets of the positions at which it may begin and end, and its extent in characters."""

    first: int = 0
    last: int = 0
    shortest: int = 0
    longest: int = 0
    expression: bytes = b""
    """For Hyperscan, over UTF-8."""


class Positions:
    r"""The positions of ``written`` without its ``\b``. Raises ValueError with the reason if it is no pattern.

    ``left`` and ``right``: whether a word boundary stands at that end.
    """

    def __init__(self, written: str) -> None:
        self.letters: list[Letters] = []
        self.follow: list[int] = []
        """By position: the bit set of those that may come next."""
        try:
            parsed = _parser.parse(written)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from None
        if parsed.state.flags & ~int(re.UNICODE):
            raise ValueError("flags are not allowed: texts and patterns are folded")
        items = list(parsed)
        boundary = (_op.AT, _op.AT_BOUNDARY)
        self.left, self.right = items[:1] == [boundary], items[1:] != [] and items[-1] == boundary
        whole = self._sequence(items[int(self.left) : len(items) - int(self.right)])
        if not whole.shortest:
            raise ValueError("it matches the empty text")
        self.first, self.last, self.shortest, self.longest, self.expression = whole

    @property
    def needed(self) -> str:
        """Characters, none of a word, one of which stands in every match; empty if there are no such."""
        for letters in dict.fromkeys(self.letters):
            characters = "".join(sorted(letters.characters))
            plain = not (letters.negated or letters.ranges or letters.categories) and len(characters) <= 4
            if plain and not any(map(is_word, characters)) and " " not in characters:
                avoided = sum(1 << place for place, here in enumerate(self.letters) if here == letters)
                if not self.passable(avoided):
                    return characters
        return ""

    @property
    def plain(self) -> bool:
        """Whether a match may be made of letters and spaces alone."""
        signs = sum(1 << place for place, letters in enumerate(self.letters) if not letters.word)
        return self.passable(signs)

    def passable(self, avoided: int) -> bool:
        """Return whether there is a match without the positions ``avoided``."""
        seen = new = self.first & ~avoided
        while new:
            reached = 0
            for position in bits(new):
                reached |= self.follow[position]
            new = reached & ~avoided & ~seen
            seen |= new
        return bool(seen & self.last)

    def _sequence(self, items: Sequence[tuple[Any, Any]]) -> Part:
        part, blank = Part(), False
        for code, value in items:
            space = code is _op.LITERAL and fold(chr(value)) == " "
            if not (space and blank):  # a run of blanks and dashes is one space in folded text
                part = self._joined(part, self._item(str(code), value))
            blank = space
        return part

    def _item(self, code: str, value: Any) -> Part:
        if code == "LITERAL":
            folded = fold(chr(value))
            if not folded:
                raise ValueError(f"'{chr(value)}' never stands in folded text")
            part = Part()
            for character in folded:
                part = self._joined(part, self._position(Letters(frozenset(character))))
            return part
        if code == "NOT_LITERAL":
            return self._position(Letters.parse([(_op.NEGATE, None), (_op.LITERAL, value)]))
        if code == "ANY":
            return self._position(Letters(frozenset(), negated=True))
        if code == "IN":
            return self._position(Letters.parse(value))
        if code == "BRANCH":
            return self._branch(value[1])
        if code == "SUBPATTERN":
            _group, added, dropped, items = value
            if added or dropped:
                raise ValueError("flags are not allowed: texts and patterns are folded")
            part = self._sequence(items)
            return part._replace(expression=b"(?:%b)" % part.expression)
        if code == "MAX_REPEAT":
            return self._repeat(*value)
        raise ValueError(_REFUSED.get(code, f"{code.lower()} is not allowed"))

    def _position(self, letters: Letters) -> Part:
        if len(self.letters) == MAX_POSITIONS:
            raise ValueError(f"it is too large: repeats written out, it has more than {MAX_POSITIONS} characters")
        bit = 1 << len(self.letters)
        self.letters.append(letters)
        self.follow.append(0)
        return Part(bit, bit, 1, 1, letters.expression)

    def _link(self, last: int, first: int) -> None:
        for position in bits(last):
            self.follow[position] |= first

    def _joined(self, one: Part, two: Part) -> Part:
        self._link(one.last, two.first)
        longest = one.longest + two.longest
        if longest > MAX_LENGTH:
            raise ValueError(f"a match could be longer than {MAX_LENGTH} characters")
        first = one.first | (0 if one.shortest else two.first)
        last = two.last | (0 if two.shortest else one.last)
        return Part(first, last, one.shortest + two.shortest, longest, one.expression + two.expression)

    def _branch(self, branches: Sequence[Any]) -> Part:
        parts = [self._sequence(items) for items in branches]
        first = last = 0
        for part in parts:
            first, last = first | part.first, last | part.last
        expression = b"(?:%b)" % b"|".join(part.expression for part in parts)
        shortest, longest = min(part.shortest for part in parts), max(part.longest for part in parts)
        return Part(first, last, shortest, longest, expression)

    def _repeat(self, least: int, most: Any, items: Sequence[tuple[Any, Any]]) -> Part:
        """Return ``items`` written out ``most`` times, one copy behind the other, of which the later may be missing."""
        if most is _op.MAXREPEAT:
            raise ValueError(f"a repeat has no upper bound: write {{{least},20}} or the like")
        first = last = longest = 0
        part = Part()
        for copy in range(most):
            before, part = part, self._sequence(items)
            self._link(before.last, part.first)
            longest += part.longest
            if longest > MAX_LENGTH:
                raise ValueError(f"a match could be longer than {MAX_LENGTH} characters")
            if not copy:
                first = part.first
            if copy + 1 >= least or not part.shortest:
                last |= part.last
        return Part(first, last, least * part.shortest, longest, b"(?:%b){%d,%d}" % (part.expression, least, most))


def _folded(character: str) -> str:
    """Return the one character that ``character`` of a set is in folded text; empty if there it is none or several."""
    folded = fold(character)
    return folded if len(folded) == 1 else ""


def bits(mask: int) -> Iterator[int]:
    """Yield the places of the bits that are set in ``mask``, from the lowest."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
