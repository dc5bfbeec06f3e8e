"""A text read in windows: every two neighboring blocks are one, and the text is as risky as its riskiest window.

So one sentence is not diluted by the pages around it, and a stream is scored as it grows, each word once.
"""

import math

from guard.screening.learned.reading import BLOCK, D1, UNSAFE, Scale, Window, empty
from guard.screening.learned.scorer import Scorer
from guard.screening.learned.twin import START


class Walk:
    """Reads folded text on and on; looks at the window that ends there after every ``step`` words and at the end.

    ``step`` divides BLOCK. What it found depends on the text and ``step`` alone, not on how the text was split into
    pieces; but a piece ends where a word does.
    """

    __slots__ = (
        "_before", "_begin", "_earlier", "_end", "_first", "_scale", "_second", "_since", "_step", "_stop", "_sums",
        "_take", "_words", "d1", "highest", "highest_d1", "passed", "stopped", "unsafe",
    )  # fmt: skip

    def __init__(self, scorer: Scorer, scale: Scale, step: int, stop: float = math.inf) -> None:
        """``stop``: it reads no further than the first window whose ``unsafe`` is that or more."""
        self._take = scorer.take
        self._scale = scale
        self._step = step
        self._stop = stop
        self._second, self._first = 0, START
        self._before, self._earlier = empty(), 0
        """Sums and words of the block before."""
        self._sums, self._words, self._since = empty(), 0, 0
        self._begin = (0, 0)
        """Folded offsets at which the block before and this one begin."""
        self._end = 0
        self.stopped = False
        self.passed = 0
        """Where the last word before the last look ended, the one that stopped it apart: a folded offset."""
        self.highest = self.highest_d1 = -math.inf
        """The logits of the two windows."""
        self.unsafe = self.d1 = Window(self._before, self._sums, 0, 0, 0)
        """The riskiest window so far, and the one that most looks like the making of training data."""

    def read(self, text: str, offset: int) -> None:
        """Read ``text``, folded and in whole words, whose first character is the one at ``offset``."""
        at = 0
        if self.stopped:
            return
        while True:
            at, taken, self._second, self._first = self._take(
                text, at, self._step - self._since, self._second, self._first, self._sums
            )
            self._since += taken
            self._words += taken
            if taken:
                self._end = offset + at
            if self._since < self._step:
                return
            if self._look():
                return
            if self._words == BLOCK:
                self._before, self._earlier = self._sums, BLOCK
                self._sums, self._words = empty(), 0
                self._begin = self._begin[1], self._end

    @property
    def begin(self) -> int:
        """The first folded character that a later window may begin with."""
        return self._begin[0 if self._earlier else 1]

    def finish(self) -> None:
        """Look at the window at the end, if words came after the last look or none was made."""
        if not self.stopped and (self._since or self.highest == -math.inf):
            self._look()

    def _look(self) -> bool:
        """Look at the window that ends here; return whether it is one to stop at."""
        self._since = 0
        words = self._earlier + self._words
        before, sums = self._before, self._sums
        unsafe = self._scale.unsafe(before[UNSAFE] + sums[UNSAFE], words)
        d1 = self._scale.d1(before[D1] + sums[D1], words)
        if unsafe > self.highest or d1 > self.highest_d1:
            window = Window(before, sums[:], words, self.begin, self._end)
            if unsafe > self.highest:
                self.highest, self.unsafe = unsafe, window
            if d1 > self.highest_d1:
                self.highest_d1, self.d1 = d1, window
        self.stopped = unsafe >= self._stop
        if not self.stopped:
            self.passed = self._end
        return self.stopped
