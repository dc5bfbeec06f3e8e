"""Winnowed, keyed grams of a text: enough to find it again, not enough to read it.

Winnowing (Schleimer, Wilkerson, Aiken, SIGMOD 2003) over runs of K words, the least of every W neighboring runs kept:
two texts that share W + K - 1 = 13 words in a row share a gram, and no run shorter than K = 6 words makes one. About 2
in W + 1 runs are kept, 0.22 per word. Three lanes:

- words: all of a text, code and markup included, so that reformatting changes nothing;
- letters, instead of words where a script has no spaces: runs of 12 letters of Han and Kana (a word is 1.7 of them, so
  these are 7 words) and of 24 letters of Thai, Lao, Khmer and Myanmar (6 words), the least of 12 and of 24 kept. A run
  of 6 letters is 3 words or fewer, which all writers share. Any 23 (47) letters in a row are found, 14 words or so, at
  0.26 grams per word of Han;
- code, besides: runs of 24 tokens, two or three lines, the least of 24 kept. Shorter runs are boilerplate: the head of
  a loop has 14 tokens. Any 47 tokens in a row are found, about five lines; 0.08 grams per token.

A word is hashed once with the key; runs are weighted sums of word hashes (weights 1, 2, 4 .. , so that no exchange of
words gives the same sum by construction), which is what makes this fast. Sums of known words could be solved for
unknown ones, so no gram of an answer leaves memory: what is kept is its keyed BLAKE2b under the key of the month
(``seal``), and that is of no use once the month's key is gone.

Runs that stand in the prompt are the asker's words and are left out. Who wrote a text cannot be told from its words
when there are few of them, or when most were in the prompt: different models honestly write the same short answers and
the same corrections.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from guard.provenance.grams import cut, grams, seal
from guard.provenance.grams_twin import BITS, WORDS, Looked
from guard.provenance.words import Text

__all__ = ["BITS", "MOST", "NOTHING", "NO_ECHO", "RUN", "Echo", "Fingerprinter", "Fingerprints", "seal"]

RUN = WORDS.overlap + 1
"""A shared run of this many words is always found."""
ATTRIBUTABLE = 40
"""Words from which on a text may be attributed by its grams."""
MOST = 120
"""Grams of a piece, at most."""
_WHOLE, _PIECE, _CODE_PIECE, _OVERLAP = 512, 256, 768, 46


class Echo(NamedTuple):
    """What a prompt says, so that it can be told from what its answer adds."""

    runs: Any
    """Of the form of ``grams`` that made it."""


NO_ECHO = Echo(None)


class Fingerprints(NamedTuple):
    """What a text leaves behind."""

    grams: bytes
    """Little-endian 64-bit numbers below 2 ** 60, each once in its lane: lane after lane, in the order of the text."""
    words: int
    """Words; a letter that is one counts for less: 0.6 of Han and Kana, 0.25 of Thai, Lao, Khmer and Myanmar."""
    code: int
    """Tokens of code."""
    lanes: tuple[int, int, int]
    """How many grams are of words, of letters and of code."""
    echoed: bool
    """More than a quarter of the words stand in runs of three (6 and 12 letters) that the prompt has too. Corrections,
    translations of a line and tables of what was given are that near to their prompts, free answers are below a seventh
    (``data/answers``)."""

    @property
    def attributable(self) -> bool:
        """True where grams say something about who wrote the text.

        That takes 40 words. What is code counts half (two of its tokens are a word or a bit more), because models
        honestly write the same short functions.
        """
        return attributable(self.words, self.code, echoed=self.echoed)


def attributable(words: int, code: int, *, echoed: bool) -> bool:
    """Return ``Fingerprints.attributable`` of a text with so many words and tokens of code."""
    return words - code // 4 >= ATTRIBUTABLE and not echoed


_made = tuple.__new__  # a third of what Fingerprints(...) costs
NOTHING = Fingerprints(b"", 0, 0, (0, 0, 0), False)


class Fingerprinter:
    """Fingerprints texts with one key of 1 to 64 bytes; raises ValueError for any other."""

    def __init__(self, master_key: bytes) -> None:
        self._grams = grams(master_key)

    def echo(self, prompt: Text) -> Echo:
        """Return what a prompt says, to be left out of answers to it."""
        return Echo(self._grams.echo(prompt.words, prompt.code))

    def fingerprint(self, text: Text, echo: Echo = NO_ECHO) -> Fingerprints:
        """Return the fingerprints of a text that answers the prompt of ``echo``."""
        return _made(Fingerprints, self._grams.take(text.words, text.code, echo.runs))

    def look(self, pairs: list[tuple[str, str] | None], month: bytes | None) -> list[Looked | None]:
        """Return what pairs of a prompt and its answer leave behind: see ``grams_twin.Grams.look``."""
        return self._grams.look(pairs, month)

    def pieces(self, text: Text) -> Iterable[Fingerprints]:
        """Return the fingerprints of a text of a data set, in pieces of ``MOST`` grams or fewer.

        A text of up to 512 words is one piece if it has no more grams than that. A longer one is cut into pieces of 256
        words (384 at its end) and its code into others of 768 tokens, which overlap so that every run which is always
        found stands in one of them. There is at least one piece.
        """
        if text.count <= _WHOLE or cut(text.words, 0, _WHOLE, _WHOLE, False)[0] == len(text.words):
            whole = self.fingerprint(text)
            if sum(whole.lanes) <= MOST:
                return (whole,)
        return chain(self._cut(text.words, _PIECE, code=False), self._cut(text.code, _CODE_PIECE, code=True))

    def _cut(self, tokens: bytes, size: int, *, code: bool) -> Iterator[Fingerprints]:
        at = 0
        while at < len(tokens):
            end, after = cut(tokens, at, size, size + size // 2, code)
            yield from self._split(tokens[at:end], code=code)
            at = after

    def _split(self, tokens: bytes, *, code: bool) -> Iterator[Fingerprints]:
        """Yield a piece, or its halves if it has too many grams: hardly any text has that."""
        piece = self.fingerprint(Text(b"", tokens) if code else Text(tokens, b""))
        if sum(piece.lanes) <= MOST:
            yield piece
            return
        each = tokens.split(b" ")
        half = len(each) // 2
        yield from self._split(b" ".join(each[: half + _OVERLAP // 2]), code=code)
        yield from self._split(b" ".join(each[half - _OVERLAP // 2 :]), code=code)
