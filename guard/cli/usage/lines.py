"""Tables and paragraphs in plain text: the same lines on every terminal."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from textwrap import wrap

WIDTH = 100


def item(text: str, indent: str = "") -> Iterator[str]:
    """Yield ``text`` as an entry of a list."""
    return wrapped(text, f"{indent}- ", f"{indent}  ")


def wrapped(text: str, first: str = "", rest: str = "") -> Iterator[str]:
    """Yield ``text`` in lines of at most ``WIDTH`` characters; what has no spaces stays whole."""
    yield from wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False,
                    break_long_words=False)  # fmt: skip


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table; columns of numbers are aligned at their right."""
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip_longest(headings, *rows, fillvalue="")]
    number = [all(row[place].replace(",", "").isdigit() or row[place] in {"?", "withdrawn"} for row in rows)
              for place in range(len(headings))]  # fmt: skip
    for row in (headings, ["-" * width for width in widths], *rows):
        cells = (cell.rjust(width) if right else cell.ljust(width)
                 for cell, width, right in zip(row, widths, number, strict=True))  # fmt: skip
        yield "  ".join(cells).rstrip()
