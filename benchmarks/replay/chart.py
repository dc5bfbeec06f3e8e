"""A chart of lines as SVG, in plain text."""

import math

COLORS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#a463f2")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 360, 60, 50, 20


def chart(curves):
    """Return an SVG of ``curves``: by name, points (share of the traffic, share detected, requests until then).

    The height is the median number of attack requests until the alert, logarithmic; what is not detected in most
    trials has no point.
    """
    right, bottom = WIDTH - 130, HEIGHT - BOTTOM

    def x(share):
        return LEFT + (right - LEFT) * share

    def y(requests):
        return bottom - (bottom - TOP) * min(1.0, math.log10(max(1.0, requests)) / 3.0)

    def text(at, down, words):
        return f'<text x="{at:.0f}" y="{down}" text-anchor="middle">{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#555"/>',
    ]
    for requests in (1, 10, 100, 1000):
        parts += [
            f'<path d="M{LEFT} {y(requests):.0f}H{right}" stroke="#ddd"/>',
            f'<text x="{LEFT - 8}" y="{y(requests) + 4:.0f}" text-anchor="end">{requests}</text>',
        ]
    parts += [text(x(share), bottom + 16, f"{share:.0%}") for share in (0.1, 0.25, 0.5, 1.0)]
    parts.append(text((LEFT + right) / 2, HEIGHT - 10, "share of the traffic that is the attack"))
    turned = f'transform="translate(16 {(TOP + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle"'
    parts.append(f"<text {turned}>attack requests until the alert</text>")
    for place, (name, points) in enumerate(curves.items()):
        color = COLORS[place % len(COLORS)]
        shown = [(x(share), y(requests)) for share, detected, requests in points if detected >= 0.5 and requests]
        if shown:
            line = " ".join(f"{a:.1f},{b:.1f}" for a, b in shown)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{color}"/>' for a, b in shown]
        label = name if shown else f"{name}: not detected"
        parts.append(f'<text x="{right + 8}" y="{TOP + 14 + 18 * place}" fill="{color}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])
