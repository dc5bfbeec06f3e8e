r"""Text as provenance sees it: a sequence of words, in which markup, white space, case and width do not exist.

Words are NFKC, case-folded, letters and digits only; everything else separates them, but for marks and invisible
characters (accents that stand alone, vowel points, soft hyphens, zero-width spaces), which are as if they were not
there. A letter of a script that is written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar) is a word, so a run of
words is a run of text there as well. Reformatting therefore changes nothing; changing a word does.

Code is the lines that look like it, whether a fence stands around them or not, since data sets are often stripped of
fences: signs such as ``( = ; {`` weighed against letters, on the line and on those beside it. Its tokens are names,
numbers and signs, in their case, without what formatters put in and take out: space, quotes, commas and semicolons.
Escapes of JSON (``\n``, ``\u00e9``) are undone wherever they stand, however often a text was written into another:
an answer that is a JSON document says the same whether a data set holds it as it came or as what it decodes to. They
are undone in every text alike, so it does no harm that ``\nabla`` is no escape.
"""

import re
from dataclasses import dataclass

from guard.provenance import grams


@dataclass(frozen=True, slots=True)
class Text:
    """What a text says: its words and the tokens of its code, in UTF-8, one space between them."""

    words: bytes
    code: bytes
    """Empty where nothing looks like code. What is code is among the words as well."""

    @property
    def count(self) -> int:
        """The number of words."""
        return grams.count(self.words)[0]

    @property
    def numbers(self) -> int:
        """The number of runs of ASCII digits in the words."""
        return grams.count(self.words)[1]


_ESCAPED = re.compile(r"\\+(?:u([dD][89abAB][0-9a-fA-F]{2})\\+u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|[bfnrt])")


def _unescaped(escape: re.Match[str]) -> str:
    high, low, code = escape.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    return chr(int(code, 16)) if code else "\n"


def read(text: str) -> Text:
    """Return the words and the code of any text; lone surrogates separate words."""
    if "\\" in text:
        text = _ESCAPED.sub(_unescaped, text)
    return Text(*grams.read(text))
