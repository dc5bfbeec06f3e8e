"""How high a whole text comes: what a walk would find at its highest, and nothing else of it.

Most texts stay below every threshold, and nobody asks which window of them was the highest. So two heads of seventeen
are summed, which fit the processor's caches; a text that comes too high is walked for the rest.
"""

from collections.abc import Callable

from guard.screening.learned.reading import BLOCK, Scale
from guard.screening.learned.scorer import Scorer

Peak = Callable[[str], tuple[float, float]]
"""Returns ``highest`` and ``highest_d1`` of a walk through a folded text, bit for bit."""


def peak(scorer: Scorer, scale: Scale, step: int = BLOCK) -> Peak | None:
    """Return what says how high a text comes, looking after every ``step`` words, which divides BLOCK.

    None where nothing was compiled: a walk says it as fast.
    """
    compiled = getattr(scorer, "peak", None)
    if compiled is None:
        return None
    units = scale.units

    def of(text: str) -> tuple[float, float]:
        highest: tuple[float, float] = compiled(text, step, units)
        return highest

    return of
