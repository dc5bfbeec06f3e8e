"""Spans of a text that leave as something else."""

from bisect import bisect_right, insort
from typing import NamedTuple


class Span(NamedTuple):
    """``text[start:end]`` is replaced. Spans that overlap are one, and the earliest, then the longest, is its head."""

    start: int
    end: int
    replacement: str
    head: tuple[int, str] = (0, "")
    """Of the finding whose replacement it is: the end, negative, and the rule."""


class Masks:
    """The masked spans of one growing text. What they make of it does not depend on the order they were added in."""

    __slots__ = ("spans",)

    def __init__(self) -> None:
        self.spans: list[Span] = []
        """Disjoint, in order."""

    def __bool__(self) -> bool:
        return bool(self.spans)

    def add(self, rule: str, start: int, end: int, replacement: str) -> None:
        """Mask ``text[start:end]``, which ``rule`` found."""
        span = Span(start, end, replacement, (-end, rule))
        spans = self.spans
        low = bisect_right(spans, start, key=lambda other: other.end)
        high = low
        while high < len(spans) and spans[high].start < end:
            other = spans[high]
            first = min(span, other, key=lambda each: (each.start, each.head))
            span = Span(first.start, max(span.end, other.end), first.replacement, first.head)
            high += 1
        del spans[low:high]
        insort(spans, span)

    def touch(self, start: int, end: int) -> bool:
        """Return whether any of ``text[start:end]`` is masked."""
        at = bisect_right(self.spans, start, key=lambda span: span.end)
        return at < len(self.spans) and self.spans[at].start < end

    def apply(self, text: str, start: int) -> str:
        """Return what is left of ``text``, a piece that begins at ``start``.

        A replacement stands where its span begins, so pieces put together are the text put together.
        """
        end = start + len(text)
        at = bisect_right(self.spans, start, key=lambda span: span.end)
        parts, done = [], start
        while at < len(self.spans) and self.spans[at].start < end:
            span = self.spans[at]
            if span.start >= start:
                parts += [text[done - start : span.start - start], span.replacement]
            done = min(span.end, end)
            at += 1
        parts.append(text[done - start :])
        return "".join(parts)
