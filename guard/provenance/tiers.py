"""How certain it is that a text of a data set is an output, by which of its fingerprints stand in the output.

A copy in which words were replaced loses fingerprints everywhere a little, so what is left is spread evenly over the
text. Honest agreement of two writers comes in lumps: a list, a definition, a calculation. So the fewer of a text's
fingerprints are found, the more evenly they have to be spread for strong evidence.

Everything here is a pure function of the bits that the search reports: bit i of a mask is the text's i-th fingerprint,
in the order of lanes (words, characters of scripts without spaces, code) and of positions inside a lane.
"""

from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from guard.provenance.words import Text

STRETCHES = 8
"""Equal parts of a text in which its fingerprints are counted, to see how evenly the found ones are spread."""
FORMAL_PERCENT = 20
"""A text is formal if this share of its words or more is code or numbers; three tokens of code make two words."""
FALSE_POSITIVES = 0.005
"""The most that tier B was calibrated to take for outputs of other models' answers to the very same prompts; of
unrelated texts it takes none in 20,000 (``benchmarks/attacks.py``)."""


class Tier(IntEnum):
    """How certain it is that a text is an output; the larger is the more certain."""

    C = 1
    """For review."""
    B = 2
    """Strong evidence."""
    A = 3
    """Proof."""


class Rule(NamedTuple):
    """What has to be found of a text: so many fingerprints, such a share of all, in so many of its equal stretches."""

    least: int
    percent: int
    stretches: int = 0


STRONG = (Rule(3, 80), Rule(4, 50), Rule(4, 40, 5), Rule(6, 30, 5), Rule(8, 25, 6))
"""Any one of these is tier B."""
ALIKE = (Rule(8, 80), Rule(8, 40, 7))
"""Tier B by the words alone of a formal text: two programs for one task share many words, but neither nearly all nor
some of them everywhere; and a text that was put on one line may look like code where it did not before."""
STRONG_CODE = (Rule(6, 80),)
"""Tier B by the code lane: two programs for one task share half of it, calls and imports that all write alike."""
REVIEW = Rule(3, 20)
"""Tier C."""


class Strength(NamedTuple):
    """What the fingerprints that a text shares with one output are worth."""

    tier: Tier | None
    """B, C, or None where they tell nothing."""
    matched: int
    of: int
    """Fingerprints of the text that count: of its words, or of its code where it is formal."""
    common: bool = False
    """It would be strong evidence, if so many of the fingerprints did not stand in answers to many prompts. That is for
    review and not nothing: whoever asks three times for the same makes any answer common."""


def formal(text: Text, words: int) -> bool:
    """Return whether ``text``, which has so many ``words``, is to a good part code or numbers.

    What a task has one right answer to, a program or a calculation, different writers put down in the same words.
    """
    tokens = text.code.count(b" ") + 1 if text.code else 0
    return 100 * (2 * tokens + 3 * text.numbers) >= 3 * FORMAL_PERCENT * words > 0


def strength(mask: int, stops: int, lanes: tuple[int, int, int], *, formal: bool = False) -> Strength:
    """Return what it is worth that the fingerprints in ``mask`` of a text stand in one output.

    ``lanes`` are the text's fingerprints by lane. Those in ``stops`` stand in answers to three prompts or more: they
    count neither as found nor as looked for. A ``formal`` text has to be found by its code lane, in which case and
    signs count, or by nearly all of its words or many of them everywhere, for more than a review.
    """
    prose = lanes[0] + lanes[1]
    words = _strength(mask, stops, 0, prose, STRONG)
    if not formal:
        return words if prose else _strength(mask, stops, 0, lanes[2], STRONG_CODE)
    tokens = _strength(mask, stops, prose, lanes[2], STRONG_CODE)
    if tokens.tier is Tier.B or words.tier is None:
        return tokens
    counted = ((1 << prose) - 1) & ~stops
    alike = any(_holds(rule, mask & counted, counted, 0, prose) for rule in ALIKE)
    return words if alike else words._replace(tier=Tier.C)


def _strength(mask: int, stops: int, first: int, count: int, strong: tuple[Rule, ...]) -> Strength:
    lane = ((1 << count) - 1) << first
    counted = lane & ~stops
    found, of = mask & counted, counted.bit_count()
    matched = found.bit_count()
    if any(_holds(rule, found, counted, first, count) for rule in strong):
        return Strength(Tier.B, matched, of)
    if _holds(REVIEW, found, counted, first, count):
        return Strength(Tier.C, matched, of)
    if of < count and any(_holds(rule, mask & lane, lane, first, count) for rule in strong):
        return Strength(Tier.C, (mask & lane).bit_count(), count, common=True)
    return Strength(None, matched, of)


def _holds(rule: Rule, found: int, counted: int, first: int, count: int) -> bool:
    matched = found.bit_count()
    if matched < rule.least or 100 * matched < rule.percent * counted.bit_count():
        return False
    if not rule.stretches:
        return True
    stretches = [stretch for stretch in _stretches(first, count) if stretch & counted]
    reached = sum(1 for stretch in stretches if stretch & found)
    return STRETCHES * reached >= rule.stretches * len(stretches)


@lru_cache(maxsize=1024)
def _stretches(first: int, count: int) -> tuple[int, ...]:
    """Return the masks of the equal stretches of ``count`` fingerprints from bit ``first`` on."""
    edges = [first + count * at // STRETCHES for at in range(STRETCHES + 1)]
    return tuple((1 << end) - (1 << start) for start, end in pairwise(edges))
