"""The score of a text that grows: each word is read once, whatever comes later."""

import math
import re
from string import ascii_letters, digits

from guard.screening.findings import Finding
from guard.screening.learned.operating import OperatingPoints
from guard.screening.learned.peak import Peak
from guard.screening.learned.reading import Scale, Window
from guard.screening.learned.scorer import Scorer
from guard.screening.learned.twin import LONGEST
from guard.screening.learned.walk import Walk
from guard.screening.normalize import Offsets, fold, folded
from guard.screening.segments import Source

_GATHERED = 4096
"""Characters that are gathered before they are read, where nothing waits for the verdict: most answers are then whole
texts, of which nobody has to know where a window ends."""
_OPEN = re.compile(r"[^\W_\u3040-\u30ff\u3400-\u9fff]")
_ASCII_OPEN = ascii_letters + digits
STEP = 8
"""Words between two looks, where nothing waits."""


class RunningScore:
    """Scores one growing text. What it finds depends on the text alone, never on how it was split into ``feed`` calls.

    ``blocks``: the window is looked at after every word, and nothing of a word is settled before the word has ended.
    """

    __slots__ = (
        "_after_space", "_blocks", "_folded", "_found", "_gathered", "_likeliest", "_offsets", "_peak", "_points",
        "_riskiest", "_scale", "_scorer", "_size", "_source", "_tail", "_walk", "blocked", "scored", "seen",
    )  # fmt: skip

    def __init__(
        self,
        scorer: Scorer,
        scale: Scale,
        points: OperatingPoints,
        source: Source,
        *,
        blocks: bool,
        peak: Peak | None = None,
    ) -> None:
        """``peak`` looks after every word where it ``blocks``, else after every STEP."""
        self.seen = 0
        """Characters fed so far."""
        self.scored = 0
        """Characters, of those, that the score is settled for: up to the end of the last finished word."""
        self.blocked: Finding | None = None
        """The finding that ends the text; from then on ``scored`` stands still."""
        self._scorer, self._scale = scorer, scale
        self._walk: Walk | None = None
        """Made when it is needed: most whole texts need none."""
        self._points = points
        self._source = source
        self._peak = peak
        self._blocks = blocks
        self._gathered: list[str] = []
        self._size = 0
        self._tail = ""
        """The folded beginning of a word that may go on, no more of it than is looked at."""
        self._folded = 0
        """Folded characters so far."""
        self._after_space = False
        self._offsets = Offsets()
        self._riskiest: Window | None = None
        self._likeliest: Window | None = None
        self._found: list[Finding | None] = [None, None]

    @property
    def findings(self) -> list[Finding]:
        """What was found so far: the riskiest window, and the one most like the making of training data."""
        if self._gathered:
            self._read_gathered()
        return [finding for finding in self._found if finding is not None]

    def feed(self, text: str) -> None:
        """Score ``text`` as the continuation of what was fed before."""
        self.seen += len(text)
        if self.blocked is not None:
            return
        if not self._blocks:
            self._gathered.append(text)
            self._size += len(text)
            if self._size >= _GATHERED:
                self._read_gathered()
            return
        self._take(text, self.seen - len(text))

    def whole(self, text: str) -> None:
        """Score ``text``, all there is: ``feed`` and ``finish`` of a fresh score at once."""
        if self._calm(text):
            self.seen = self.scored = len(text)
            return
        self.feed(text)
        self.finish()

    def anew(self) -> "RunningScore":
        """Return a fresh score like this one."""
        return RunningScore(self._scorer, self._scale, self._points, self._source, blocks=self._blocks, peak=self._peak)

    def finish(self) -> None:
        """Score the end of the text: the last word has ended."""
        if self.blocked is not None:
            return
        if self._gathered:
            if self._walk is None and self._calm("".join(self._gathered)):
                self._gathered.clear()
                self.scored = self.seen
                return
            self._read_gathered()
        walk = self._walk or self._begin()
        walk.read(self._tail, self._folded - len(self._tail))
        self._tail = ""
        walk.finish()
        self._judge(walk)
        if self.blocked is None:
            self.scored = self.seen

    def _calm(self, text: str) -> bool:
        """Return whether nothing would be found in ``text``, all there is."""
        if self._peak is None:
            return False
        unsafe, d1 = self._peak(folded(text))
        return not self._points.reached(unsafe, d1, code=False)

    def _read_gathered(self) -> None:
        text = "".join(self._gathered)
        self._gathered.clear()
        self._size = 0
        self._take(text, self.seen - len(text))

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
        walk = self._walk or self._begin()
        walk.read(said[:whole], before - len(tail))
        word = said[whole:]
        self._tail = word[: 3 if _is_digit(word[:1]) else LONGEST]
        self._judge(walk)
        self._offsets.forget(walk.begin)

    def _begin(self) -> Walk:
        """Begin to read."""
        blocks, points = self._blocks, self._points
        self._walk = walk = Walk(
            self._scorer, self._scale, 1 if blocks else STEP, points.unsafe.block if blocks else math.inf
        )
        self._riskiest, self._likeliest = walk.unsafe, walk.d1
        return walk

    def _judge(self, walk: Walk) -> None:
        """Take in what the walk found."""
        points = self._points
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
    if said.isascii():
        at = len(said.rstrip(_ASCII_OPEN))
        word = said[at:]
        if not word or word.isalpha() or word.isdigit():
            return at
    at = len(said)
    while at and _OPEN.match(said[at - 1]):
        at -= 1
        if at < len(said) - 1 and _is_digit(said[at]) != _is_digit(said[at + 1]):
            return at + 1
    return at


def _is_digit(character: str) -> bool:
    return "0" <= character <= "9"
