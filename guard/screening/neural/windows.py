"""Which stretches of a prompt the model reads: whole texts where they fit, overlapping windows where they do not.

The model reads ``max_tokens`` at a time, and a prompt may be a book. At most ``MOST_WINDOWS`` windows of a prompt are
read; of a longer one the first and last window of what the user wrote last, and then those that the learned tier finds
riskiest, or, without it, windows at even distances. Text is folded first (``guard.screening.normalize``), and what is
hidden in an encoding or a spelling is read too.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from guard.screening.decode import Variant, variants
from guard.screening.neural.tokens import Tokens
from guard.screening.normalize import Offsets, fold
from guard.screening.segments import Segment, Source

MOST_WINDOWS = 16
"""Of one prompt."""
PIECE = 4096
"""Characters that are turned into tokens at a time; at most MOST_WINDOWS pieces of a prompt are."""
PIECE_OVERLAP = 512
OVERLAP = 64
"""Tokens that two neighboring windows share."""
UNREAD = frozenset({Source.TOOL_DEFINITION})
"""Sources that are not read: whoever runs the service writes them, in the words of what they are to prevent."""

T = TypeVar("T")


class Window(NamedTuple):
    """What the model reads at a time, and where it stands in the original text."""

    ids: list[int]
    """With the special tokens at both ends."""
    text: str
    """As it was read: folded, decoded."""
    segment: int
    """Which segment of the prompt it is from."""
    start: int
    end: int
    transform: str | None


class _Piece(NamedTuple):
    segment: int
    text: str
    """Original, or a variant's, not folded."""
    offset: int
    """Where it begins in the segment's or the variant's text."""
    variant: Variant | None


def windows(
    segments: Sequence[Segment],
    tokens: Tokens,
    max_tokens: int,
    unsafe: Callable[[str], float] | None,
) -> tuple[list[Window], int]:
    """Return the windows of ``segments`` to be read, and how many there were before the choice.

    ``unsafe`` is the learned tier's score of a text for all hazards together, the larger the riskier; None: not known.
    """
    pieces = [piece for number, segment in enumerate(segments) for piece in _pieces(number, segment)]
    newest = max((i for i, segment in enumerate(segments) if segment.source is Source.USER), default=None)
    risks = [unsafe(fold(piece.text)) for piece in pieces] if unsafe and len(pieces) > MOST_WINDOWS else None
    chosen = _choose(pieces, [piece.segment == newest for piece in pieces], risks)
    found = [window for piece in chosen for window in _windows(piece, tokens, max_tokens)]
    skipped = len(pieces) - len(chosen)
    if len(found) <= MOST_WINDOWS:
        return found, len(found) + skipped
    scores = [unsafe(window.text) for window in found] if unsafe is not None else None
    return _choose(found, [window.segment == newest for window in found], scores), len(found) + skipped


def _choose(found: Sequence[T], newest: Sequence[bool], scores: Sequence[float] | None) -> list[T]:
    if len(found) <= MOST_WINDOWS:
        return list(found)
    own = [index for index, new in enumerate(newest) if new] or list(range(len(found)))
    kept = {own[0], own[-1]}
    others = [index for index in range(len(found)) if index not in kept]
    room = MOST_WINDOWS - len(kept)
    if scores is not None:
        kept.update(sorted(others, key=lambda index: -scores[index])[:room])
    else:
        kept.update(others[index * len(others) // room] for index in range(room))
    return [found[index] for index in sorted(kept)]


def _pieces(number: int, segment: Segment) -> Iterator[_Piece]:
    text = segment.text
    if segment.source in UNREAD or not text or text.isspace():
        return
    yield from (_Piece(number, part, offset, None) for part, offset in _cut(text, 0, len(text)))
    for variant in variants(text):
        # What a variant leaves as it was is read already, but for what is next to the hidden words.
        before, after = _same(text, variant.text), _same(text[::-1], variant.text[::-1])
        low = max(0, before - PIECE_OVERLAP)
        high = min(len(variant.text), max(before + 1, len(variant.text) - after) + PIECE_OVERLAP)
        yield from (_Piece(number, part, offset, variant) for part, offset in _cut(variant.text, low, high))


def _same(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def _cut(text: str, low: int, high: int) -> Iterator[tuple[str, int]]:
    while True:
        yield text[low : min(low + PIECE, high)], low
        if low + PIECE >= high:
            return
        low += PIECE - PIECE_OVERLAP


def _windows(piece: _Piece, tokens: Tokens, max_tokens: int) -> Iterator[Window]:
    folded = fold(piece.text)
    read = tokens.read(folded)
    count, room = len(read.ids), max_tokens - 2
    if not count:
        return
    places = Offsets()
    places.extend(piece.text, len(folded), 0, 0, after_space=False)
    for first in range(0, count, room - min(OVERLAP, room // 2)):
        last = min(first + room, count)
        start, end = read.spans[first][0], read.spans[last - 1][1]
        low = piece.offset + places.original(start)
        high = piece.offset + places.original(end - 1) + 1
        if piece.variant is not None:
            low, high = piece.variant.span(low, high)
        yield Window(
            [tokens.begin, *read.ids[first:last], tokens.end],
            folded[start:end],
            piece.segment,
            low,
            high,
            piece.variant.transform if piece.variant is not None else None,
        )
        if last == count:
            return
