"""When a count of users will pass a limit: an honest guess from how its months grew, with its uncertainty.

    outlook = forecast({"2026-10": ledger.growth(license, "2026-10"), ...}, "2026-11-22", 0.4, limit.allowed,
                       beyond=declared, rng=random.Random(0))
    outlook = forecast_windows({"2026-11-21": 812, "2026-11-22": 840}, "2026-11-22", 0.4, limit.allowed,
                               kind=Kind.ROLLING_30, beyond=declared, rng=random.Random(0))

A calendar month's count starts at zero, so a line through it is wrong in both directions. ``forecast`` instead plays
the months ahead many times: users of the last month come back (quickly at first, then ever more slowly), new ones
arrive at a rate with a trend and a rhythm of the week, and a month's users are the next month's stock. See
``docs/forecast.md``.
"""

import random
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from guard.usage.ledger import Growth
from guard.usage.outlook.comeback import Comeback
from guard.usage.outlook.future import FirstMonth, Windows, Years
from guard.usage.outlook.grounds import Grounds, of_first_month, of_no_windows, of_nothing, of_windows, of_year
from guard.usage.outlook.growth import LEAST_DAYS, Months
from guard.usage.outlook.trend import Trend
from guard.usage.period import Kind

HORIZON_DAYS = 365
"""How far ahead a forecast looks."""
COVERAGE = 0.8
"""The share of cases in which the truth lies within an interval."""
_PARTS = ((1 - COVERAGE) / 2, 0.5, (1 + COVERAGE) / 2)
_NEVER = sys.maxsize


class Verdict(StrEnum):
    """What a forecast comes to."""

    CROSSED = "crossed"
    """The count of this period is over the limit already."""
    EXPECTED = "expected"
    """More likely than not, the limit is passed by the horizon."""
    NOT_EXPECTED = "not_expected"
    """More likely than not, it is not."""
    TOO_LITTLE_DATA = "too_little_data"
    """Nothing can be said yet, or not beyond this period; ``missing`` and ``possible_from`` say why and from when."""


class Expected(NamedTuple):
    """The count that a day is expected to end with."""

    day: str
    low: int
    middle: int
    high: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to be expected of one count and one limit. Counts include ``beyond``; days are ISO dates."""

    period: str
    """The period that ``today`` lies in."""
    kind: Kind
    today: str
    verdict: Verdict
    count: int
    """Users of the period so far, with those beyond."""
    beyond: int
    """Users beyond those seen to grow (declared, merged), taken to stay as many."""
    allowed: int
    """The largest count that is not over the limit."""
    since: str | None
    """The day on which this period's count passed the limit; None if it has not, and with users beyond: nobody knows
    on which days those came."""
    earlier: tuple[str, ...]
    """Earlier periods of the history that were over the limit by the users seen to grow alone."""
    crossing: str | None
    """The day by which the limit is passed in half of the cases; None if that lies beyond the horizon."""
    earliest: str | None
    """The day by which it is passed in one case of ten; None if that lies beyond the horizon."""
    latest: str | None
    """The day by which it is passed in nine cases of ten; None if that lies beyond the horizon."""
    chance_period: float | None
    """The chance that it is passed within this period: 1.0 only if it has been; None without a forecast."""
    chance_horizon: float | None
    """The chance that it is passed by the horizon."""
    horizon: str | None
    """The last day that was looked at."""
    final: int | None
    """The count this period is expected to end with (median); None without a forecast."""
    final_low: int | None
    final_high: int | None
    """It ends between ``final_low`` and ``final_high`` with the chance ``coverage``."""
    band: tuple[Expected, ...]
    """Today and the days of the period that are left, with the same chance each."""
    new_per_day: float | None
    """New users on an average day of late."""
    growth_per_month: float | None
    """By what part that grows in 30 days (0.1 is 10 %), as of now."""
    retention: float | None
    """The part of a month's users who come back in the next."""
    reasons: tuple[str, ...]
    """What the forecast rests on, in sentences."""
    assumptions: tuple[str, ...]
    """What must hold for it to be right, in sentences."""
    missing: tuple[str, ...]
    """What a forecast, or one beyond this period, still needs, in sentences."""
    possible_from: str | None
    """The day from which what is missing will be there, if every day until then has traffic."""
    coverage: float = COVERAGE

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them: enums as text, ``band`` as a list of objects."""
        return {**asdict(self), "band": [expected._asdict() for expected in self.band]}


def forecast(
    history: Mapping[str, Sequence[Growth]],
    today: str,
    elapsed: float,
    allowed: int,
    *,
    beyond: int = 0,
    rng: random.Random,
) -> Forecast:
    """Return what is to be expected of the calendar month of ``today`` and of the months of the year ahead.

    ``history`` maps months (``2026-11``) to ``Ledger.growth``, this month included; months before the first one are
    taken to have had no users unless its growth has returning ones. ``elapsed`` is the part of ``today`` that has
    passed, 0 to 1. Users of this month that the growth leaves out (merged from another gateway, an estimate's upper
    bound) belong in ``beyond``. The same ``rng`` state gives the same forecast. Raises ValueError for an ``elapsed``
    outside 0 to 1, for a negative ``beyond``, and for growth after ``today`` or outside its month.
    """
    _check(elapsed, beyond)
    months = Months(history, date.fromisoformat(today))
    current = months.current
    case = _Case(
        current.id, Kind.MONTH, today, current.end - 1, allowed, beyond, current.users,
        None if beyond else months.passed(allowed),
        tuple(month.id for month in months.months[:-1] if month.users > allowed),
    )  # fmt: skip
    arrivals, returned = months.arrivals(), months.returned()
    seen = sum(months.seen_days(month) for month in months.months if month.stock)
    if current.stock is None and months.seen_days(current) >= LEAST_DAYS:
        return _outcome(case, of_first_month(months, beyond), FirstMonth(months, elapsed), case.last_day, rng)
    if current.stock is None or seen < LEAST_DAYS:
        seen = seen if current.stock is not None else months.seen_days(current)
        return _outcome(case, of_nothing(months, seen), None, None, rng)
    trend, comeback = Trend(arrivals), Comeback(returned)
    horizon = months.today + HORIZON_DAYS
    years = Years(months, trend, comeback, elapsed, horizon)
    return _outcome(case, of_year(months, trend, comeback, beyond), years, horizon, rng)


def forecast_windows(
    totals: Mapping[str, int],
    today: str,
    elapsed: float,
    allowed: int,
    *,
    kind: Kind,
    beyond: int = 0,
    rng: random.Random,
) -> Forecast:
    """Return the same for days or rolling windows, from the totals of those that ended with each day, by day.

    ``totals`` begins with the first day that was counted and has today's so far; a missing day had none. A simpler
    method: the totals' own trend, without returning and new users. Raises ValueError as ``forecast`` does, and for
    ``kind`` month.
    """
    _check(elapsed, beyond)
    length = kind.days
    if length is None:
        raise ValueError("windows of kind month; allowed: day, rolling_28, rolling_30")
    if totals and max(totals) > today:
        raise ValueError(f"total of {max(totals)}; allowed: days up to {today}")
    windows = Windows(totals, date.fromisoformat(today), length, elapsed, HORIZON_DAYS)
    count = totals.get(today, 0)
    case = _Case(
        today if length == 1 else f"{today}/{length}d", kind, today, windows.today, allowed, beyond, count,
        today if count > allowed and not beyond else None,
        tuple(day for day in sorted(totals) if day < today and totals[day] > allowed),
    )  # fmt: skip
    if windows.trend is None:
        return _outcome(case, of_no_windows(length, windows.seen, windows.ready), None, None, rng)
    grounds = of_windows(windows.trend, windows.seen, beyond)
    return _outcome(case, grounds, windows, windows.today + HORIZON_DAYS, rng)


class _Future(Protocol):
    @property
    def days(self) -> Sequence[int]: ...
    def crossing(self, allowed: int, today: int) -> int | None: ...


class _Futures(Protocol):
    paths: int

    def path(self, rng: random.Random) -> _Future: ...


class _Case(NamedTuple):
    """What is certain."""

    period: str
    kind: Kind
    today: str
    last_day: int
    """The ordinal of the period's last day."""
    allowed: int
    beyond: int
    users: int
    since: str | None
    earlier: tuple[str, ...]

    @property
    def crossed(self) -> bool:
        return self.users + self.beyond > self.allowed


def _check(elapsed: float, beyond: int) -> None:
    if not 0 <= elapsed <= 1:
        raise ValueError(f"{elapsed} of the day has passed; allowed: 0 to 1")
    if beyond < 0:
        raise ValueError(f"{beyond} users beyond; allowed: 0 or more")


def _outcome(
    case: _Case, grounds: Grounds, futures: _Futures | None, horizon: int | None, rng: random.Random
) -> Forecast:
    """Return the forecast of ``case``, by playing ``futures`` to the ordinal ``horizon``."""
    today = date.fromisoformat(case.today).toordinal()
    paths = [futures.path(rng) for _ in range(futures.paths)] if futures else []
    found = [path.crossing(case.allowed - case.beyond, today) for path in paths]
    crossings = sorted(_NEVER if day is None or horizon is None or day > horizon else day for day in found)
    band = tuple(
        Expected(_day(today + ahead), *(_quantile(counts, part) + case.beyond for part in _PARTS))
        for ahead, counts in enumerate(map(sorted, zip(*(path.days for path in paths), strict=True)))
    )
    crossed, chance = case.crossed, _chance(crossings, horizon)
    by = [None if crossed or not crossings else _quantile(crossings, part) for part in _PARTS]
    earliest, crossing, latest = (None if day is None or day == _NEVER else _day(day) for day in by)
    if crossed:
        verdict = Verdict.CROSSED
    elif crossing is not None:
        verdict = Verdict.EXPECTED
    else:
        verdict = Verdict.TOO_LITTLE_DATA if grounds.missing else Verdict.NOT_EXPECTED
    return Forecast(
        period=case.period,
        kind=case.kind,
        today=case.today,
        verdict=verdict,
        count=case.users + case.beyond,
        beyond=case.beyond,
        allowed=case.allowed,
        since=case.since,
        earlier=case.earlier,
        crossing=crossing,
        earliest=earliest,
        latest=latest,
        chance_period=1.0 if crossed else _chance(crossings, case.last_day),
        chance_horizon=1.0 if crossed else chance,
        horizon=None if horizon is None else _day(horizon),
        final=band[-1].middle if band else None,
        final_low=band[-1].low if band else None,
        final_high=band[-1].high if band else None,
        band=band,
        new_per_day=grounds.new_per_day,
        growth_per_month=grounds.growth_per_month,
        retention=grounds.retention,
        reasons=grounds.reasons,
        assumptions=grounds.assumptions,
        missing=grounds.missing,
        possible_from=grounds.possible_from,
    )


def _chance(crossings: Sequence[int], last: int | None) -> float | None:
    """Return the part of the futures that cross by the day ``last``; never 0 or 1, however many were played."""
    if not crossings or last is None:
        return None
    return round((bisect_right(crossings, last) + 1) / (len(crossings) + 2), 4)


def _quantile(ordered: Sequence[int], part: float) -> int:
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def _day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()
