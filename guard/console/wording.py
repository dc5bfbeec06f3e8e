"""How the console writes numbers and times, and what it calls things: every number with its unit, every time in UTC."""

import re
from datetime import UTC, date, datetime

from guard.console.markup import NOTHING, Html, element, joined
from guard.screening.categories import CATEGORIES

Level = str
"""How good some news is: ``ok``, ``warn``, ``bad``, or ``off`` for what is none."""

_MARKS = {"ok": "\u2713", "warn": "!", "bad": "\u2715", "off": "\u2013"}
_STEPS = ((60, 1, "s"), (3600, 60, "min"), (2 * 86400, 3600, "h"), (60 * 86400, 86400, "days"))
VERDICTS = {"deny": "bad", "flag": "warn", "not_evaluated": "warn", "allow": "ok", "undetermined": "warn"}


def badge(level: Level, text: str) -> Html:
    """Return a word with its level in color and sign: neither alone carries the meaning."""
    mark = element("span", _MARKS[level], aria_hidden="true")
    return element("span", mark, Html(" "), text, class_=f"badge {level}")


def verdict(name: object) -> Html:
    """Return the badge of a verdict."""
    return badge(VERDICTS.get(str(name), "warn"), str(name).replace("_", " "))


def number(value: object) -> str:
    """Return a count with its thousands parted."""
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def counted(value: int, singular: str, plural: str | None = None) -> str:
    """Return a count with what is counted."""
    return f"{value:,} {singular if value == 1 else plural or singular + 's'}"


def sentence(text: object) -> str:
    """Return ``text`` with a capital at its beginning."""
    said = str(text or "")
    return said[:1].upper() + said[1:]


def share(users: int, of: int) -> str:
    """Return how much of a limit is used, as a percentage."""
    if 0 < users < of / 1000:
        return "less than 0.1%"
    return f"{users / max(of, 1):.1%}"


def short(value: int) -> str:
    """Return a number for the edge of a chart: three digits and a unit."""
    for unit, name in ((10**9, " B"), (10**6, " M"), (10**3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return str(value)


def moment(seconds: object, now: float) -> Html:
    """Return a time in UTC with how long ago that is."""
    if not isinstance(seconds, int | float) or not -(10**11) < seconds < 10**11:
        return Html("\u2013")
    at = datetime.fromtimestamp(seconds, UTC)
    shown = element("time", at.strftime("%Y-%m-%d %H:%M:%S"), datetime=at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return joined((shown, Html(" "), element("span", relative(now - seconds), class_="ago")))


def relative(seconds: float) -> str:
    """Return how long ago something was, or, if ``seconds`` is below 0, in how long it will be."""
    length = abs(seconds)
    if length < 1:
        return "now"
    found = next((f"{length // size:.0f} {unit}" for limit, size, unit in _STEPS if length < limit), None)
    words = found or f"{length // 86400:,.0f} days"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def day(iso: object, now: float) -> Html:
    """Return a day with how far off it is; nothing for what is no day."""
    try:
        found = date.fromisoformat(str(iso))
    except ValueError:
        return NOTHING
    days = (found - datetime.fromtimestamp(now, UTC).date()).days
    words = "today" if days == 0 else f"in {counted(days, 'day')}" if days > 0 else f"{counted(-days, 'day')} ago"
    return joined((element("time", found.isoformat(), datetime=found.isoformat()), f" ({words})"))


def category(code: object) -> str:
    """Return a category with its name, where it is one that has a name."""
    return f"{code} {CATEGORIES[str(code)]}" if str(code) in CATEGORIES else str(code)


def naturally(name: str) -> list[tuple[int, str]]:
    """Return what to sort ``name`` by, so that S2 comes before S10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]
