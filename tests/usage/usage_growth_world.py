"""A made-up service whose future is known: users one by one, not the model that forecasts.

Everybody signs up on some day, is active at their own rate (gamma-distributed), and leaves one day. Sign-ups follow a
scenario; weekdays have their rhythm. Only a user's first activity in a month is drawn, so a year takes milliseconds.
"""

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

from guard.usage.ledger import Growth

SCENARIOS = ("flat", "exponential", "logistic", "declining", "launch", "weekday", "wandering")
OLD = 300
"""Days that an established service is older than its ledger."""
AHEAD = 366


@dataclass(frozen=True)
class Service:
    """What the ledger holds on ``today``, and what comes after."""

    history: dict
    """Growth by month, up to today."""
    today: str
    elapsed: float
    running: dict
    """The count of the month at the end of each day, for all days of the past and future."""
    so_far: int
    """The count of the current month now."""

    def final(self):
        return self.running[max(day for day in self.running if day[:7] == self.today[:7])]

    def crossing(self, allowed):
        """The first day from today on whose count is over ``allowed``, within a year; None if there is none."""
        last = (date.fromisoformat(self.today) + timedelta(365)).isoformat()
        return next((d for d in sorted(self.running) if self.today <= d <= last and self.running[d] > allowed), None)


def service(scenario, chance, *, days, scale=None, established=None, tells=True):
    """Return a service whose ledger has ``days`` days up to today, which begins on a random date."""
    start = date(2025, 1, 1) + timedelta(chance.randrange(365))
    today = start + timedelta(days)
    established = chance.random() < 0.7 if established is None else established
    begin = start - timedelta(OLD if established else 0)
    total = (today - begin).days + AHEAD + 31
    rhythm = _rhythm(scenario, chance)
    passed = [0.0]
    for ahead in range(total):
        passed.append(passed[-1] + rhythm[(begin.toordinal() + ahead) % 7])
    edges = _edges(begin, total)
    shape, mean = chance.uniform(0.3, 1.5), chance.uniform(0.05, 0.4)
    once, stay = chance.uniform(0.05, 0.5), chance.uniform(40, 400)
    ledger = (start - begin).days
    scale = scale or math.exp(chance.uniform(math.log(4), math.log(60)))
    rates = _sign_ups(scenario, chance, total, ledger, (today - begin).days)
    events = []  # (day, month, user): first sightings
    user = 0
    for day in range(total):
        busy = scale * rates[day] * rhythm[(begin.toordinal() + day) % 7] * chance.lognormvariate(-0.005, 0.1)
        for _ in range(_poisson(busy, chance)):
            user += 1
            events += _sightings(user, day, chance, edges, passed, total, ledger, shape, mean, once, stay)
    return _kept(events, begin, total, ledger, (today - begin).days, chance.random(), tells)


def _rhythm(scenario, chance):
    weekend = 0.2 if scenario == "weekday" else chance.uniform(0.5, 1.2)
    raw = [weekend if (ordinal + 6) % 7 >= 5 else chance.uniform(0.85, 1.15) for ordinal in range(7)]
    return [part * 7 / sum(raw) for part in raw]


def _sign_ups(scenario, chance, total, ledger, today):
    """The rate of sign-ups by day, 1 on average days."""
    if scenario in {"flat", "weekday"}:
        return [1.0] * total
    if scenario == "exponential":
        monthly = chance.uniform(0.02, 0.2)
        return [math.exp(math.log1p(monthly) * (day - today) / 30) for day in range(total)]
    if scenario == "declining":
        monthly = chance.uniform(0.03, 0.15)
        return [math.exp(-math.log1p(monthly) * (day - ledger) / 30) for day in range(total)]
    if scenario == "logistic":
        middle, width, top = today + chance.uniform(-150, 150), chance.uniform(20, 60), chance.uniform(1.5, 5)
        return [0.5 + top / (1 + math.exp(-(day - middle) / width)) for day in range(total)]
    if scenario == "launch":
        height, fade = chance.uniform(3, 12), chance.uniform(5, 25)
        return [0.7 + (height * math.exp(-(day - ledger) / fade) if day >= ledger else 0) for day in range(total)]
    level, rates = 0.0, []
    for day in range(total):
        level += chance.gauss(0, 0.1) if day % 7 == 0 else 0.0
        rates.append(math.exp(level))
    return rates


def _edges(begin, total):
    """The offsets of the firsts of months, from the month of ``begin`` on."""
    first, edges = begin.replace(day=1), []
    while (first - begin).days <= total:
        edges.append((first - begin).days)
        first = (first + timedelta(31)).replace(day=1)
    return edges


def _sightings(user, day, chance, edges, passed, total, ledger, shape, mean, once, stay):
    """A user's first activity in each month, seen by the ledger only from ``ledger`` on."""
    month = bisect_right(edges, day) - 1
    found = [(day, month, user)] if day >= ledger else []
    if chance.random() < once:
        return found
    rate = chance.gammavariate(shape, mean / shape)
    gone = day + chance.expovariate(1 / stay)
    at = month if day < ledger else month + 1
    at = max(at, bisect_right(edges, ledger) - 1)
    while at < len(edges) - 1 and edges[at] < gone:
        since = max(edges[at], ledger, day)
        due = passed[min(since, total)] + (chance.expovariate(rate) if rate > 1e-9 else math.inf)
        when = bisect_right(passed, due) - 1
        if when < min(edges[at + 1], gone, total):
            found.append((when, at, user))
        at += 1
    return found


def _kept(events, begin, total, ledger, today, elapsed, tells):
    members, rows = {}, {}
    for _, month, user in events:
        members.setdefault(month, set()).add(user)
    for day, month, user in events:
        back = user in members.get(month - 1, ())
        rows.setdefault(day, [0, 0])[back] += 1
    name = lambda day: (begin + timedelta(day)).isoformat()  # noqa: E731
    running, count = {}, 0
    for day in range(ledger, total - 31):
        count = 0 if name(day)[8:] == "01" else count
        count += sum(rows.get(day, (0, 0)))
        running[name(day)] = count
    history = {}
    for day in range(ledger, today + 1):
        new, back = rows.get(day, (0, 0))
        if day == today:
            new, back = round(new * elapsed), round(back * elapsed)
        if new + back:
            growth = Growth(name(day), new, back) if tells else Growth(name(day), new + back, None)
            history.setdefault(name(day)[:7], []).append(growth)
    so_far = sum(row.new + (row.returning or 0) for row in history.get(name(today)[:7], ()))
    return Service(history, name(today), elapsed, running, so_far)


def _poisson(mean, chance):
    count, at = 0, chance.expovariate(1)
    while at < mean:
        count += 1
        at += chance.expovariate(1)
    return count


def count_of(rows):
    """The rows' users by day: what a gauge of the month would show going up."""
    return Counter({row.day: row.new + (row.returning or 0) for row in rows})
