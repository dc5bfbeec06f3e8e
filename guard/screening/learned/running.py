"""The score of a text that grows: each word is read once, whatever comes later."""

import re

from guard.screening.findings import Finding
from guard.screening.learned.operating import OperatingPoints
from guard.screening.learned.reading import Scale
from guard.screening.learned.scorer import Scorer
from guard.screening.learned.twin import LONGEST
from guard.screening.learned.walk import Walk
from guard.screening.normalize import Offsets, fold
from guard.screening.segments import Source

_GATHERED = 256
"""Characters that are gathered before they are read, where nothing waits for the verdict."""
_OPEN = re.compile(r"[^\W_\u3040-\u30ff\u3400-\u9fff]")
_STEP = 8
"""Words between two looks, where nothing waits."""


class RunningScore:
    """Scores one growing text. What it finds depends on the text alone, never on how it was split into ``feed`` calls.

    ``blocks``: the window is looked at after every word, and nothing of a word is settled before the word has ended.
    """

    __slots__ = (
        "_after_space", "_blocks", "_folded", "_found", "_gathered", "_likeliest", "_offsets", "_points", "_riskiest",
        "_size", "_source", "_tail", "_walk", "blocked", "scored", "seen",
    )  # fmt: skip

    def __init__(self, scorer: Scorer, scale: Scale, points: OperatingPoints, source: Source, *, blocks: bool) -> None:
        self.seen = 0
        """Characters fed so far."""
        self.scored = 0
        """Characters, of those, that the score is settled for: up to the end of the last finished word."""
        self.blocked: Finding | None = None
        """The finding that ends the text; from then on ``scored`` stands still."""
        self._walk = Walk(scorer, scale, 1, points.unsafe.block) if blocks else Walk(scorer, scale, _STEP)
        self._points = points
        self._source = source
        self._blocks = blocks
        self._gathered: list[str] = []
        self._size = 0
        self._tail = ""
        """The folded beginning of a word that may go on, no more of it than is looked at."""
        self._folded = 0
        """Folded characters so far."""
        self._after_space = False
        self._offsets = Offsets()
        self._riskiest, self._likeliest = self._walk.unsafe, self._walk.d1
        self._found: list[Finding | None] = [None, None]

    @property
    def findings(self) -> list[Finding]:
        """What was found so far: the riskiest window, and the one most like the making of training data."""
        return [finding for finding in self._found if finding is not None]

    def feed(self, text: str) -> None:
        """Score ``text`` as the continuation of what was fed before."""
        self.seen += len(text)
        if self.blocked is not None:
            return
        if not self._blocks:
            self._gathered.append(text)
            self._size += len(text)
            if self._size < _GATHERED:
                return
            text = "".join(self._gathered)
            self._gathered.clear()
            self._size = 0
        self._take(text, self.seen - len(text))

    def finish(self) -> None:
        """Score the end of the text: the last word has ended."""
        if self.blocked is not None:
            return
        if self._gathered:
            text = "".join(self._gathered)
            self._gathered.clear()
            self._take(text, self.seen - len(text))
        self._walk.read(self._tail, self._folded - len(self._tail))
        self._tail = ""
        self._walk.finish()
        self._judge()
        if self.blocked is None:
            self.scored = self.seen

    def _take(self, text: str, begin: int) -> None:
        """Read ``text``, the characters from ``begin`` on, as far as its words are finished."""
        folded = fold(text, after_space=self._after_space)
        if not folded:
            return
        before, tail = self._folded, self._tail
        self._offsets.extend(text, len(folded), before, begin, after_space=self._after_space)
        self._after_space = folded[-1] == " "
        self._folded = before + len(folded)
        said = tail + folded
        whole = _finished(said)
        self._walk.read(said[:whole], before - len(tail))
        word = said[whole:]
        self._tail = word[: 3 if _is_digit(word[:1]) else LONGEST]
        self._judge()
        self._offsets.forget(self._walk.begin)

    def _judge(self) -> None:
        """Take in what the walk found."""
        walk, points = self._walk, self._points
        if walk.unsafe is not self._riskiest:
            self._riskiest = walk.unsafe
            self._found[0] = points.hazard(walk, self._offsets, self._source)
        if walk.d1 is not self._likeliest:
            self._likeliest = walk.d1
            self._found[1] = points.training_data(walk, self._offsets, self._source)
        if walk.stopped:
            self.blocked = self._found[0]
        if self._blocks and walk.passed:
            self.scored = self._offsets.original(walk.passed - 1) + 1


def _finished(said: str) -> int:
    """Return where the word begins that ``said`` ends with and that may go on; its length if there is none."""
    at = len(said)
    while at and _OPEN.match(said[at - 1]):
        at -= 1
        if at < len(said) - 1 and _is_digit(said[at]) != _is_digit(said[at + 1]):
            return at + 1
    return at


def _is_digit(character: str) -> bool:
    return "0" <= character <= "9"
