"""A growing text whose words are held until the learned tier has scored them, because it may end the text."""

import re

from guard.screening.findings import Finding
from guard.screening.stream.channel import ChannelScreen, Score
from guard.screening.stream.masks import Masks

_WORD = re.compile(r"[^\W_]")
_PIECE = re.compile(r"[^a-zA-Z0-9]?[a-zA-Z]+|.", re.DOTALL)
"""Of a text, so much that only its first character may end a word."""


class ScoredScreen:
    """The screen of the rules and a score that blocks, with the contract of ``ChannelScreen``.

    At each character the score speaks first; what it ends is cleared no further than before that character.
    """

    __slots__ = ("_blocking", "_holds", "_passed", "_score", "_screen", "_stopped", "_unscored", "seen")

    def __init__(self, screen: ChannelScreen, score: Score, blocking: frozenset[str]) -> None:
        """``screen`` reads for the rules; ``score`` ends the text in a category of ``blocking``, notes it in others."""
        self.seen = 0
        """Characters fed so far."""
        self._screen = screen
        self._score = score
        self._blocking = blocking
        self._holds = True
        """The score has not stopped."""
        self._passed = 0
        """Where the first word begins that is not scored; what stands between words is not scored at all."""
        self._unscored: list[str] = []
        """The text from there on."""
        self._stopped: tuple[Finding, int] | None = None
        """By what the score ended the text, and where."""

    @property
    def blocked(self) -> Finding | None:
        """The first finding that blocks."""
        return self._screen.blocked if self._stopped is None else self._stopped[0]

    @property
    def cleared(self) -> int:
        """Characters that may be released: nothing of a word that is not scored, or that a rule holds."""
        if self._stopped is not None:
            return self._stopped[1]
        return min(self._screen.cleared, self._passed) if self._holds else self._screen.cleared

    @property
    def findings(self) -> list[Finding]:
        """Every finding so far: those of the rules, then those of the score."""
        return [*self._screen.findings, *self._score.findings]

    @property
    def masks(self) -> Masks:
        """What is replaced in the text, complete up to ``cleared``."""
        return self._screen.masks

    @property
    def may_mask(self) -> bool:
        """Whether any rule may mask."""
        return self._screen.may_mask

    @property
    def scanned(self) -> int:
        """Characters that the rules examined so far, repeats included."""
        return self._screen.scanned

    def feed(self, text: str) -> None:
        """Screen ``text`` as the continuation of what was fed before."""
        self.seen += len(text)
        if not self._holds:
            self._screen.feed(text)
            return
        for piece in _PIECE.finditer(text):
            if self.blocked is not None:
                return
            cleared = self.cleared
            self._score.feed(piece[0])
            if not self._stop(cleared):
                self._pass(piece[0])
                self._screen.feed(piece[0])

    def finish(self) -> None:
        """Screen the end of the text: ``cleared`` reaches ``seen`` unless it is blocked."""
        if self.blocked is not None:
            return
        cleared = self.cleared
        if self._holds:
            self._score.finish()
        if not self._stop(cleared):
            self._passed = self.seen
            self._screen.finish()

    def whole(self, text: str) -> None:
        """Screen ``text`` as all there is: what ``feed`` and ``finish`` do, in one go; only a fresh screen can."""
        found = self._screen.noted(text)
        if found is not None:
            score = self._score
            score.whole(text)
            if score.blocked is None:
                self._screen.take(text, found)
                self.seen = self._passed = len(text)
                return
            self._score = score.anew()
        self.feed(text)
        self.finish()

    def _pass(self, piece: str) -> None:
        scored, begun = self._score.scored, bool(self._unscored)
        self._unscored.append(piece)
        if begun and scored <= self._passed:
            return  # the same word goes on
        text = "".join(self._unscored)
        text = text[max(0, scored - self._passed) :]
        word = _WORD.search(text)
        self._passed = max(scored, self._passed) + (len(text) if word is None else word.start())
        self._unscored = [] if word is None else [text[word.start() :]]

    def _stop(self, cleared: int) -> bool:
        """Return whether the score ends the text, of which ``cleared`` characters were cleared before."""
        finding = self._score.blocked
        if finding is None or not self._holds:
            return False
        if finding.category in self._blocking:
            self._stopped = finding, cleared
            return True
        self._holds = False
        return False
