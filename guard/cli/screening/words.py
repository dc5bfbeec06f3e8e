"""What each word of a text adds to the learned tier's logit: exact, because the model is a sum."""

from typing import NamedTuple

from guard.screening.learned.reading import UNSAFE, Scale, Window, empty
from guard.screening.learned.scorer import Scorer, scorer
from guard.screening.learned.twin import START
from guard.screening.learned.weights import Weights


class Word(NamedTuple):
    """A word of the window, all its occurrences together, and what they add to the logit of ``unsafe``."""

    text: str
    times: int
    weight: float


class Words:
    """Takes windows of one model apart, with the compiled scorer where there is one."""

    def __init__(self, weights: Weights, inner: Scorer | None = None) -> None:
        self._scorer = scorer(weights.table) if inner is None else inner
        self._scale = Scale(weights)

    def of(self, folded: str, window: Window) -> list[Word]:
        """Return the words of ``window`` of ``folded``, the heaviest first whatever their sign.

        A word counts with the pairs that it makes with the two words before it. The weights and ``bias`` add up to the
        window's logit.
        """
        found: dict[str, tuple[int, int]] = {}
        at, second, first = 0, 0, START
        while at < window.end:
            sums = empty()
            end, taken, second, first = self._scorer.take(folded, at, 1, second, first, sums)
            if not taken:
                break
            if end > window.start:
                word = _word(folded[at:end])
                times, total = found.get(word, (0, 0))
                found[word] = times + 1, total + sums[UNSAFE]
            at = end
        words = [
            Word(text, times, self._scale.unsafe(total, window.words) - self.bias)
            for text, (times, total) in found.items()
        ]
        return sorted(words, key=lambda word: -abs(word.weight))

    @property
    def bias(self) -> float:
        """The logit of no words."""
        return self._scale.unsafe(0, 0)


def _word(text: str) -> str:
    """Return the word that ``text`` ends with; before it are only characters that are part of none."""
    start = next((at for at, character in enumerate(text) if character.isalnum() or character == "?"), len(text) - 1)
    return text[start:]
