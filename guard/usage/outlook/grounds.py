"""What a forecast rests on, in sentences: reasons, assumptions, and what is missing and from when it will be there."""

from dataclasses import dataclass
from datetime import date, timedelta

from guard.usage.outlook.comeback import Comeback
from guard.usage.outlook.growth import LEAST_DAYS, Months
from guard.usage.outlook.trend import Trend


@dataclass(frozen=True, slots=True)
class Grounds:
    """The sentences and the figures behind a forecast; see the fields of the same names in ``Forecast``."""

    reasons: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    possible_from: str | None = None
    new_per_day: float | None = None
    growth_per_month: float | None = None
    retention: float | None = None


def of_year(months: Months, trend: Trend, comeback: Comeback, beyond: int) -> Grounds:
    """Return the grounds of a forecast of this month and the year."""
    growth, back = trend.growth, comeback.retention
    rate = trend.rate * months.ebb(months.today)
    known = sum(bool(month.counts) for month in months.returned())
    reasons = [
        f"{rate:,.0f} new users on an average day of late, {_trend(growth)}",
        f"{back:.0%} of a month's users come back in the next, as seen in {known} {_plural('month', known)}",
        *_seen(months),
    ]
    assumptions = [
        "growth fades in the course of months or a few years",
        "nothing happens that has not happened before: a campaign, a price, an outage",
        "those who come back do so as in the months seen",
        *_always(beyond),
    ]
    return Grounds(tuple(reasons), tuple(assumptions), (), None, round(rate, 2), round(growth, 4), round(back, 4))


def of_first_month(months: Months, beyond: int) -> Grounds:
    """Return the grounds of a forecast that ends with the ledger's first month."""
    today, end = date.fromordinal(months.today), date.fromordinal(months.current.end)
    what = f"how many users come back in the next month: {LEAST_DAYS} complete days of a month after one with users"
    reasons = (f"the count so far, on {today}, and how it flattened since {_day(months.current.recorded)}",)
    assumptions = ("first sightings go on to flatten as they did so far", *_always(beyond))
    return Grounds((*reasons, *_seen(months)), assumptions, (what,), (end + timedelta(LEAST_DAYS)).isoformat())


def of_nothing(months: Months, seen: int) -> Grounds:
    """Return why there is no forecast, where ``seen`` of the complete days that it takes are there."""
    today, current = date.fromordinal(months.today), months.current
    ready = today + timedelta(LEAST_DAYS - seen)
    if current.stock is None:
        if ready.toordinal() >= current.end:  # the week ends in a month whose own first week must be seen
            ready = date.fromordinal(current.end + LEAST_DAYS)
        what = f"{LEAST_DAYS} complete days with traffic (now {seen})"
    else:
        what = f"{LEAST_DAYS} complete days of a month after one with users (now {seen}): how many come back in it"
    return Grounds(missing=(what,), possible_from=ready.isoformat())


def of_windows(trend: Trend, days: int, beyond: int) -> Grounds:
    """Return the grounds of a forecast of days or rolling windows from ``days`` totals."""
    reasons = (
        f"{trend.rate:,.0f} users in an average period of late, {_trend(trend.growth)}",
        f"totals of {days} complete days",
    )
    assumptions = ("growth fades in the course of months or a few years, and no day differs from all before it",)
    return Grounds(
        reasons, (*assumptions, *_always(beyond)), growth_per_month=round(trend.growth, 4),
    )  # fmt: skip


def of_no_windows(length: int, seen: int, ready: int) -> Grounds:
    """Return why there is no forecast of windows of ``length`` days before the ordinal ``ready``."""
    what = f"{LEAST_DAYS} totals of complete periods (now {seen})"
    if length > 1:
        what += f"; the first {length - 1} since counting began are not complete"
    return Grounds(missing=(what,), possible_from=_day(ready))


def _seen(months: Months) -> list[str]:
    days = sum(map(months.seen_days, months.months))
    said = [f"{days} complete {_plural('day', days)} with traffic"]
    if months.rhythm.outages:
        count = len(months.rhythm.outages)
        said.append(f"{count} {_plural('day', count)} without any first sighting between busy ones: taken as outages")
    if not months.rhythm.known:
        said.append("the rhythm of the week is not known yet: every weekday is taken to be alike")
    if not all(month.told for month in months.months):
        said.append("the ledger cannot tell returning users from new ones: told apart by how each month flattens")
    return said


def _always(beyond: int) -> list[str]:
    said = ["the limit itself turns nobody away", "what is left of today is like the part that has passed"]
    if beyond:
        said.append(f"the {beyond:,} users beyond those seen to grow (declared, merged) stay as many")
    return said


def _trend(growth: float) -> str:
    if abs(growth) < 0.005:
        return "neither growing nor shrinking"
    return f"{'growing' if growth > 0 else 'shrinking'} by {abs(growth):.0%} in 30 days"


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}s"


def _day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()
