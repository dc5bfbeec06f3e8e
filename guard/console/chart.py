"""Charts drawn on the server: SVG that stretches with the page, with a title, a description and its numbers as a table.

The words stand around the drawing, not in it, so that they keep their size. Colors are classes of the style sheet.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from guard.console.markup import Content, Html, element, joined
from guard.console.parts import more, table
from guard.console.wording import Level, number, share, short

COLORS = 7
"""Series that have a color of their own (classes ``c0`` to ``c6``); what is left over is summed up in the last."""
_HEIGHT = 100
_STEP = 10
"""Width of a bar with the room beside it, in the drawing's own measure."""


class Bar(NamedTuple):
    """One span of time: what to call it, and a number for each series."""

    label: str
    numbers: Mapping[str, int]


def gauge(level: Level, users: int, upper: int, limit: int, label: str) -> Html:
    """Return a bar of users with their upper bound against a limit; what is beyond the limit stays inside the bar."""
    scale = max(limit, upper, users, 1)
    return element(
        "svg",
        element("rect", class_="track", width="100%", height=10, rx=5),
        element("rect", class_="range", width=f"{max(upper, users) / scale:.4%}", height=10, rx=5),
        element("rect", class_="fill", width=f"{users / scale:.4%}", height=10, rx=5),
        element("rect", class_="mark", x=f"{min(limit / scale, 0.996):.4%}", width=2, height=10),
        class_=f"gauge {level}", role="img", aria_label=label, width="100%", height=10,
    )  # fmt: skip


def growth(name: str, title: str, days: Sequence[tuple[str, int]], length: int, limit: int | None) -> Html:
    """Return a month's users, day by day, with the line of ``limit`` where the chart reaches that far.

    ``days`` are ISO dates with the users counted up to their end, ``length`` is the number of days in the month, and
    ``name`` makes the ids on the page unique.
    """
    most = max((users for _, users in days), default=0)
    reaches = limit is not None and limit <= 5 * most
    top = max(most, limit or 0 if reaches else 0, 1) * 1.08
    points = [(int(day[8:10]) * _STEP, _HEIGHT - users / top * _HEIGHT) for day, users in days]
    line = " ".join(f"{x},{y:.1f}" for x, y in points)
    shapes: list[Content] = [element("line", class_="base", x1=0, x2=length * _STEP, y1=_HEIGHT, y2=_HEIGHT)]
    if points:
        start, end = points[0][0] - _STEP, points[-1][0]
        shapes += [
            element("path", class_="area", d=f"M{start},{_HEIGHT} L{line.replace(' ', ' L')} L{end},{_HEIGHT} Z"),
            element("polyline", class_="trace", points=f"{start},{_HEIGHT} {line}"),
        ]
    if limit is not None and reaches:
        y = f"{_HEIGHT - limit / top * _HEIGHT:.1f}"
        shapes.append(element("line", class_="limit-line", x1=0, x2=length * _STEP, y1=y, y2=y))
    said = f"{number(most)} users by {days[-1][0]}" if days else "no users yet"
    if limit is not None:
        said += f", {share(most, limit)} of the limit of {number(limit)}"
    drawing = _drawing(name, title, f"Users counted since the month began, by day: {said}.", length * _STEP, shapes)
    first, last = (days[0][0][:8] + "01", days[0][0][:8] + f"{length:02}") if days else ("", "")
    legend: list[Content] = [element("li", "users so far", class_="key line")]
    if limit is not None:
        beyond = "" if reaches else ", far above this chart"
        legend.append(element("li", f"limit {number(limit)}{beyond}", class_="key dash" if reaches else "key"))
    numbers = table(
        f"{title}, by day", ("Day", "Users so far"), [(day, number(users)) for day, users in days], figures=1
    )
    return _figure(drawing, short(round(top)), (first, last), legend, more("Numbers by day", numbers))


def stacked(name: str, title: str, unit: str, bars: Sequence[Bar], series: Sequence[str]) -> Html:
    """Return bars over time, one part for each of ``series`` (at most ``COLORS``), from the bottom up."""
    top = max((sum(bar.numbers.values()) for bar in bars), default=0) or 1
    shapes: list[Content] = [element("line", class_="base", x1=0, x2=len(bars) * _STEP, y1=_HEIGHT, y2=_HEIGHT)]
    totals = dict.fromkeys(series, 0)
    for at, bar in enumerate(bars):
        below, parts = 0.0, []
        for color, key in enumerate(series):
            amount = bar.numbers.get(key, 0)
            if not amount:
                continue
            totals[key] += amount
            height = amount / top * _HEIGHT
            below += height
            parts.append(
                element(
                    "rect",
                    class_=f"c{color}",
                    x=at * _STEP + 1,
                    y=f"{_HEIGHT - below:.2f}",
                    width=_STEP - 2,
                    height=f"{height:.2f}",
                )
            )
        if parts:
            listed = ", ".join(f"{key}: {number(count)}" for key, count in bar.numbers.items() if count)
            shapes.append(element("g", element("title", f"{bar.label}: {listed}"), *parts))
    listed = ", ".join(f"{key} {number(count)}" for key, count in totals.items()) or "none"
    said = f"{unit} from {bars[0].label} to {bars[-1].label}: {listed}." if bars else f"No {unit}."
    drawing = _drawing(name, title, said, len(bars) * _STEP, shapes)
    legend = [
        element("li", key, " ", element("span", number(totals[key]), class_="amount"), class_=f"key c{color}")
        for color, key in enumerate(series)
    ]
    rows = [
        (bar.label, *(number(bar.numbers.get(key, 0)) for key in series)) for bar in bars if any(bar.numbers.values())
    ]
    numbers = table(f"{title}: {unit}", ("From (UTC)", *series), rows, figures=len(series))
    edges = (bars[0].label, bars[-1].label) if bars else ("", "")
    return _figure(drawing, short(top), edges, legend, more("Numbers as a table", numbers))


def _drawing(name: str, title: str, description: str, width: int, shapes: Sequence[Content]) -> Html:
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *shapes,
        class_="plot", role="img", viewBox=f"0 0 {max(width, 1)} {_HEIGHT}", preserveAspectRatio="none",
        aria_labelledby=f"{name}-title", aria_describedby=f"{name}-desc",
    )  # fmt: skip


def _figure(drawing: Html, top: str, edges: tuple[str, str], legend: Sequence[Content], numbers: Html) -> Html:
    scale = element("div", element("span", top), element("span", "0"), class_="y", aria_hidden="true")
    span = element("div", *(element("span", edge) for edge in edges), class_="x", aria_hidden="true")
    chart = element("div", scale, drawing, span, class_="chart")
    return element("figure", chart, element("ul", joined(legend), class_="legend"), numbers)
