"""Where a text is prose and where it is program code, by Markdown's fences and backticks (CommonMark 0.31, 4.5, 6.1).

Code is full of words that mean something else there, so checks that score wording treat it apart. What is fenced is
still read: a fence is no place to hide.
"""

import re
from bisect import bisect_left

_FENCE = re.compile(r"\n {0,3}(```+|~~~+)([^\n]*)")
_TICKS = re.compile("``*+")
MOST_SPANS = 1000
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def prose(text: str) -> list[tuple[int, int]]:
    """Return the spans of ``text`` outside of fenced code blocks and inline code, in order, none of them empty.

    A fence that is not closed reaches to the end, backticks that are not closed are none. The fences and backticks
    belong to the code. Linear in the length of ``text``; a text without backticks and tildes is one span, and so is one
    that would have more than MOST_SPANS: then all of it is read as prose.
    """
    if "`" not in text and ("~" not in text or "~~~" not in text):
        return [(0, len(text))] if text else []
    spans: list[tuple[int, int]] = []
    done = 0
    for start, end in _blocks(text):
        spans += _outside(text, done, start)
        if len(spans) > MOST_SPANS:
            return [(0, len(text))]
        done = end
    spans += _outside(text, done, len(text))
    return spans if len(spans) <= MOST_SPANS else [(0, len(text))]


def _blocks(text: str) -> list[tuple[int, int]]:
    """Return the spans of the fenced code blocks."""
    blocks: list[tuple[int, int]] = []
    if "```" not in text and "~~~" not in text:
        return blocks
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer("\n" + text):
        if opened is None:
            if fence[1][0] == "~" or "`" not in fence[2]:
                opened = fence
        elif fence[1].startswith(opened[1]) and not fence[2].strip():
            blocks.append((opened.start(), fence.end() - 1))
            opened = None
    if opened is not None:
        blocks.append((opened.start(), len(text)))
    return blocks


def _outside(text: str, low: int, high: int) -> list[tuple[int, int]]:
    """Return the spans of ``text[low:high]`` that are not between backticks; code does not reach over a blank line."""
    spans: list[tuple[int, int]] = []
    runs = [match.span() for match in _TICKS.finditer(text, low, high)]
    if not runs:
        return [(low, high)] if low < high else []
    blank = [match.start() for match in _BLANK_LINE.finditer(text, runs[0][1], runs[-1][0])]
    closing: dict[tuple[int, int], int] = {}
    """By paragraph and length."""
    closes: list[int | None] = [None] * len(runs)
    for index in range(len(runs) - 1, -1, -1):
        start, end = runs[index]
        run = bisect_left(blank, start), end - start
        closes[index] = closing.get(run)
        closing[run] = index
    done, index = low, 0
    while index < len(runs):
        close = closes[index]
        if close is not None:
            spans.append((done, runs[index][0]))
            done, index = runs[close][1], close
        index += 1
    spans.append((done, high))
    return [span for span in spans if span[0] < span[1]]
