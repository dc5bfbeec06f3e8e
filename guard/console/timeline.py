"""Decisions over time: the hourly counts put together for a chart, by category or by clause."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from guard.console.chart import COLORS, Bar, stacked
from guard.console.layout import Frame
from guard.console.markup import Html, element, joined
from guard.console.parts import nothing
from guard.console.wording import category, counted, moment

Facts = Mapping[str, Any]
OTHERS = "others"


class Span(NamedTuple):
    """How far back a chart looks, and how long a bar of it is, in hours."""

    name: str
    hours: int
    bar: int
    format: str


SPANS = {
    "day": Span("24 hours", 24, 1, "%m-%d %H:%M"),
    "week": Span("7 days", 7 * 24, 6, "%m-%d %H:%M"),
    "month": Span("31 days", 31 * 24, 24, "%m-%d"),
}
DEFAULT_SPAN = "day"


def by_category(count: Facts) -> str:
    """Return the category a count is of; what no category caused goes by its error code."""
    found = count.get("category")
    return category(found) if found else str(count.get("code") or "noted").replace("_", " ")


def by_clause(count: Facts) -> str:
    """Return the clause a count cites, with its license."""
    license_, clause = count.get("license"), count.get("clause")
    if license_ and clause:
        return f"{license_} {clause}"
    return f"{license_}, no clause" if license_ else "no license"


def over_time(frame: Frame, history: Facts, span: Span) -> Html:
    """Return the charts of everything that was not plainly allowed, within ``span`` until now."""
    counts = _bars(history, span, frame.now, lambda count: str(count["verdict"]))
    total = sum(sum(bar.numbers.values()) for bar in counts)
    since = history.get("since")
    late = since is not None and since > frame.now - span.hours * 3600
    known = joined((" Known since ", moment(since, frame.now), ".")) if late else None
    if not total:
        return nothing(
            f"Nothing was refused or flagged in the last {span.name}.",
            "What was stands here hour by hour, by category and by the clause that was cited.", known,
        )  # fmt: skip
    said = element("p", f"{counted(total, 'decision')} other than plain allows in the last {span.name}.", known)
    charts = [
        element("div", element("h3", title), _chart(name, title, history, span, frame.now, key), class_="card")
        for name, title, key in (("category", "By category", by_category), ("clause", "By clause", by_clause))
    ]
    return joined((said, element("div", *charts, class_="cards wide")))


def _chart(name: str, title: str, history: Facts, span: Span, now: float, key: Callable[[Facts], str]) -> Html:
    bars = _bars(history, span, now, key)
    totals: Counter[str] = Counter()
    for bar in bars:
        totals.update(bar.numbers)
    series = [each for each, total in totals.most_common() if total]
    if len(series) > COLORS:
        named = series[: COLORS - 1]
        bars = [Bar(bar.label, _summed(bar.numbers, frozenset(named))) for bar in bars]
        series = [*named, OTHERS]
    return stacked(name, f"Decisions {title.lower()}, last {span.name}", "decisions", bars, series)


def _summed(numbers: Mapping[str, int], named: frozenset[str]) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for key, count in numbers.items():
        found[key if key in named else OTHERS] += count
    return found


def _bars(history: Facts, span: Span, now: float, key: Callable[[Facts], str]) -> list[Bar]:
    """Return the bars of ``span``, the last of which holds ``now``; plain allows are left out."""
    length = span.bar * 3600
    end = (int(now) // length + 1) * length
    number = span.hours // span.bar
    found: list[Counter[str]] = [Counter() for _ in range(number)]
    for bucket in history.get("buckets", ()):
        at = int(bucket["at"] - (end - number * length)) // length
        if 0 <= at < number:
            for count in bucket["counts"]:
                if count["verdict"] != "allow":
                    found[at][key(count)] += count["number"]
    starts = (datetime.fromtimestamp(end - (number - at) * length, UTC) for at in range(number))
    return [Bar(start.strftime(span.format), counts) for start, counts in zip(starts, found, strict=True)]
