"""Plots as SVG, the same bytes for the same figures."""

import math
from html import escape

_FONT = 'font-family="system-ui, sans-serif" font-size="13"'
_COLORS = {"guard": "#2a6f97", "other": "#9aa5b1"}
_LINES = ("#9aa5b1", "#e07a5f", "#2a6f97", "#0b3954", "#81b29a")


def _svg(width, height, parts, title):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" {_FONT}>\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x, y, text, anchor="start", color="#1f2933"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'


def _powers(low, high):
    """Return the powers of ten from at most ``low`` to at least ``high``."""
    return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def bars(title, rows, shown):
    """Return bars on a logarithmic scale; ``rows`` are (label, spread, of Guard), ``shown`` writes a value."""
    left, right, step, top = 250, 640, 26, 40
    ticks = _powers(min(spread["low"] for _, spread, _ in rows), max(spread["high"] for _, spread, _ in rows))
    low, high = math.log10(ticks[0]), math.log10(ticks[-1])

    def place(value):
        return left + (math.log10(value) - low) / (high - low or 1) * (right - left)

    bottom = top + step * len(rows)
    parts = [_text(10, 22, title)]
    for tick in ticks:
        parts.append(f'<path d="M{place(tick):.1f} {top - 6}V{bottom}" stroke="#e4e7eb"/>')
        parts.append(_text(place(tick), bottom + 18, f"{tick:,.0f}" if tick >= 1 else f"{tick:g}", "middle", "#616e7c"))
    for number, (called, spread, own) in enumerate(rows):
        y = top + number * step
        color, end = _COLORS["guard" if own else "other"], place(spread["median"])
        parts.append(_text(left - 8, y + 15, called, "end"))
        parts.append(f'<rect x="{left}" y="{y + 3}" width="{max(end - left, 1):.1f}" height="16" fill="{color}"/>')
        parts.append(f'<path d="M{place(spread["low"]):.1f} {y + 11}H{place(spread["high"]):.1f}" stroke="#1f2933"/>')
        parts.append(_text(place(spread["high"]) + 6, y + 15, shown(spread["median"])))
    return _svg(720, bottom + 30, parts, title)


def lines(title, series, across):
    """Return lines on logarithmic scales; ``series`` maps a label to {x: y}, ``across`` says what x is."""
    left, right, top, bottom = 70, 480, 40, 300
    every = [(x, y) for points in series.values() for x, y in points.items()]
    xs = sorted({x for x, _ in every})
    ticks = _powers(min(y for _, y in every), max(y for _, y in every))
    low, high = math.log10(ticks[0]), math.log10(ticks[-1])
    first, last = math.log10(xs[0]), math.log10(xs[-1])

    def across_at(x):
        return left + (math.log10(x) - first) / (last - first or 1) * (right - left)

    def up_at(y):
        return bottom - (math.log10(y) - low) / (high - low or 1) * (bottom - top)

    parts = [_text(10, 22, title)]
    for tick in ticks:
        parts.append(f'<path d="M{left} {up_at(tick):.1f}H{right}" stroke="#e4e7eb"/>')
        parts.append(_text(left - 8, up_at(tick) + 4, f"{tick:,.0f}" if tick >= 1 else f"{tick:g}", "end", "#616e7c"))
    parts += [_text(across_at(x), bottom + 18, f"{x:,}", "middle", "#616e7c") for x in xs]
    parts.append(_text((left + right) / 2, bottom + 38, across, "middle", "#616e7c"))
    for number, (called, points) in enumerate(series.items()):
        color = _LINES[number % len(_LINES)]
        path = " L".join(f"{across_at(x):.1f} {up_at(y):.1f}" for x, y in sorted(points.items()))
        parts.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        y = top + 10 + number * 20
        parts.append(f'<path d="M{right + 20} {y}h24" stroke="{color}" stroke-width="3"/>')
        parts.append(_text(right + 50, y + 4, called))
    return _svg(720, bottom + 50, parts, title)
