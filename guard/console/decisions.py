"""The decisions: over time, the last ones by reference, and a form that finds some of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self
from urllib.parse import urlencode

from guard.console.layout import Frame, page
from guard.console.markup import NOTHING, Content, Html, element
from guard.console.parts import code, nothing, section, table
from guard.console.timeline import DEFAULT_SPAN, SPANS, over_time
from guard.console.verdict import Facts
from guard.console.wording import category, counted, moment, naturally, verdict

SHOWN = 100
"""As many of the decisions are on one page."""
_REFERENCE = 64
"""Characters of what somebody looks for."""


class Sought(NamedTuple):
    """What is asked for: an empty string is anything."""

    verdict: str = ""
    license: str = ""
    category: str = ""
    reference: str = ""
    span: str = DEFAULT_SPAN
    page: int = 1
    """Of the list, from 1."""

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Self:
        """Return what a query asks for; what cannot be asked for is as if it were not there."""
        span, page = query.get("span", DEFAULT_SPAN), query.get("page", "")
        return cls(
            query.get("verdict", ""),
            query.get("license", ""),
            query.get("category", ""),
            query.get("reference", "").strip()[:_REFERENCE],
            span if span in SPANS else DEFAULT_SPAN,
            int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 4 and int(page) else 1,
        )

    @property
    def filtered(self) -> bool:
        """True if not every decision is asked for."""
        return any(self[:4])

    def found(self, item: Facts) -> bool:
        """Return whether ``item`` is asked for."""
        return (
            self.verdict in {"", item.get("verdict")}
            and (not self.license or self.license in cited(item, "license"))
            and (not self.category or self.category in cited(item, "category"))
            and self.reference in str(item.get("reference"))
        )


def cited(item: Facts, name: str) -> list[str]:
    """Return each ``license``, ``clause`` or ``category`` that a decision names, the one that ruled first."""
    sources = [item.get("refused") or {}, *(item.get("shadowed") or ()), *(item.get("findings") or ())]
    return list(dict.fromkeys(str(source[name]) for source in sources if source.get(name)))


def decisions(frame: Frame, *, recent: Sequence[Facts], history: Facts, sought: Sought) -> str:
    """Return the page. ``recent`` are the last decisions, newest first."""
    found = [item for item in recent if sought.found(item)]
    sought = sought._replace(page=min(sought.page, max(1, -(-len(found) // SHOWN))))
    first = SHOWN * (sought.page - 1)
    shown = found[first : first + SHOWN]
    spans = [
        element(
            "li",
            element(
                "a", span.name, href=f"/decisions?span={name}", aria_current="true" if name == sought.span else None
            ),
        )
        for name, span in SPANS.items()
    ]
    return page(
        frame,
        "/decisions",
        "Decisions",
        section(
            "Over time",
            element("nav", element("ul", *spans, class_="choices"), aria_label="Span of the charts"),
            over_time(frame, history, SPANS[sought.span]),
            id="history",
            lead="What was refused, flagged or could not be checked, as far as this Guard's audit logs say.",
        ),
        section(
            "Recent decisions",
            _form(recent, sought),
            _summary(recent, found, shown, sought),
            listing(shown, frame.now) if shown else _none(recent, sought),
            _pages(len(found), sought),
            id="recent",
        ),
    )


def listing(rows: Iterable[Facts], now: float) -> Html:
    """Return decisions as a table, each with the way to its page."""
    headings = ("Reference", "Time (UTC)", "Verdict", "Model", "Code", "License and clause", "Category")
    return table("Recent decisions, newest first", headings, [_row(item, now) for item in rows])


def _row(item: Facts, now: float) -> tuple[Content, ...]:
    reference = str(item.get("reference") or "")
    refused: Facts = item.get("refused") or next(iter(item.get("shadowed") or ()), {})
    where = " ".join(str(refused[name]) for name in ("license", "clause") if refused.get(name))
    categories = [refused["category"]] if refused.get("category") else sorted(cited(item, "category"), key=naturally)
    return (
        element("a", code(reference), href=f"/decisions/{reference}") if reference else None,
        moment(item.get("time"), now),
        verdict(item.get("verdict")),
        str(item.get("model") or ""),
        str(refused.get("code") or ""),
        where or " ".join(cited(item, "license")),
        ", ".join(category(each) for each in categories),
    )


def _summary(recent: Sequence[Facts], found: Sequence[Facts], shown: Sequence[Facts], sought: Sought) -> Html:
    if not found:
        return NOTHING
    first = SHOWN * (sought.page - 1)
    part = f"{first + 1:,} to {first + len(shown):,}" if len(shown) < len(found) else f"{len(shown):,}"
    said = f"{part} of {counted(len(found), 'decision')}" + (
        f" that fit, among the last {len(recent):,}" if sought.filtered else " at hand"
    )
    return element("p", said, ".", class_="quiet", role="status")


def _pages(number: int, sought: Sought) -> Html:
    """Return the links to the pages before and after, which keep what is asked for."""
    kept = {name: value for name, value in sought._asdict().items() if value and name != "page"}
    offered = [("\u2190 Newer", sought.page - 1), ("Older \u2192", sought.page + 1)]
    links = [
        element("li", element("a", said, href=f"/decisions?{urlencode({**kept, 'page': page})}#recent"))
        for said, page in offered
        if 0 < page <= -(-number // SHOWN)
    ]
    return element("nav", element("ul", *links, class_="choices"), aria_label="Pages of the list") if links else NOTHING


def _none(recent: Sequence[Facts], sought: Sought) -> Html:
    if not sought.filtered:
        return nothing("No request was refused or flagged yet.",
                       "Every decision other than a plain allow stands here by its reference, which the client has in "
                       "the header ", code("x-guard-reference"), ".")  # fmt: skip
    return nothing(
        f"None of the last {counted(len(recent), 'decision')} fits.",
        "Older ones are in the audit log: ", code("guard policy explain --reference REFERENCE"), " finds them. ",
        element("a", "Show all", href="/decisions"),
    )  # fmt: skip


def _form(recent: Sequence[Facts], sought: Sought) -> Html:
    choices = [
        ("verdict", "Verdict", sorted({str(item.get("verdict")) for item in recent}), sought.verdict),
        ("license", "License", _all(recent, "license"), sought.license),
        ("category", "Category", _all(recent, "category"), sought.category),
    ]
    fields = [_choice(*choice) for choice in choices]
    typed = element(
        "div",
        element("label", "Reference", for_="reference"),
        element(
            "input",
            type="search",
            id="reference",
            name="reference",
            value=sought.reference,
            maxlength=_REFERENCE,
            autocapitalize="off",
            spellcheck="false",
        ),
    )
    span = element("input", type="hidden", name="span", value=sought.span)
    clear = element("a", "Clear", href="/decisions") if sought.filtered else None
    return element(
        "form", *fields, typed, span, element("button", "Filter"), clear,
        method="get", action="/decisions", class_="filter", role="search", aria_label="Filter decisions",
    )  # fmt: skip


def _choice(name: str, label: str, values: Iterable[str], chosen: str) -> Html:
    offered = [("", "any"), *((value, category(value).replace("_", " ")) for value in values)]
    if chosen and chosen not in dict(offered):
        offered.append((chosen, chosen))
    options = [element("option", text, value=value, selected=value == chosen) for value, text in offered]
    return element("div", element("label", label, for_=name), element("select", *options, id=name, name=name))


def _all(recent: Iterable[Facts], name: str) -> list[str]:
    return sorted({each for item in recent for each in cited(item, name)}, key=naturally)
