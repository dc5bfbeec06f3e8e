"""Text as provenance sees it: a sequence of words, in which markup, white space, case and width do not exist.

Words are NFKC, case-folded, letters and digits only; everything else separates them, but for marks and invisible
characters (accents that stand alone, vowel points, soft hyphens, zero-width spaces), which are as if they were not
there. A letter of a script that is written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar) is a word, so a run of
words is a run of text there as well. Reformatting therefore changes nothing; changing a word does.

Code is the lines that look like it, whether a fence stands around them or not, since data sets are often stripped of
fences: signs such as ``( = ; {`` weighed against letters, on the line and on those beside it. Its tokens are names,
numbers and signs, in their case, without what formatters put in and take out: space, quotes, commas and semicolons.
"""

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
        return self.words.count(b" ") + 1 if self.words else 0


def read(text: str) -> Text:
    """Return the words and the code of any text; lone surrogates separate words."""
    return Text(*grams.read(text))
