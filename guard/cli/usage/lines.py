"""Tables and paragraphs in plain text: the same lines on every terminal."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from textwrap import wrap
from typing import Any

WIDTH = 100
_NO_NUMBERS = {"?", "-", "unknown", "withdrawn"}
"""What stands in the place of a number."""
AS_PEOPLE = "read as people: an application's shared credential is no user."


def item(text: str, indent: str = "") -> Iterator[str]:
    """Yield ``text`` as an entry of a list."""
    return wrapped(text, f"{indent}- ", f"{indent}  ")


def wrapped(text: str, first: str = "", rest: str = "") -> Iterator[str]:
    """Yield ``text`` in lines of at most ``WIDTH`` characters; what has no spaces stays whole."""
    yield from wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False,
                    break_long_words=False)  # fmt: skip


def counts_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the counts of ``figure_document`` as a table."""
    yield from table(
        ("license", "users", "at least", "at most", "exact"),
        [
            [
                each["license"],
                f"{each['users']:,}" if each["counted"] else "-",
                f"{each['lower']:,}",
                "unknown" if each["upper"] is None else f"{each['upper']:,}",
                "yes" if each["exact"] else "no",
            ]
            for each in rows
        ],
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table; columns of numbers are aligned at their right."""
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip_longest(headings, *rows, fillvalue="")]
    number = [all(row[place].replace(",", "").isdigit() or row[place] in _NO_NUMBERS for row in rows)
              for place in range(len(headings))]  # fmt: skip
    for row in (headings, ["-" * width for width in widths], *rows):
        cells = (cell.rjust(width) if right else cell.ljust(width)
                 for cell, width, right in zip(row, widths, number, strict=True))  # fmt: skip
        yield "  ".join(cells).rstrip()
