"""HTML, piece by piece; every text from outside goes through ``text``."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from guard.evidence.report.known import Row

_NARROW = 3
"""Columns of a table with numbers that is not made as wide as the page."""


class Html(str):
    """Markup that is ready."""

    __slots__ = ()

    def __add__(self, other: str) -> "Html":
        """Return it with ``other`` behind it, which is text unless it is markup."""
        return Html(str.__add__(self, text(other)))


def text(value: object) -> Html:
    """Return ``value`` as text; markup stays as it is, numbers are grouped, and nothing is a dash."""
    if isinstance(value, Html):
        return value
    if value is None or value == "":
        return Html('<span class="none">\u2013</span>')
    if isinstance(value, bool):
        return Html("yes" if value else "no")
    return Html(escape(f"{value:,}" if isinstance(value, int) else str(value)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Return ``parts`` one after the other; empty ones are none."""
    return Html(between.join(text(part) for part in parts if part != ""))


def element(name: str, *inside: object, **attributes: str) -> Html:
    """Return an element; ``class_`` is its class."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>{join(inside)}</{name}>")


def code(value: object) -> Html:
    """Return a digest, an id or a name as it stands in a file."""
    return element("code", value) if value not in {None, ""} else text(None)


def paragraph(*inside: object, **attributes: str) -> Html:
    """Return a paragraph."""
    return Html(f"{element('p', *inside, **attributes)}\n")


def bullets(items: Sequence[object]) -> Html:
    """Return a list; nothing for none."""
    if not items:
        return Html("")
    return Html(f"<ul>\n{join(element('li', item) + chr(10) for item in map(text, items))}</ul>\n")


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]], **attributes: str) -> Html:
    """Return a table whose rows begin with a heading; columns of numbers are aligned at their right.

    Without rows it is a sentence that there is nothing.
    """
    known = [list(row) for row in rows]
    if not known:
        return paragraph(f"{caption}: nothing on record.", class_="nothing")
    right = [all(isinstance(row[at], int) and not isinstance(row[at], bool) for row in known)
             for at in range(len(headings))]  # fmt: skip
    head = join(_cell("th", heading, right[at], scope="col") for at, heading in enumerate(headings))
    body = join(
        element(
            "tr",
            *(
                _cell("td", cell, right[at]) if at else _cell("th", cell, right[at], scope="row")
                for at, cell in enumerate(row)
            ),
        )
        + "\n"
        for row in known
    )
    if len(headings) <= _NARROW and any(right):
        attributes.setdefault("class_", "narrow")
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(
        f"<table{given}>\n<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{Html(body)}</tbody>\n</table>\n"
    )


def counted(caption: str, names: tuple[str, ...], rows: list[Row]) -> Html:
    """Return counts (``guard.evidence.report.counts``) as a table, with the entries that say so."""
    shown = [(*(row[name] for name in names), row["number"], source(row["source"])) for row in rows]
    return table(caption, (*names, "number", "source"), shown)


def left_out(listed: Row) -> Html:
    """Return how many rows of a list are not shown; nothing if all of them are."""
    return paragraph(f"{listed['left_out']:,} more are not listed.") if listed["left_out"] else Html("")


def section(name: str, title: str, *inside: object) -> Html:
    """Return a section that the contents and the first page lead to."""
    return Html(
        f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{escape(title)}</h2>\n'
        f"{join(inside)}</section>\n"
    )


def source(found: Row) -> Html:
    """Return where a statement comes from, in a few words."""
    return element("span", join(_said(found)), class_="source")


def _said(found: Row) -> list[str]:
    match found:
        case {"entries": entries, "kind": kind}:
            places = [f"{each['journal']} {_range(each)}" for each in entries]
            return [f"{kind} entries: {', '.join(places) or 'none'}"]
        case {"journal": journal, "entry": entry}:
            return [f"{journal} {entry}"]
        case {"journal": journal, "from": first, "to": last}:
            return [f"{journal} {first}\u2013{last}"]
        case {"pack": pack, "clause": clause, "status": status}:
            return [f"pack {pack}, {clause or 'no clause'}, {status}"]
        case _:
            return ["; ".join(f"{name} {_flat(value)}" for name, value in found.items() if value is not None)]


def _range(each: Row) -> str:
    if each["from"] == each["to"]:
        return str(each["from"])
    return f"{each['from']}\u2013{each['to']} ({each['entries']:,})"


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_flat(each) for each in value)
    if isinstance(value, dict):
        return " ".join(str(each) for each in value.values())
    return str(value)


def _cell(name: str, inside: object, right: bool, **attributes: str) -> Html:
    if right:
        attributes["class_"] = "number"
    return element(name, inside, **attributes)
