"""What the pages are put together from: tables, lists of facts, empty states, cards."""

from collections.abc import Iterable, Sequence

from guard.console.markup import NOTHING, Content, Html, element, joined

CELL = Html("\u2013")
"""Stands in a cell that has nothing to say."""


def section(title: str, *content: Content, id: str, lead: Content = None, level: int = 2) -> Html:
    """Return a part of a page under its own heading, which ``id`` is the anchor of."""
    heading = element(f"h{level}", title, id=f"{id}-title")
    return element(
        "section", heading, element("p", lead, class_="lead") if lead else None, *content,
        id=id, aria_labelledby=f"{id}-title",
    )  # fmt: skip


def table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[Content]], *, figures: int = 0) -> Html:
    """Return a table, the first cell of a row being its heading; "" without rows.

    The last ``figures`` columns are numbers. On narrow screens a row becomes a block, each cell beside its column's
    name; the roles say that it is a table then, too.
    """
    if not rows:
        return NOTHING
    first = len(headings) - figures
    kinds = ["figure" if at >= first else None for at in range(len(headings))]
    head = joined(
        element("th", text, scope="col", role="columnheader", class_=kind)
        for text, kind in zip(headings, kinds, strict=True)
    )
    openings = [_opening(at, name, kind) for at, (name, kind) in enumerate(zip(headings, kinds, strict=True))]
    body = joined(_row(openings, row) for row in rows)
    shown = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", element("tr", head, role="row"), role="rowgroup"),
        element("tbody", body, role="rowgroup"),
        role="table",
    )
    return element("div", shown, class_="scroll", tabindex=0, role="group", aria_label=caption)


def _opening(at: int, name: str, kind: str | None) -> Html:
    """Return how each cell of a column begins: made once, as a table may have thousands of cells."""
    tag, scope, role = ("td", None, "cell") if at else ("th", "row", "rowheader")
    whole = element(tag, data_label=name, scope=scope, role=role, class_=kind)
    return Html(whole.removesuffix(f"</{tag}>") + "<span>")


def _row(openings: Sequence[Html], row: Sequence[Content]) -> Html:
    ends = ("</span></th>", *["</span></td>"] * (len(openings) - 1))
    cells = [opening + Html.of(cell or CELL) + end for opening, cell, end in zip(openings, row, ends, strict=True)]
    return Html(f'<tr role="row">{"".join(cells)}</tr>')


def facts(pairs: Iterable[tuple[str, Content]]) -> Html:
    """Return names with what they stand for; those without anything are left out."""
    rows = [element("div", element("dt", name), element("dd", value)) for name, value in pairs if value]
    return element("dl", *rows, class_="facts") if rows else NOTHING


def items(entries: Iterable[Content], class_: str | None = None) -> Html:
    """Return a list; "" without entries."""
    shown = [element("li", entry) for entry in entries if entry]
    return element("ul", *shown, class_=class_) if shown else NOTHING


def nothing(title: str, *explanation: Content) -> Html:
    """Return an empty state: that there is nothing, and what would stand here."""
    more = element("p", *explanation) if explanation else None
    return element("div", element("p", title, class_="title"), more, class_="empty")


def more(summary: str, *content: Content) -> Html:
    """Return what is shown when somebody asks for it."""
    return element("details", element("summary", summary), element("div", *content, class_="inside"))


def code(text: object, *, title: str | None = None) -> Html:
    """Return an id or a name as the machine has it."""
    return element("code", str(text), title=title)


def hash_(value: object) -> Html:
    """Return a hash by its first twelve digits, the whole of it in the title."""
    return code(str(value)[:12], title=str(value)) if value else CELL
