"""The first page: where the counts stand against the licenses, what is owed next, and whether Guard is well."""

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date

from guard.console.chart import gauge, growth
from guard.console.layout import Frame, page
from guard.console.markup import NOTHING, Content, Html, element, joined
from guard.console.parts import facts, hash_, items, more, nothing, section, table
from guard.console.verdict import WORDS, Facts, due_level, rank, standing, tested, worst
from guard.console.wording import badge, counted, day, moment, number, sentence, share

NEXT = 4
"""As many of the things owed are on the first page."""
_PARTS = {
    "spool": "sightings log",
    "ledger": "user ledger",
    "audit": "audit log",
    "index": "index of outputs",
    "provenance": "index of outputs",
    "heads": "heads kept elsewhere",
    "policy": "policy files",
    "behavior": "behavior over time",
}
"""What people call the parts that ``health`` names; others go by their own names."""
_FORECASTS = {
    "crossed": ("bad", "passed already"),
    "expected": ("warn", "expected to be passed"),
    "not_expected": ("ok", "not expected to be passed"),
    "too_little_data": ("off", "too early for a forecast"),
}
_EPOCH = 1e9
"""Fractional numbers above it are times."""
_HASH = re.compile(r"[0-9a-f]{32,}")
_NOTHING_OWED = "Nothing is open. What has to be stated, lapses or expires would stand here, the nearest day first."


def overview(frame: Frame, *, usage: Sequence[Facts], due: Sequence[Facts], health: Sequence[Facts],
             warnings: Sequence[str]) -> str:  # fmt: skip
    """Return the page. The shapes of the facts are those of ``guard.transports.admin.AdminRuntime``."""
    return page(
        frame,
        "/",
        "Overview",
        _first_glance(frame, usage, due, health),
        _warnings(warnings),
        _usage(usage),
        section(
            "Health", _health(health, frame.now), id="health", lead="What Guard stands on, as this process sees it now."
        ),
    )


def _first_glance(frame: Frame, usage: Sequence[Facts], due: Sequence[Facts], health: Sequence[Facts]) -> Html:
    found = standing(usage, due)
    sick = [f"{_part(part)}: {part.get('detail') or part['state']}" for part in health if part["state"] == "bad"]
    if not frame.ready:
        sick.insert(0, "Guard is not ready: no request is served")
    lead = "As far as the requests that went through Guard tell, with the bounds below."
    first = element(
        "section",
        element("h2", found.headline, id="standing"),
        items(found.reasons[:NEXT]) or element("p", lead),
        element("p", f"and {len(found.reasons) - NEXT} more below") if len(found.reasons) > NEXT else None,
        items(sick, "sick"),
        _nearest(usage),
        class_=f"glance {found.level}",
        aria_labelledby="standing",
    )
    return element("div", first, _owed(frame, due), class_="glances")


def _nearest(usage: Sequence[Facts]) -> Html:
    """Return the limit that most is used of, and the first day on which one may be passed."""
    limits = [(row, limit) for row in usage for limit in row.get("limits", ())]
    if not limits:
        return NOTHING
    row, limit = max(limits, key=lambda pair: _held(*pair) / max(pair[1]["value"], 1))
    used = share(_held(row, limit), limit["value"])
    told = [each["forecast"] for _, each in limits if each.get("forecast")]
    known = any(forecast["verdict"] != "too_little_data" for forecast in told)
    days = [str(forecast["earliest"]) for forecast in told if forecast.get("earliest")]
    return facts(
        [
            ("nearest limit", f"{used} of {number(limit['value'])} ({row['license']})"),
            ("may be passed from", min(days, default="no day in sight" if known else "too early to tell")),
        ]
    )


def _owed(frame: Frame, due: Sequence[Facts]) -> Html:
    rows = sorted(
        (item for item in due if item.get("state") != "met"),
        key=lambda item: (rank(due_level(item)), item.get("by") or "9999"),
    )
    shown = [
        element(
            "li",
            element("p", element("strong", sentence(item.get("what"))), Html(" "), _due_badge(item)),
            element("p", joined((_cited(item), _by(item, frame.now)), ", "), class_="quiet"),
        )
        for item in rows[:NEXT]
    ]
    said = element("ol", *shown) if shown else element("p", _NOTHING_OWED)
    count = f"All {len(rows)} open things" if len(rows) > NEXT else "All obligations"
    return element(
        "section",
        element("h2", "Owed next", id="owed"),
        said,
        element("p", element("a", count, href="/obligations")),
        class_="glance plain",
        aria_labelledby="owed",
    )


def _due_badge(item: Facts) -> Html:
    return badge(due_level(item), WORDS.get(str(item.get("state")), str(item.get("state"))))


def _by(item: Facts, now: float) -> Content:
    found = day(item.get("by"), now)
    return joined(("by ", found)) if found else None


def _cited(item: Facts) -> Content:
    named = str(item.get("license") or "")
    return f"{named}, clause {item['clause']}" if item.get("clause") else named


def _warnings(warnings: Sequence[str]) -> Html:
    if not warnings:
        return NOTHING
    shown = more(f"The policy warns of {counted(len(warnings), 'thing')}", items(warnings))
    return element("div", shown, class_="notice")


def _usage(usage: Sequence[Facts]) -> Html:
    title = "Monthly active users against the licenses"
    if not usage:
        empty = nothing("No license with counted users is configured.",
                        "Each license of a configured model gets a card here: its users of the month with their "
                        "bounds, its limits, and when they are expected to be passed.")  # fmt: skip
        return section(title, empty, id="usage")
    limited = sorted((row for row in usage if row.get("limits")), key=_urgency)
    free = [row for row in usage if not row.get("limits")]
    rows = [
        (row["license"], number(row["users"]), _bounds(row), str(row["period"])) for row in free
    ]  # fmt: skip
    rest = table("Licenses without a limit on users", ("License", "Users", "True number", "Month"), rows)
    shown: list[Content] = (
        [element("div", *(_license(at, row) for at, row in enumerate(limited)), class_="cards")] if limited else []
    )
    if rest:
        shown += [element("h3", "Without a limit on users"), rest]
    return section(title, *shown, id="usage")


def _urgency(row: Facts) -> tuple[int, float, str]:
    level = worst(tested(limit)[0] for limit in row["limits"])
    nearest = max(_held(row, limit) / max(limit["value"], 1) for limit in row["limits"])
    return rank(level), -nearest, str(row["license"])


def _measured(row: Facts, limit: Facts) -> Facts:
    """Return the count that ``limit`` looks at: the month's, or that of its window."""
    found: Facts = (row.get("windows") or {}).get(limit.get("window")) or row
    return found


def _held(row: Facts, limit: Facts) -> int:
    """Return the users that a limit's state goes by: all that are known of, stated numbers included."""
    measured = _measured(row, limit)
    return int(limit.get("held_against") or measured["upper"] or measured["users"])


def _bounds(row: Facts) -> str:
    if row["exact"]:
        return "exact"
    if row["upper"] is None:
        return f"at least {number(row['lower'])}"
    return f"{number(row['lower'])} to {number(row['upper'])}"


def _license(at: int, row: Facts) -> Html:
    bounds = _bounds(row)
    title = f"license-{at}"
    reasons = [str(reason) for reason in row.get("reasons", ())]
    unit = element("span", f" {'user' if row['users'] == 1 else 'users'} in {row['period']}")
    declared = [
        f"{number(each['users'])} users declared: {each['source']}" for each in row.get("declared", ()) if each["users"]
    ]
    return element(
        "article",
        element("h3", str(row["license"]), id=title),
        element("p", number(row["users"]), unit, class_="number"),
        element("p", "exact" if bounds == "exact" else f"true number: {bounds}", class_="quiet"),
        items([*declared, *reasons], "quiet"),
        *(_limit(row, limit) for limit in row["limits"]),
        _growth(at, row),
        class_="card",
        aria_labelledby=title,
    )


def _limit(row: Facts, limit: Facts) -> Html:
    measured, value = _measured(row, limit), limit["value"]
    users = measured["users"]
    held = _held(row, limit)
    level, word = tested(limit)
    used = share(held, value)
    named = f"clause {limit['clause']}" if limit.get("clause") else "the operator's limit"
    window = "" if limit.get("window") in {None, "month"} else f" of a {str(limit['window']).replace('_', ' ')}"
    effect = "acts at run time" if limit.get("standing") else "early warning: the license tests another date"
    by = "" if held == users else f" by the upper bound of {number(held)}"
    label = f"{number(users)} of {number(value)} users, {used}{by}, {word}"
    return element(
        "div",
        element("p", element("strong", f"{number(value)} users{window} ({named})"), badge(level, word), class_="head"),
        gauge(level, users, held, value, label),
        element("p", f"{used} of the limit{by}; {effect}", class_="quiet"),
        _forecast(limit.get("forecast")),
        class_="limit",
    )


def _forecast(forecast: Facts | None) -> Html:
    if forecast is None:
        return NOTHING
    level, words = _FORECASTS.get(str(forecast["verdict"]), ("off", str(forecast["verdict"])))
    days = facts((name, forecast.get(name)) for name in ("earliest", "middle", "latest"))
    rests = items(str(ground) for ground in forecast.get("rests_on") or ())
    return element(
        "div",
        element("p", "Forecast: ", badge(level, words)),
        days,
        more("What it rests on", rests) if rests else None,
        class_="forecast",
    )


def _growth(at: int, row: Facts) -> Html:
    days = [(str(point["day"]), int(point["users"])) for point in row.get("growth") or ()]
    if not days:
        return element("p", "How the month grew is drawn here from its second day of counting on.", class_="quiet")
    try:
        first = date.fromisoformat(days[0][0])
    except ValueError:
        return NOTHING
    limit = min((each["value"] for each in row["limits"] if each.get("window") in {None, "month"}), default=None)
    length = monthrange(first.year, first.month)[1]
    return growth(f"growth-{at}", f"Users of {row['license']} in {row['period']}", days, length, limit)


def _health(health: Sequence[Facts], now: float) -> Html:
    if not health:
        return nothing("Nothing is known yet.", "The ledger of users, the sightings log, the audit log, the index of "
                       "outputs and what else is in use each say here how they are.")  # fmt: skip
    return element("ul", *(_one(part, now) for part in health), class_="health")


def _one(part: Facts, now: float) -> Html:
    level = str(part["state"])
    shown = facts(
        (str(name).replace("_", " "), _value(value, now)) for name, value in (part.get("facts") or {}).items()
    )
    detail = str(part.get("detail") or "")
    return element(
        "li",
        element(
            "p",
            element("strong", _part(part)),
            badge(level if level in {"ok", "warn", "bad", "off"} else "warn", level),
            class_="head",
        ),
        element("p", detail, class_="quiet") if detail and detail != level else None,
        shown,
    )


def _part(part: Facts) -> str:
    return _PARTS.get(str(part["name"])) or str(part["name"]).replace("_", " ")


def _value(value: object, now: float) -> Content:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value > _EPOCH:
        return moment(value, now)
    return hash_(value) if isinstance(value, str) and _HASH.fullmatch(value) else number(value)
